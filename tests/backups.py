"""Snapshot repositories under one test's prefix, on a real server."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import ApiError, Elasticsearch

from retention_enforcer.domain.instants import SECOND


class Backups:
    """The repositories, and the snapshots in them, of one test."""

    def __init__(self, es: Elasticsearch, prefix: str, folder: Path) -> None:
        self.es = es
        self.prefix = prefix
        self.folder = folder
        """Where the server keeps repositories; it may be out of reach from here."""
        self.made: set[str] = set()

    def repository(self, name: str = "backups", **settings: Any) -> str:
        full = self.prefix + name
        self.made.add(full)
        body = {"type": "fs", "settings": {"location": full, **settings}}
        self.es.snapshot.create_repository(name=full, repository=body, verify=False)
        return full

    def index(self, name: str, **document: Any) -> str:
        self.es.index(
            index=self.prefix + name, document={"@timestamp": int(time.time() * SECOND), **document}, refresh=True
        )
        return self.prefix + name

    def take(self, repository: str, name: str, *, policy: str | None = None, wait: bool = True) -> dict[str, Any]:
        metadata = {"policy": policy} if policy else None
        answer = self.es.snapshot.create(
            repository=repository,
            snapshot=name,
            indices=f"{self.prefix}*",
            include_global_state=False,
            metadata=metadata,
            wait_for_completion=wait,
        )
        return dict(answer.get("snapshot", {}))

    def files(self, repository: str, pattern: str) -> list[Path]:
        found = sorted((self.folder / repository).glob(pattern))
        if not found:
            pytest.skip(f"the server's repositories are out of reach from here ({self.folder})")
        return found

    def damage(self, repository: str, name: str = "backups") -> None:
        """Leave its catalogue unreadable; the server reads it anew only when the repository is registered anew."""
        self.es.snapshot.delete_repository(name=repository)
        for path in self.files(repository, "index-*"):
            path.write_bytes(b"garbage")
        self.repository(name)

    def remove(self) -> None:
        for name in self.made:
            with suppress(ApiError):  # unregistered, or damaged
                for snapshot in self.es.snapshot.get(repository=name, snapshot="_all", verbose=False)["snapshots"]:
                    self.es.snapshot.delete(repository=name, snapshot=snapshot["snapshot"])
            with suppress(ApiError):
                self.es.snapshot.delete_repository(name=name)
            shutil.rmtree(self.folder / name, ignore_errors=True)


@pytest.fixture
def backups(es: Elasticsearch, prefix: str) -> Iterator[Backups]:
    nodes = es.nodes.info(metric="settings", filter_path="nodes.*.settings.path.repo").body.get("nodes", {})
    places = {str(place) for node in nodes.values() for place in _listed(node["settings"]["path"]["repo"])}
    if len(places) != 1:
        pytest.skip(f"this server has no place for repositories of type fs (path.repo: {sorted(places)})")
    made = Backups(es, prefix, Path(*places))
    yield made
    made.remove()


def _listed(setting: str | list[str]) -> list[str]:
    return [setting] if isinstance(setting, str) else setting
