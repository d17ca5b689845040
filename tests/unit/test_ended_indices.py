"""Which indices of terminated tenants keep the lifecycle that deletes at once, and until when."""

from __future__ import annotations

import json

import pytest

from builders import NOW, index
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.instants import HOUR
from retention_enforcer.domain.lifecycles.ended import EndedIndices

ONE, OTHER = index("logs-1-a", sequence_numbers=(3, 5)), index("logs-2-a", sequence_numbers=(7,))
ENDED = EndedIndices(until=NOW + HOUR, sequence_numbers={ONE.uuid: (3, 5), OTHER.uuid: (7,)})


def test_an_index_is_among_them_until_somebody_writes_to_it_or_the_look_is_too_old() -> None:
    assert ENDED.include(ONE, NOW + HOUR)
    assert not ENDED.include(ONE, NOW + HOUR + 1)
    assert not ENDED.include(index("logs-1-a", sequence_numbers=(3, 6)), NOW)
    assert not ENDED.include(index("logs-3-a", sequence_numbers=(3, 5)), NOW)


def test_where_nothing_is_known_none_is() -> None:
    assert not EndedIndices.of({}).include(ONE, 0)


def test_what_was_stored_is_read_as_it_was() -> None:
    assert EndedIndices.of(json.loads(json.dumps(ENDED.body()))) == ENDED


def test_what_nobody_can_read_is_refused() -> None:
    with pytest.raises(Refused, match="ended indices"):
        EndedIndices.of({"until": "soon"})


def test_one_that_is_taken_off_is_not_among_them_any_more() -> None:
    rest = ENDED.without({ONE.uuid})
    assert not rest.include(ONE, NOW)
    assert rest.include(OTHER, NOW)
