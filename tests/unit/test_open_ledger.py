"""The ledger's format is open: a verifier in another language agrees with `ledger verify`, also on forged exports."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from other_verifier import SCRIPT, verdict, verified_elsewhere
from retention_enforcer import cli
from retention_enforcer.bootstrap import Surroundings
from retention_enforcer.domain.ledger.records import Head, canonical, record_hash, seal

TEXTS = ["plain", 'a "quoted" \\ text', "a\u2028b\u0085c", "tab\tand\nbreak\r", "größer 删除 🗑", "\x00\x1f\x7f", ""]


def honest() -> list[dict[str, Any]]:
    """A chain of what real records hold."""
    records: list[dict[str, Any]] = []
    head = Head()
    for number, text in enumerate(TEXTS):
        fields = {
            "kind": "intent" if number % 2 else "outcome",
            "epoch": 3,
            "reason": text,
            "target": {"index": f"logs-{number}", "uuid": "Yg0p1OeXQx6j2k3m4n5o6p"},
            "evidence": {"documents": 10**number, "bytes": 2**53 - 1, "oldest": "2026-01-31T08:00:00.000Z"},
            "intent": number,
        }
        records.append(seal(fields, head))
        head = Head(records[-1]["sequence"], records[-1]["hash"])
    return records


def lines() -> list[str]:
    return [canonical(record).decode() for record in honest()]


def changed(number: int, change: Callable[[dict[str, Any]], Any]) -> list[str]:
    """The export with one record changed by somebody who leaves its hash."""
    records = honest()
    change(records[number])
    return [json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for record in records]


def resealed(number: int, change: Callable[[dict[str, Any]], Any]) -> list[str]:
    """The export with one record changed by somebody who gives it the hash that fits."""
    records = honest()
    change(records[number])
    records[number]["hash"] = record_hash(records[number])
    return [canonical(record).decode() for record in records]


def swapped(first: int, second: int) -> list[str]:
    every = lines()
    every[first], every[second] = every[second], every[first]
    return every


FORGED: dict[str, list[str]] = {
    "a count": changed(2, lambda r: r["evidence"].update(documents=99)),
    "a text": changed(1, lambda r: r.update(reason="nothing")),
    "an outcome": changed(3, lambda r: r.update(outcome="done")),
    "a field removed": changed(4, lambda r: r.pop("target")),
    "a number as a text": changed(2, lambda r: r.update(epoch="3")),
    "a number with a fraction": changed(2, lambda r: r.update(epoch=3.0)),
    "a list": changed(2, lambda r: r.update(reason=["a"])),
    "true": changed(2, lambda r: r.update(reason=True)),
    "null": changed(2, lambda r: r.update(reason=None)),
    "changed and sealed again": resealed(2, lambda r: r.update(reason="nothing")),
    "another predecessor": changed(5, lambda r: r.update(previous="f" * 64)),
    "another hash": changed(5, lambda r: r.update(hash="f" * 64)),
    "no hash": changed(5, lambda r: r.pop("hash")),
    "one missing in the middle": [line for n, line in enumerate(lines()) if n != 3],
    "the first missing": lines()[1:],
    "two swapped": swapped(1, 2),
    "one twice": [*lines()[:3], lines()[2], *lines()[3:]],
    "blanks": [line.replace(":", ": ", 1) if n == 2 else line for n, line in enumerate(lines())],
    "keys in another order": [json.dumps(dict(reversed(r.items())), separators=(",", ":")) for r in honest()],
    "a key twice": [re.sub(r"^{", '{"actor":"x",', line) if n == 1 else line for n, line in enumerate(lines())],
    "no JSON": [*lines()[:2], "{", *lines()[3:]],
    "an empty line": [*lines()[:2], "", *lines()[2:]],
    "another sequence": resealed(0, lambda r: r.update(sequence=2)),
}


def both(export: Path, head: str, capsys: pytest.CaptureFixture[str]) -> tuple[tuple[int, str], tuple[int, str]]:
    capsys.readouterr()
    arguments = ["ledger", "verify", "--file", str(export), *(["--head", head] if head else [])]
    code = cli.main(arguments, Surroundings(environ={}))
    said = capsys.readouterr()
    return (code, verdict(said.out + said.err)), verified_elsewhere(export, head)


def written(path: Path, export: list[str]) -> Path:
    path.write_bytes("".join(f"{line}\n" for line in export).encode())
    return path


def test_both_find_an_honest_export_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = honest()[-1]["hash"]
    for head in ("", last, last.upper()):
        here, elsewhere = both(written(tmp_path / "ledger.jsonl", lines()), head, capsys)
        assert here == elsewhere == (0, f"head {last}")


@pytest.mark.parametrize("how", FORGED)
def test_both_name_the_same_record_of_a_forged_export(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, elsewhere = both(written(tmp_path / "ledger.jsonl", FORGED[how]), "", capsys)
    assert here == elsewhere
    assert here[0] == 1
    assert here[1].startswith("record ")


def test_both_find_a_cut_end_by_the_head_that_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = written(tmp_path / "ledger.jsonl", lines()[:-1])
    here, elsewhere = both(export, honest()[-1]["hash"], capsys)
    assert here == elsewhere == (1, f"record {len(TEXTS) - 1}")
    here, elsewhere = both(export, "", capsys)
    assert here == elsewhere == (0, f"head {honest()[-2]['hash']}"), "without a head nobody can know"


def test_the_other_verifier_is_short_and_needs_nothing() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    assert set(re.findall(r'from "([^"]+)"', text)) == {"node:crypto", "node:fs"}
    assert all(first["hash"] == second["previous"] for first, second in pairwise(honest()))
