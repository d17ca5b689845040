"""Which field is likely meant by a timestamp that no document has."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from builders import category, facts, index
from retention_enforcer.domain.facts import Ageless, CategoryFacts, Doubt
from retention_enforcer.domain.findings import Severity
from retention_enforcer.domain.proof import about_ages
from retention_enforcer.domain.timestamps import absent, likely_field


@pytest.mark.parametrize(
    ("wanted", "dates", "expected"),
    [
        ("tiem", ["time"], "time"),
        ("tiem", ["created", "time"], "time"),
        ("@timestamp", ["timestamp", "updated"], "timestamp"),
        ("@timestamp", ["received"], "received"),
        ("@timestamp", ["a", "b"], None),
        ("@timestamp", ["@timestamp"], None),
        ("@timestamp", [], None),
    ],
)
def test_the_only_date_is_likely_meant_or_the_nearest_by_its_name(
    wanted: str, dates: Collection[str], expected: str | None
) -> None:
    assert likely_field(wanted, dates) == expected


def test_what_is_said_names_the_likely_field_or_all_or_none() -> None:
    assert "timestamp: time for" in absent("logs-a", "tiem", 3, {"time"}).mend
    assert "(a, b are dates there)" in absent("logs-a", "@timestamp", 3, {"b", "a"}).mend
    assert "no field there is mapped as date" in absent("logs-a", "@timestamp", 3, ()).mend


WITHOUT = absent("logs-a", "tiem", 3, {"time"})
NO_DATE = Ageless(doubt=Doubt.TIMESTAMP_TYPE, text="no date", mend="map it")


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (facts(index(ages=[1])), []),
        (facts(index(undated=1)), []),
        (facts(index(undated=3, ageless=WITHOUT)), ["logs-a"]),
        (facts(index(undated=3, ageless=WITHOUT), index("logs-b")), ["logs-a"]),
        (facts(index(undated=3, ageless=WITHOUT), index("logs-b", ages=[1])), ["logs-a"]),
        (facts(index(undated=3, ageless=WITHOUT), index("logs-b", undated=1, ageless=WITHOUT)), [None]),
        (facts(index(undated=3, ageless=WITHOUT), index("logs-b", undated=1, ageless=NO_DATE)), ["logs-a", "logs-b"]),
    ],
)
def test_one_finding_an_index_without_ages_or_one_in_all_where_no_document_has_the_timestamp(
    seen: CategoryFacts, expected: list[str | None]
) -> None:
    found = list(about_ages(category(timestamp="tiem"), seen))
    assert [finding.index for finding in found] == expected
    assert {finding.severity for finding in found} <= {Severity.ERROR}
    (empty,) = about_ages(category(), facts(index(ageless=NO_DATE)))
    assert empty.severity is Severity.WARNING
    assert not list(about_ages(category(max_age=None, after_termination=1), seen))
