"""The help: every command and option says what it does, nothing is cut off, and the exit codes are those in use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from retention_enforcer.cli.console import app
from retention_enforcer.daemon.exit_codes import MEANINGS, worst

ROOT = Path(__file__).parents[2]
_ROWS = {f"| {code} |" for code in MEANINGS}


def commands(found: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All commands with the words by which they are called."""
    yield path, found
    for name, inner in getattr(found, "commands", {}).items():
        yield from commands(inner, (*path, name))


EACH = pytest.mark.parametrize(
    ("path", "command"), [pytest.param(path, found, id=" ".join(path)) for path, found in commands(get_command(app))]
)


def shown(*path: str) -> str:
    """What a command prints on a terminal of 80 columns."""
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    return result.stdout


@EACH
def test_no_summary_in_a_list_of_commands_is_cut(path: tuple[str, ...], command: Any) -> None:
    lines = shown(*path).splitlines()
    for name, inner in getattr(command, "commands", {}).items():
        sentence = inner.help.strip().splitlines()[0]
        assert sentence.endswith(".")
        assert any(line.split() == [name, *sentence.split()] for line in lines)


@EACH
def test_every_option_says_what_it_does(path: tuple[str, ...], command: Any) -> None:
    silent = [parameter.name for parameter in command.params if not parameter.help]
    assert silent == [], path


def test_the_help_has_all_exit_codes_in_their_precedence() -> None:
    table = [line.split(maxsplit=1) for line in shown().partition("Exit codes")[2].splitlines()[1:]]
    assert table == [[str(code), meaning] for code, meaning in MEANINGS.items()]
    codes = list(MEANINGS)
    assert [worst(codes[position:]) for position in range(len(codes))] == codes


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_readme_has_the_exit_codes_in_the_same_order(page: str) -> None:
    rows = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line[:5] in _ROWS]
    assert [line[2] for line in rows] == [str(code) for code in MEANINGS]
