"""The pages are true: their links lead somewhere, and commands, metrics, places and numbers are those of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from typer.main import get_command

from retention_enforcer.cli.console import app
from statuses import exported

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "retention_enforcer"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("config/*.md"), *ROOT.glob("packages/*/*.md")])
LAYERS = ("domain", "enforcement", "cluster")
EACH = pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])


def test_all_pages_are_there() -> None:
    named = {page.name for page in PAGES}
    assert {"README.md", "README.zh-CN.md", "ledger.md", "auditor.md", "emergency-stop.md", "known-limits.md"} <= named


@EACH
def test_every_link_leads_to_a_file_that_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    gone = [link for link in links if not link.startswith("http") and not (page.parent / link).exists()]
    assert gone == []


@EACH
def test_every_command_that_is_shown_exists(page: Path) -> None:
    commands = get_command(app)
    for words in re.findall(r"retention-enforcer((?: [a-z][a-z-]*)+)", page.read_text(encoding="utf-8")):
        first, *more = words.split()
        known = getattr(commands, "commands", {})
        if first in {"is", "cannot"}:  # a sentence about the program
            continue
        assert first in known, f"{page.name}: {words}"
        inner = getattr(known[first], "commands", {})
        assert not (inner and more) or more[0] in inner, f"{page.name}: {words}"


def test_the_page_about_metrics_names_those_that_there_are() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `retention_")]
    named = {name for row in rows for name in re.findall(r"`(retention_[a-z_]+)`", row)}
    assert named == {re.sub(r"_(bucket|count|sum)$", "", name) for name in exported()}


def test_the_page_about_the_ledger_counts_the_lines_of_its_verifier() -> None:
    lines = len((ROOT / "docs" / "verify-ledger.mjs").read_text(encoding="utf-8").splitlines())
    assert f"in {lines} lines of Node.js" in (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")


def test_each_rule_is_where_the_page_about_it_says() -> None:
    places = re.findall(
        r"`([a-z_/]+\.py)(?::([A-Za-z_.]+))?`", (ROOT / "docs" / "where.md").read_text(encoding="utf-8")
    )
    assert len(places) >= 25
    assert [place for place in places if not _is_defined(*place)] == []


def _is_defined(file: str, name: str) -> bool:
    """Whether a file is there, and defines what has this name: a function, a class, or a method of one."""
    if not (SRC / file).is_file():
        return False
    found: list[ast.AST] = [ast.parse((SRC / file).read_text(encoding="utf-8"))]
    for part in filter(None, name.split(".")):
        found = [inner for node in found for inner in ast.iter_child_nodes(node) if getattr(inner, "name", "") == part]
    return bool(found)


def test_the_page_about_the_architecture_names_each_folder_of_the_layers_in_its_row() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    _, table = page.split("| folder | `domain` | `enforcement` | `cluster` |\n|---|---|---|---|\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n\n")[0].splitlines()]
    said = {
        (layer, folder.strip("`")) for folder, *cells in rows for layer, cell in zip(LAYERS, cells, strict=True) if cell
    }
    assert said == {(layer, path.parent.name) for layer in LAYERS for path in (SRC / layer).glob("*/__init__.py")}
