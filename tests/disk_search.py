"""Texts that are in no file unless they were written there, and whether the files on disk have them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tenants import OTHERS
from workbench import Workbench

DOOMED = 5

KINDS = ("id", "routing", "keyword", "text", "term", "stored", "source", "nested")
# What is stored is compressed, so that its presence is not always seen; its absence is proven by the files being gone.
CERTAIN = KINDS[:5]
MAPPING: dict[str, Any] = {
    "keyword": {"type": "keyword"},
    "stored": {"type": "keyword", "index": False, "doc_values": False, "store": True},
    "text": {"type": "text", "analyzer": "whitespace"},
    "term": {"type": "keyword", "doc_values": False},
    "source": {"type": "object", "enabled": False},
    "nested": {"type": "nested", "properties": {"text": {"type": "keyword", "index": False}}},
}


def canary() -> str:
    """Something that is in no file unless it was written there; upper case, which no compression of terms touches."""
    return "".join(secrets.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(24))


def add_canaries(bench: Workbench, index: str, tenant: str) -> dict[str, list[str]]:
    """Add documents that can be found by each kind of field, among many others in one segment."""
    es, name = bench.es, bench.prefix + index
    es.indices.put_mapping(index=name, properties=MAPPING)
    canaries: dict[str, list[str]] = {kind: [] for kind in KINDS}
    operations: list[dict[str, Any]] = []
    for _ in range(DOOMED):
        one = {kind: canary() for kind in KINDS}
        for kind, text in one.items():
            canaries[kind].append(text)
        # With a dot: else an id may be stored decoded, as base64, and not be found as such.
        operations.append({"index": {"_index": name, "_id": f"d.{one['id']}", "routing": one["routing"]}})
        fields = {kind: one[kind] for kind in ("keyword", "stored", "text", "term")}
        inner = {"source": {"only": one["source"]}, "nested": [{"text": one["nested"]}]}
        operations.append({"@timestamp": 1_700_000_000_000, "sdkappid": tenant, **fields, **inner})
    for _ in range(OTHERS):  # few of many, so that no ordinary merge rewrites them
        operations += [{"index": {"_index": name}}, {"@timestamp": 1_700_000_000_000, "sdkappid": "other"}]
    assert not es.bulk(operations=operations, refresh=True)["errors"]
    es.indices.flush(index=name, force=True)
    return canaries


def contents(bench: Workbench, *names: str) -> bytes | None:
    """All that is on disk of these indices; None where that cannot be read from here."""
    stats = bench.es.indices.stats(index=names, level="shards", filter_path="indices.*.uuid,**.shard_path.data_path")
    folders = [folder for index in stats["indices"].values() for folder in _folders(index)]
    if not all(folder.is_dir() for folder in folders):
        return None
    return b"".join(content for folder in folders for content in _read(folder))


def files(bench: Workbench, *names: str) -> bytes:
    """The same; skips where it cannot be read from here."""
    found = contents(bench, *names)
    if found is None:
        pytest.skip("the server's files cannot be read from here")
    return found


def _folders(index: dict[str, Any]) -> list[Path]:
    paths = {copy["shard_path"]["data_path"] for copies in index["shards"].values() for copy in copies}
    return [Path(path) / "indices" / index["uuid"] for path in paths]


def _read(folder: Path) -> Iterator[bytes]:
    for file in folder.rglob("*"):
        try:
            yield file.read_bytes() if file.is_file() else b""
        except FileNotFoundError:
            continue  # a merge was faster


def on_disk(bench: Workbench, index: str, canaries: dict[str, list[str]]) -> dict[str, int]:
    content = files(bench, bench.prefix + index)
    return {kind: sum(text.encode() in content for text in those) for kind, those in canaries.items()}
