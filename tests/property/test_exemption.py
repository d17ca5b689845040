"""What a date says of an index that is kept from its stream's lifecycle, whatever date it had before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from retention_enforcer.domain.lifecycles.exemption import FAR_AHEAD, Exemption, exemption_in

YEAR_9999 = 253_402_300_799_999
exemptions = st.builds(Exemption, given_back=st.booleans(), before=st.none() | st.integers(0, YEAR_9999))


@given(exemptions)
def test_it_says_what_ruled_the_index_and_which_date_was_there(exemption: Exemption) -> None:
    assert exemption_in(exemption.date) == exemption
    assert exemption.date >= FAR_AHEAD, "no lifecycle of anybody deletes by it in a lifetime"


@given(st.none() | st.integers(-1, YEAR_9999).filter(lambda date: date not in (FAR_AHEAD, FAR_AHEAD + 1)))
def test_a_date_that_anybody_else_would_set_is_not_taken_for_one(date: int | None) -> None:
    assert exemption_in(date) is None
