"""The reference page of the settings, made from the settings themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from pydantic.fields import FieldInfo

from retention_enforcer.settings import PREFIX, SECRETS, Settings

_HEAD = f"""# Settings

<!-- Generated from the settings themselves by `make reference`: edit those. -->

Environment variables configure the enforcer. Their names begin with `{PREFIX}`. An unknown name with this prefix stops
the start. An empty variable counts as unset. A duration is a whole number with a unit (`s`, `m`, `h` or `d`). A secret
can be read from a file: give its path in the variable with the suffix `_FILE`. A line break at the end of the file is
ignored. A command requires only the settings that it uses.
"""


def settings_page() -> str:
    """Return the reference as Markdown, with a section for each setting in the order of declaration."""
    return "\n".join([_HEAD, *(line for name, info in Settings.model_fields.items() for line in _section(name, info))])


def _section(name: str, info: FieldInfo) -> Iterator[str]:
    default = "none" if info.default is None else f"`{info.default}`"
    words = [word for word in get_args(info.annotation) if isinstance(word, str)]
    words += [word for part in get_args(info.annotation) for word in get_args(part) if isinstance(word, str)]
    yield f"## `{PREFIX}{name.upper()}`\n"
    if name in SECRETS:
        yield f"A secret. `{PREFIX}{name.upper()}_FILE` can name a file that contains it instead.\n"
    if words:
        yield f"One of: {', '.join(f'`{word}`' for word in words)}.\n"
    yield f"Default: {default}.\n"
    yield " ".join((info.description or "").split()) + "\n"
