"""What real writers left, as it was recorded (`tests/data/layouts`), and made again on a server at other moments."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from warnings import catch_warnings

from elasticsearch import ApiError, Elasticsearch, ElasticsearchWarning
from elasticsearch.helpers import bulk

FOLDER = Path(__file__).parent / "data" / "layouts"
PAGE = Path(__file__).parents[1] / "docs" / "layouts.md"
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/layout.json"))

_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True)
class Layout:
    """One writer's record: what it brought and made, and its documents, all of one moment."""

    name: str
    body: Mapping[str, Any]
    documents: tuple[Mapping[str, Any], ...]

    @property
    def needs_full_server(self) -> bool:
        """Whether it makes no sense without streams or lifecycles, or an analyzer that the embedded server lacks."""
        return bool(self.body["server"] == "full")

    @property
    def subject(self) -> list[str]:
        """Arguments of the command line that name whose documents are erased; empty where documents name nobody."""
        return [word for kind, it in (self.body["subject"] or {}).items() for word in (f"--{kind}", it)]

    @property
    def moment(self) -> datetime:
        """The newest moment of the documents."""
        return max(moment for document in self.documents for moment in self._moments(document))

    @property
    def categories(self) -> str:
        """The categories that the page shows for it, as they stand there."""
        return section(str(self.body["heading"]))

    def _times(self, document: Mapping[str, Any]) -> list[Mapping[str, str]]:
        """Return the fields that hold a document's moment; one may count in indices of a name alone (`in`)."""
        return [time for time in self.body["times"] if document["_index"].startswith(time.get("in", ""))]

    def _moments(self, document: Mapping[str, Any]) -> Iterator[datetime]:
        for time in self._times(document):
            for value in _values(document["_source"], time["field"].split(".")):
                yield _read(value, time["form"])

    def has_moment(self, document: Mapping[str, Any]) -> bool:
        """Whether a document says when it was written."""
        return any(True for _ in self._moments(document))

    def is_blocked(self, index: str) -> bool:
        """Whether the writer let nobody write to one of its indices any more."""
        body = self.body["indices"].get(index, {"settings": {"index": {}}})
        return bool(body["settings"]["index"].get("blocks", {}).get("write") == "true")

    def moved(self, document: Mapping[str, Any], to: datetime) -> dict[str, Any]:
        """Return a document's source as if the newest of all had been written at another moment."""
        source = json.loads(json.dumps(document["_source"]))
        by = to - self.moment
        for time in self._times(document):
            _change(source, time["field"].split("."), lambda v, form=time["form"]: _write(v, form, by))  # type: ignore[misc]
        return dict(source)

    def index_at(self, name: str, to: datetime) -> str:
        """Return what an index would be called at another moment."""
        day = self.body.get("day")
        return name.replace(day["recorded"], to.strftime(day["form"])) if day else name


def layout(name: str) -> Layout:
    """Read one."""
    lines = (FOLDER / name / "documents.ndjson").read_text(encoding="utf-8").splitlines()
    body = json.loads((FOLDER / name / "layout.json").read_text(encoding="utf-8"))
    return Layout(name, body, tuple(json.loads(line) for line in lines))


def section(heading: str) -> str:
    """Return the one block of YAML under a heading of the page."""
    parts = re.split(r"(?m)^## (.*)$", PAGE.read_text(encoding="utf-8"))
    text = dict(zip(parts[1::2], parts[2::2], strict=True))[heading]
    (block,) = re.findall(r"(?ms)^```yaml\n(.*?)^```$", text)
    return str(block)


@contextmanager
def remade(es: Elasticsearch, of: Layout, *moments: datetime, full: bool) -> Iterator[list[str]]:
    """Make a layout's indices and documents as if written at each of these moments, the last one being the newest.

    A document's `_id` is `<its line>-<number of the moment>`; one without a moment is there once, and so is one in an
    index that the writer had blocked for writes, which is blocked again. Yields the names of all indices and streams.
    """
    names: list[str] = []
    with _brought(es, of, full=full):
        try:
            for moment in moments:
                for name, body in of.body["indices"].items():
                    made = of.index_at(name, moment)
                    if made not in names:
                        names.append(made)
                        es.indices.create(index=made, **_plain(body, full=full))
            for stream in of.body.get("streams", ()):
                names.append(stream)
                es.indices.create_data_stream(name=stream)
            bulk(es, _actions(of, moments), refresh=True)
            for blocked in filter(of.is_blocked, of.body["indices"]):
                es.indices.add_block(index=of.index_at(blocked, moments[-1]), block="write")
            yield names
        finally:
            for stream in of.body.get("streams", ()):
                es.options(ignore_status=404).indices.delete_data_stream(name=stream)
            for made in names:
                es.options(ignore_status=404).indices.delete(index=made)


def _actions(of: Layout, moments: tuple[datetime, ...]) -> Iterator[dict[str, Any]]:
    for line, document in enumerate(of.documents):
        for number, moment in enumerate(moments):
            if number < len(moments) - 1 and (not of.has_moment(document) or of.is_blocked(document["_index"])):
                continue
            index = of.index_at(document["_index"], moment)
            routing = {"routing": document["_routing"]} if "_routing" in document else {}
            made = {"_op_type": "create", "_index": index, "_id": f"{line}-{number}", **routing}
            yield made | {"_source": of.moved(document, moment)}


@contextmanager
def _brought(es: Elasticsearch, of: Layout, *, full: bool) -> Iterator[None]:
    """Put what the writer brings, but for what the server has already."""
    put: list[str] = []
    quiet = es.options(ignore_status=404)
    places = (
        ("lifecycles", "/_ilm/policy/"),
        ("pipelines", "/_ingest/pipeline/"),
        ("component_templates", "/_component_template/"),
        ("index_templates", "/_index_template/"),
        ("legacy_templates", "/_template/"),
    )
    headers = {"accept": "application/json", "content-type": "application/json"}
    try:
        for kind, place in places:
            for name, body in of.body.get(kind, {}).items():
                if kind == "lifecycles" and not full:
                    continue
                path = place + name
                if quiet.perform_request("GET", path, headers=headers).meta.status == 404:
                    put.append(path)
                    with catch_warnings(category=ElasticsearchWarning, action="ignore"):  # legacy templates
                        es.perform_request("PUT", path, headers=headers, body=_plain(body, full=full))
        yield
    finally:
        for path in reversed(put):
            try:
                quiet.perform_request("DELETE", path, headers=headers)
            except ApiError as error:
                raise AssertionError(f"{path} stays behind") from error


def _plain(body: Any, *, full: bool) -> Any:
    """Leave out what a server of one node, or without lifecycles, has no use for."""
    if not isinstance(body, dict):
        return body
    left_out = {"number_of_replicas", "auto_expand_replicas", "refresh_interval", "blocks"} | (
        set() if full else {"lifecycle"}
    )
    kept = {key: _plain(value, full=full) for key, value in body.items() if key.removeprefix("index.") not in left_out}
    return {k: v for k, v in kept.items() if full or not k.startswith(("lifecycle.", "index.lifecycle."))}


def _values(source: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(source, list):
        for one in source:
            yield from _values(one, path)
    elif not path:
        if source is not None:
            yield source
    elif isinstance(source, dict):
        for length in range(1, len(path) + 1):  # a name with dots in it is one key in some documents
            if (key := ".".join(path[:length])) in source:
                yield from _values(source[key], path[length:])


def _change(source: Any, path: list[str], change: Callable[[Any], Any]) -> None:
    if isinstance(source, list):
        for one in source:
            _change(one, path, change)
    elif isinstance(source, dict):
        for length in range(1, len(path) + 1):
            key = ".".join(path[:length])
            if key not in source or source[key] is None:
                continue
            if length < len(path):
                _change(source[key], path[length:], change)
            elif isinstance(source[key], list):
                source[key] = [change(value) for value in source[key]]
            else:
                source[key] = change(source[key])


def _read(value: Any, form: str) -> datetime:
    if form in _UNITS:
        return datetime.fromtimestamp(int(value) / _UNITS[form], UTC)
    found = datetime.fromisoformat(str(value)) if form == "iso" else datetime.strptime(str(value), form)  # noqa: DTZ007
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _write(value: Any, form: str, by: timedelta) -> Any:
    """Move a value, written as it was."""
    if form in _UNITS:
        moved = int(value) + (by // timedelta(microseconds=1)) * _UNITS[form] // 1_000_000
        return type(value)(moved)
    moved_to = _read(value, form) + by
    if form != "iso":
        return type(value)(moved_to.strftime(form)[: len(str(value)) if form.endswith("%f") else None])
    fraction = re.search(r"\.(\d+)", str(value))
    text = moved_to.strftime("%Y-%m-%dT%H:%M:%S")
    if fraction:
        text += "." + f"{moved_to.microsecond:06d}".ljust(9, "0")[: len(fraction[1])]
    zone = re.search(r"(Z|[+-]\d\d:?\d\d)$", str(value))
    return text + (zone[1] if zone else "")
