"""Which field is likely meant by a timestamp that no document has."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from builders import category, facts, index
from retention_enforcer.domain.expiry.ageless import absent, another_type, likely_field
from retention_enforcer.domain.expiry.proof import about_ages
from retention_enforcer.domain.facts import Ageless, CategoryFacts, Doubt
from retention_enforcer.domain.findings import Severity
from retention_enforcer.domain.timestamps import AT_TIMESTAMP, Timestamp


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
    tiem, dates, number = Timestamp("tiem"), {"b": "date", "a": "date_nanos"}, {"load": "long"}
    assert "timestamp: time for" in absent("logs-a", tiem, 3, {"time": "date", **number}).remedy
    assert ": a, b" in absent("logs-a", AT_TIMESTAMP, 3, dates | {"start_time": "long"}).remedy
    assert "no field there is mapped as date" in absent("logs-a", AT_TIMESTAMP, 3, number).remedy
    millis = {"timestamp_millis": "long", **number}
    assert "timestamp: {field: timestamp_millis, unit: …}" in absent("logs-a", AT_TIMESTAMP, 3, millis).remedy
    buckets = {"time_bucket": "long", "last_at": "long"}
    assert "fields there: last_at, time_bucket" in absent("logs-a", AT_TIMESTAMP, 3, buckets).remedy


@pytest.mark.parametrize(
    ("timestamp", "type_", "remedy"),
    [
        (Timestamp("t"), "long", "set timestamp: {field: t, unit: …} with the unit of its values, or map t as date"),
        (Timestamp("t"), "keyword", "with the pattern of its values, or map t as date"),
        (Timestamp("t"), "text", "map t as date in the index template and reindex logs-a"),
        (Timestamp("t", "ms"), "date", "set timestamp: t for this category, without a unit"),
        (Timestamp("t", "ms"), "keyword", "map t as long in the index template"),
        (Timestamp("t", "ms"), "integer", "map t as long in the index template"),
        (Timestamp("t", "yyyyMMddHHmmss"), "integer", "map t as long in the index template"),
        (Timestamp("t", "yyyyMMddHHmmss"), "double", "map t as long in the index template"),
        (Timestamp("t", "yyyy-MM-dd"), "long", "map t as keyword in the index template"),
    ],
)
def test_what_is_mapped_otherwise_than_the_policy_says_is_said_with_its_remedy(
    timestamp: Timestamp, type_: str, remedy: str
) -> None:
    assert type_ not in timestamp.types
    said = another_type("logs-a", timestamp, type_)
    assert f"t of logs-a is mapped as {type_}" in said.text
    assert remedy in said.remedy


WITHOUT = absent("logs-a", Timestamp("tiem"), 3, {"time": "date"})
NO_DATE = Ageless(doubt=Doubt.TIMESTAMP_TYPE, text="no date", remedy="map it")


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
    found = list(about_ages(category(timestamp=Timestamp("tiem")), seen))
    assert [finding.index for finding in found] == expected
    assert {finding.severity for finding in found} <= {Severity.ERROR}
    (empty,) = about_ages(category(), facts(index(ageless=NO_DATE)))
    assert empty.severity is Severity.WARNING
    assert not list(about_ages(category(max_age=None, after_termination=1), seen))
