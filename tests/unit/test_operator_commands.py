"""What `stop` and `resume` do with a document of each other's that nobody can read: they say which, and end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from registrar_bench import Clock, Documents, Fuse
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.lease import Versioned
from retention_enforcer.domain.own.control_documents import RESUMED, STOP
from retention_enforcer.enforcement.operator.commands import resume, stop
from retention_enforcer.enforcement.ports import DocumentStore


class State(Documents):
    def versions(self, keys: Sequence[str]) -> dict[str, Versioned]:
        return {key: Versioned(body=body, version=(0, 1)) for key, body in self.load(keys).items()}


def stored(key: str, body: dict[str, Any]) -> DocumentStore:
    documents = State(Fuse())
    documents.save(key, body, 0)
    return cast("DocumentStore", documents)


def test_a_resume_that_cannot_be_read_is_named_by_stop() -> None:
    with pytest.raises(Refused, match="resume"):
        stop(stored(RESUMED, {"at": "soon"}), stored("lease", {}), Clock())


@pytest.mark.parametrize("body", [{"at": "soon"}, {"by": "somebody"}])
def test_a_stop_that_was_not_set_does_not_say_that_nothing_is_deleted(body: dict[str, Any]) -> None:
    control = stored(RESUMED, body)
    with pytest.raises(Refused) as refused:
        stop(control, stored("lease", {}), Clock())
    assert STOP not in control.load([STOP])
    assert "the flag is not set" in str(refused.value)
    assert "nothing is deleted" not in str(refused.value)


def test_a_confirmation_that_cannot_be_read_confirms_nothing() -> None:
    control = cast("DocumentStore", State(Fuse()))
    with pytest.raises(Refused) as refused:
        stop(control, stored(STOP, {"at": "soon"}), Clock())
    assert STOP in control.load([STOP])
    assert "the flag is set" in str(refused.value)
    assert "nothing is deleted" not in str(refused.value)


def test_a_stop_that_cannot_be_read_is_named_by_resume() -> None:
    with pytest.raises(Refused, match="stop"):
        resume(stored(STOP, {"at": None}), Clock())
