"""`ledger verify --file`: needs no cluster and no settings, only the export."""

from __future__ import annotations

from pathlib import Path

import pytest

from retention_enforcer import cli
from retention_enforcer.bootstrap import Surroundings
from retention_enforcer.domain.ledger.checkpoints import checkpoint_of
from retention_enforcer.domain.ledger.records import Head, canonical, seal
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms


@pytest.mark.parametrize("reason", ["plain", "a\u2028b", "a\u2029b", "a\u0085b", "a\nb\r\nc", "größer"])
def test_an_honest_export_verifies_whatever_its_texts_hold(reason: str, tmp_path: Path) -> None:
    first = seal({"kind": "finding", "reason": reason}, Head())
    second = seal({"kind": "proof"}, Head(1, first["hash"]))
    file = tmp_path / "ledger.jsonl"
    file.write_bytes(b"".join(canonical(record) + b"\n" for record in (first, second)))
    arguments = ["ledger", "verify", "--file", str(file), "--head", second["hash"]]
    assert cli.main(arguments, Surroundings(environ={})) == 0


def test_the_checkpoints_of_an_export_are_checked_where_the_key_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, head = "k" * 32, seal({"kind": "finding", "reason": "a"}, Head())
    checkpoint = checkpoint_of(Head(1, head["hash"]), Pseudonyms(key.encode())).fields()
    file = tmp_path / "ledger.jsonl"
    for first, codes in ((head, (0, 0)), (seal({"kind": "finding", "reason": "b"}, Head()), (0, 1))):
        second = seal(checkpoint, Head(1, first["hash"]))
        file.write_bytes(b"".join(canonical(record) + b"\n" for record in (first, second)))
        arguments = ["ledger", "verify", "--file", str(file)]
        without = cli.main(arguments, Surroundings(environ={}))
        assert "1 not checked" in capsys.readouterr().out
        assert (without, cli.main(arguments, Surroundings(environ={"ENFORCER_PSEUDONYM_KEY": key}))) == codes


def test_a_file_that_is_not_there_is_a_wrong_argument(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ledger", "verify", "--file", str(tmp_path / "none")], Surroundings(environ={})) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nonsense"], ["plan", "--output", "xml"], ["ledger", "verify", "--fil"], []])
def test_wrong_arguments_are_exit_2_without_a_traceback(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments, Surroundings(environ={})) == 2
    err = capsys.readouterr().err
    assert err
    assert "Traceback" not in err
