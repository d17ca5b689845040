"""What is said of an answer that is an error: what lies at its root, and nothing that stands in a document."""

from __future__ import annotations

from typing import Any

import pytest

from retention_enforcer.cluster.errors import cause_of, from_answer, one_line
from retention_enforcer.domain.errors import RequestRejected

ROOT = {"type": "illegal_argument_exception", "reason": "Fielddata is disabled on [app]"}
SHARD = {"shard": 0, "index": "logs-1", "node": "n", "reason": {**ROOT, "caused_by": {"type": "x", "reason": ""}}}
WHOLE = {"type": "search_phase_execution_exception", "reason": "all shards failed", "phase": "query"}
SAID = "illegal_argument_exception: Fielddata is disabled on [app]"


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"error": {**WHOLE, "failed_shards": [SHARD], "root_cause": [ROOT]}, "status": 400}, SAID),
        ({"error": {**WHOLE, "failed_shards": [], "root_cause": [ROOT]}, "status": 400}, SAID),
        ({"error": {**WHOLE, "reason": "", "failed_shards": [], "root_cause": [], "caused_by": ROOT}}, SAID),
        ({"error": {**WHOLE, "caused_by": {"type": "a", "reason": "b", "caused_by": ROOT}}}, SAID),
        ({"error": {**ROOT, "root_cause": [ROOT]}, "status": 400}, SAID),
        ({"error": {"type": "a_exception", "reason": None, "root_cause": [{"type": "b", "reason": "c"}]}}, "b: c"),
        (SHARD, SAID),
        ({"error": "no handler found"}, "no handler found"),
        ({}, ""),
        (None, ""),
    ],
)
def test_the_cause_is_what_lies_at_the_root(part: Any, said: str) -> None:
    assert cause_of(part) == said


def test_an_answer_that_says_nothing_is_said_to() -> None:
    assert "no reason given (HTTP 418)" in from_answer(418, None).message


def test_a_body_that_is_too_large_names_the_setting() -> None:
    assert "http.max_content_length" in from_answer(413, None).message


@pytest.mark.parametrize(
    "text",
    [
        "failed to parse field [a] of type [long] in document with id 'SECRET'. Preview of field's value: 'SECRET'",
        'For input string: "SECRET"',
        'failed to create query: For input string: "SECRET"',
        "[SECRET]: version conflict, required seqNo [2], primary term [1]",
        "failed to parse date field [SECRET] with format [epoch_millis]",
        "Cannot parse value [SECRET] of the field",
        "Value [SECRET] is out of range for a long",
        "immense term in field=\"a\": prefix of the first term is: 'SECRET'",
        "the document with _id [SECRET] is missing",
    ],
)
def test_what_stands_in_a_document_is_left_out(text: str) -> None:
    assert "SECRET" not in one_line(text)


def test_names_of_fields_and_of_settings_are_not() -> None:
    text = "Text fields [app] need the doc's values; can't do it. Set [index.max_terms_count]"
    assert one_line(text) == text


def test_the_setting_to_change_is_named_however_long_the_reason_is() -> None:
    long = f"Trying to query 6 shards, which is over the limit of 3. {'It is so. ' * 40}"
    said = one_line(f"{long} Update [action.search.shard_count.limit] to a greater value if you really want to.")
    assert said.endswith("… [action.search.shard_count.limit]")
    assert len(said) == 300


def test_serverless_is_named_as_what_it_is() -> None:
    reason = "Request for uri [/_cluster/stats] exists but is not available when running in serverless mode"
    error = from_answer(410, {"error": {"type": "api_not_available_exception", "reason": reason}, "status": 410})
    assert isinstance(error, RequestRejected)
    assert "Elasticsearch Serverless" in error.message
    assert "self-managed" in error.remedy
