"""Plain YAML: mappings, lists and scalars, each key once, and nothing that stands for something else.

It is read from the parser's events, so that every value has its line, no object is ever made, and a file that
would unfold into gigabytes is refused at its first alias. A scalar is the text that stands in the file: YAML's
own types (`2022-08-11` a date, `1:30` ninety, `no` false, `010` eight) are never asked. Only `true`, `false` and
plain whole numbers become a bool or an int, which keeps `14` apart from `14d`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml

from retention_enforcer.domain.policy.rules import Path

_MAX_DEPTH = 8  # deeper than a policy can be
_WHOLE_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem and the line at which it stands; lines count from 1."""

    line: int
    text: str
    remedy: str


@dataclass(slots=True)
class Document:
    """What a text holds: its value, the line of each path, and what is not plain in it."""

    value: object = None
    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest thing around it that stands in the text."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _NotReadable(Exception):
    """Nothing that follows can be trusted."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault


def read_plain_yaml(text: str) -> Document:
    """Return what a YAML text holds; its value may be used only if there are no faults."""
    reader = _Reader(text)
    try:
        reader.read()
    except _NotReadable as error:
        reader.document.faults.append(error.fault)
    except yaml.YAMLError as error:
        reader.document.faults.append(_syntax_fault(error, text))
    return reader.document


def _syntax_fault(error: yaml.YAMLError, text: str) -> Fault:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return Fault(line, "invalid character; is this a binary file?", "save the policy as plain text")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or "it cannot be parsed"
    remedy = "check the indentation (blanks, no tabs), and put names with * or { in quotes"
    return Fault(mark.line + 1 if mark else 1, f"this is not YAML: {problem}", remedy)


class _Reader:
    def __init__(self, text: str) -> None:
        self._events = yaml.parse(text, Loader=yaml.SafeLoader)
        self.document = Document()

    def read(self) -> None:
        next(self._events)  # the start of the stream
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            raise _NotReadable(Fault(1, "the file is empty", "begin the file with version: 1"))
        self.document.value = self._value((), next(self._events))
        next(self._events)  # the end of the document
        more = next(self._events)
        if not isinstance(more, yaml.StreamEndEvent):
            raise _NotReadable(Fault(_line(more), "a second document begins here", "write one policy per file"))

    def _value(self, path: Path, event: yaml.Event) -> object:
        self.document.lines.setdefault(path, _line(event))
        self._refuse_reference(event)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.AliasEvent):
            return ""  # refused above
        if len(path) == _MAX_DEPTH:
            raise _NotReadable(Fault(_line(event), "this is nested too deeply", "use at most six levels"))
        return self._mapping(path) if isinstance(event, yaml.MappingStartEvent) else self._list(path)

    def _list(self, path: Path) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value((*path, len(items)), event))
        return items

    def _mapping(self, path: Path) -> dict[str, object]:
        entries: dict[str, object] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            here = (*path, self._key(event))
            first = self.document.lines.setdefault(here, _line(event))
            value = self._value(here, next(self._events))
            if here[-1] in entries:
                text = f"{_shown(here[-1])} is set twice, first in line {first}"
                self._fault(event, text, "keep one of the two")
            entries[str(here[-1])] = value
        return entries

    def _key(self, event: yaml.Event) -> str:
        self._refuse_reference(event)
        if isinstance(event, yaml.AliasEvent):
            return ""
        if not isinstance(event, yaml.ScalarEvent):
            raise _NotReadable(Fault(_line(event), "a key is a list or a mapping", "write a word before the colon"))
        if event.value == "<<":
            self._fault(event, "merge keys (<<) are not allowed in a policy", "write out the keys of each category")
        return event.value

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        text = event.value
        if event.style is not None:  # quoted, or a block of text
            return text
        if text in _NULLS:
            self._fault(event, "a value is missing here", "write a value, or remove the line")
            return ""
        if text in {"true", "false"}:
            return text == "true"
        return int(text) if _WHOLE_NUMBER.fullmatch(text) else text

    def _refuse_reference(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.AliasEvent):
            remedy = "write out the value, or put a name that begins with * in quotes"
            self._fault(event, f"*{event.anchor} is a YAML alias, which is not allowed in a policy", remedy)
            return
        if getattr(event, "anchor", None):
            self._fault(event, "anchors (&) are not allowed in a policy", "remove the anchor, and write out each value")
        if getattr(event, "tag", None):
            self._fault(event, "tags (!) are not allowed in a policy", "remove the tag, or put the text in quotes")

    def _fault(self, event: yaml.Event, text: str, remedy: str) -> None:
        self.document.faults.append(Fault(_line(event), text, remedy))


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _shown(key: object) -> str:
    return repr(str(key)[:60])
