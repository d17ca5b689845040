"""The table of `make bench`: what was measured, against what, and what it came to.

Each measurement adds a row to the file that BENCH_ROWS names; this module prints them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

COLUMNS = ("what", "against", "ratio", "target", "memory")


def row(what: str, against: str, ratio: str, *, target: str = "", memory: str = "") -> None:
    """Add a row, where somebody collects them."""
    if file := os.environ.get("BENCH_ROWS"):
        said = dict(zip(COLUMNS, (what, against, ratio, target, memory), strict=True))
        with Path(file).open("a", encoding="utf-8") as rows:
            rows.write(json.dumps(said) + "\n")


def table(lines: list[str]) -> str:
    """Return the rows as Markdown."""
    rows = [COLUMNS, *(tuple(json.loads(line)[column] for column in COLUMNS) for line in lines)]
    widths = [max(len(each[n]) for each in rows) for n in range(len(COLUMNS))]
    shown = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(each, widths, strict=True)) + " |" for each in rows
    ]
    return "\n".join([shown[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *shown[1:]])


if __name__ == "__main__":
    print(table(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()))
