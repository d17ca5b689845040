"""Root hands the server over to somebody else, with all that this one has to read."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from embedded_elasticsearch.owner import NoPlace, server_owner, within_reach

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")


def test_a_twin_is_readable_by_all_and_writable_by_nobody_else(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    for name, mode in {"open": 0o644, "closed": 0o600, "bin/tool": 0o700, "lax": 0o666}.items():
        (tree / name).write_text(name)
        (tree / name).chmod(mode)
    (tree / "link").symlink_to("open")
    (tree / "dangling").symlink_to("nothing")
    tree.chmod(0o700)

    twin = within_reach(tree, server_owner(), tmp_path / "twin")

    modes = {path.relative_to(twin).as_posix(): path.stat().st_mode & 0o777 for path in twin.rglob("*")}
    assert modes == {
        "bin": 0o755,
        "bin/tool": 0o755,
        "open": 0o644,
        "closed": 0o644,
        "lax": 0o644,
        "link": 0o644,
    }
    assert (twin / "link").read_text() == "open"
    assert (tree / "closed").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("behind_sudo", ["0", "", "no number", "4294967000"])
def test_root_never_runs_the_server_itself(monkeypatch: pytest.MonkeyPatch, behind_sudo: str) -> None:
    monkeypatch.setenv("SUDO_UID", behind_sudo)

    with suppress(NoPlace):
        assert server_owner().uid != 0
