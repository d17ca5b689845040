"""What is generated from code and policy is what they say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from retention_enforcer.cli import references

ROOT = Path(__file__).parents[2]


def test_all_of_it_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert references.main(["--check", str(ROOT)]) == 0
    assert capsys.readouterr().err == ""


def test_what_is_stale_is_told_in_a_line_each_and_put_right_by_writing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config").mkdir()
    shutil.copy(ROOT / "config" / "trtc.yaml", tmp_path / "config")
    assert references.main(["--check", str(tmp_path)]) == 1
    missing = capsys.readouterr().err.splitlines()
    assert len(missing) == len(references.references(tmp_path))
    assert f"{tmp_path / 'config' / 'settings.md'} is out of date: run make reference" in missing
    assert references.main(["--write", str(tmp_path)]) == 0
    assert references.main(["--check", str(tmp_path)]) == 0
    (tmp_path / "docs" / "status.schema.json").write_text("{}")
    assert references.main(["--check", str(tmp_path)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
