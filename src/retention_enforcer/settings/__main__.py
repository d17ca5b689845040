"""Writes the reference of the settings, or tells whether it is up to date."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from pydantic.fields import FieldInfo

from retention_enforcer.settings import PREFIX, SECRETS, Settings

_HEAD = f"""# Settings

<!-- Generated from the settings themselves by `make reference`: edit those. -->

The enforcer is set up by environment variables. Their names begin with `{PREFIX}`; any other that begins so stops
the start. An empty variable counts as unset. Durations are a whole number and a unit (`s`, `m`, `h`, `d`). A secret
can be given as the path of a file, under its name and `_FILE`; a line break at the file's end is dropped. A command
demands only the settings that it uses.
"""


def reference() -> str:
    """Return the reference as Markdown: a section for each setting, in the order of their declaration."""
    return "\n".join([_HEAD, *(line for name, info in Settings.model_fields.items() for line in _section(name, info))])


def _section(name: str, info: FieldInfo) -> Iterator[str]:
    default = "none" if info.default is None else f"`{info.default}`"
    words = [word for word in get_args(info.annotation) if isinstance(word, str)]
    words += [word for part in get_args(info.annotation) for word in get_args(part) if isinstance(word, str)]
    yield f"## `{PREFIX}{name.upper()}`\n"
    if name in SECRETS:
        yield f"Secret; or `{PREFIX}{name.upper()}_FILE`, the path of a file that holds it.\n"
    if words:
        yield f"One of: {', '.join(f'`{word}`' for word in words)}.\n"
    yield f"Default: {default}.\n"
    yield " ".join((info.description or "").split()) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write or check the reference; 1 if it is not what the settings say."""
    parser = argparse.ArgumentParser(prog="python -m retention_enforcer.settings", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="FILE", help="write the reference")
    action.add_argument("--check", type=Path, metavar="FILE", help="exit 1 if the reference is stale")
    chosen = parser.parse_args(arguments)
    if chosen.write:
        chosen.write.write_text(reference(), encoding="utf-8")
        return 0
    if not chosen.check.is_file() or chosen.check.read_text(encoding="utf-8") != reference():
        sys.stderr.write(f"{chosen.check} is not what the settings say: make reference\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
