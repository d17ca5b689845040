"""What `stop` and `resume` do with a document of each other's that nobody can read: they say which, and end."""

from __future__ import annotations

from typing import Any, cast

import pytest

from registrar_bench import Clock, Documents, Fuse
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.own.control_documents import RESUMED, STOP
from retention_enforcer.enforcement.operator.commands import resume, stop
from retention_enforcer.enforcement.ports import DocumentStore


def stored(key: str, body: dict[str, Any]) -> DocumentStore:
    documents = Documents(Fuse())
    documents.save(key, body, 0)
    return cast("DocumentStore", documents)


def test_a_resume_that_cannot_be_read_is_named_by_stop() -> None:
    with pytest.raises(Refused, match="resume"):
        stop(stored(RESUMED, {"at": "soon"}), stored("lease", {}), Clock())


def test_a_stop_that_cannot_be_read_is_named_by_resume() -> None:
    with pytest.raises(Refused, match="stop"):
        resume(stored(STOP, {"at": None}), Clock())
