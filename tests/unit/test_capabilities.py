"""What a cluster lacks is found out once, by whichever thread asks first."""

from __future__ import annotations

from typing import Any

import pytest
from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig
from elasticsearch import ApiError, Elasticsearch

from retention_enforcer.cluster.preflight import Capabilities, Part
from retention_enforcer.domain.errors import RequestRejected

META = ApiResponseMeta(
    status=405, http_version="1.1", headers=HttpHeaders(), duration=0.0, node=NodeConfig("http", "localhost", 9200)
)
ABSENT = ApiError("no", META, {"error": "Incorrect HTTP method for uri [/_data_stream/*] and method [GET]"})


@pytest.fixture
def capabilities() -> Capabilities:
    return Capabilities(Elasticsearch("http://localhost:9200"))


def absent() -> Any:
    raise ABSENT


def test_two_that_ask_at_once_are_both_told_that_it_is_absent(capabilities: Capabilities) -> None:
    def while_another_asks() -> Any:
        assert capabilities.ask(Part.STREAMS, absent) is None
        raise ABSENT

    assert capabilities.ask(Part.STREAMS, while_another_asks) is None
    assert capabilities.ask(Part.STREAMS, lambda: "not asked") is None


def test_a_part_that_was_there_is_not_taken_for_absent(capabilities: Capabilities) -> None:
    assert capabilities.ask(Part.STREAMS, lambda: "there") == "there"
    with pytest.raises(RequestRejected):
        capabilities.ask(Part.STREAMS, absent)
