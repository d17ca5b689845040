"""Reads what people are shown: pages as their elements, texts and figures, tables as they are printed."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from rich.console import RenderableType

from retention_enforcer.cli.console import print_table

TAGS = {
    *("html", "head", "meta", "title", "style", "link", "body", "header", "main", "footer", "section", "nav"),
    *("h1", "h2", "h3", "p", "a", "span", "strong", "code", "br", "div", "ul", "li", "dl", "dt", "dd", "data", "time"),
    *("table", "thead", "tbody", "tr", "th", "td", "details", "summary", "svg", "circle", "path", "rect"),
}
ATTRIBUTES = {
    *("lang", "charset", "name", "content", "http-equiv", "class", "id", "href", "rel", "value", "datetime", "role"),
    *("scope", "tabindex", "aria-label", "aria-labelledby", "aria-hidden", "focusable"),
    *("viewbox", "preserveaspectratio", "width", "height", "x", "cx", "cy", "r", "d"),
}
HOSTILE = "<script>alert(1)</script><img src=//evil.example onerror=alert(2)>\"'&amp;{{ 7 * 7 }}"


class Page(HTMLParser):
    """A page that loads nothing, runs nothing and acts on nothing, and whose every element is closed in order."""

    VOID = frozenset({"meta", "br", "link"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.figures: dict[str, dict[str, str]] = {}
        """By promise, the exact value behind each figure."""
        self._open: list[str] = []
        self._fields: list[str | None] = []
        self._promise = ""
        self.feed(html)
        self.close()
        assert self._open == []
        assert html.lstrip().startswith("<!doctype html>")
        assert {tag for tag, _ in self.elements} <= TAGS
        assert {name for _, attributes in self.elements for name in attributes} <= ATTRIBUTES
        assert not re.search(r"url\(|@import|javascript:", html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        id_, classes = attributes.get("id") or "", (attributes.get("class") or "").split()
        if id_.startswith("promise-"):
            self._promise = id_.removeprefix("promise-")
            self.figures[self._promise] = {}
        value = attributes.get("value") if tag == "data" else attributes.get("datetime")
        field = next((one for one in reversed(self._fields) if one), None)
        if self._promise and field and value is not None:
            self.figures[self._promise][field] = value
        if tag not in self.VOID:
            self._open.append(tag)
            self._fields.append(next((c.removeprefix("f-") for c in classes if c.startswith("f-")), None))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self._fields.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """What a person reads, with single blanks."""
        return " ".join(" ".join(self.texts).split())

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] or "" for _, attributes in self.elements if attribute in attributes]


def assert_hostile_is_text(html: str) -> None:
    text = Page(html).text
    assert not re.search(r"<script|<img", html)
    assert text.count("alert(1)") >= 15
    assert "49" not in text


def printed(what: RenderableType, capsys: pytest.CaptureFixture[str]) -> str:
    """The text of a table as a command prints it; every line of it fits."""
    capsys.readouterr()
    print_table(what)
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if len(line) > 100] == []
    assert "…" not in text
    return text


def solid(text: str) -> str:
    """A text without the places where it was folded."""
    return re.sub(r"\s", "", text)


def columns(text: str) -> str:
    """The text of a table, each column put together again."""
    parts: dict[int, str] = {}
    for line in text.splitlines():
        for match in re.finditer(r"\S+( \S+)*", line):
            parts[match.start()] = parts.get(match.start(), "") + match[0].replace(" ", "")
    return " ".join(parts.values())
