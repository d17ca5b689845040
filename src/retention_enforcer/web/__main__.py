"""Writes the published schema of `/api/status`, or tells whether it is up to date."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from retention_enforcer.reporting.status_document import status_schema


def main(arguments: Sequence[str]) -> int:
    """Run; 1 if the file is not what the code says."""
    parser = argparse.ArgumentParser(prog="python -m retention_enforcer.web", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="FILE")
    action.add_argument("--check", type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    schema = json.dumps(status_schema(), indent=2, ensure_ascii=False) + "\n"
    if given.write:
        given.write.write_text(schema, encoding="utf-8")
        return 0
    if given.check.is_file() and given.check.read_text(encoding="utf-8") == schema:
        return 0
    sys.stderr.write(f"{given.check} is not up to date: run make reference\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
