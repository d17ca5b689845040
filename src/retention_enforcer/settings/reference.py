"""The reference of the settings, from the settings themselves."""

from __future__ import annotations

from collections.abc import Iterator
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


def settings_page() -> str:
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
