"""What the cluster's description of a data stream says of its lifecycles, in 8.17 and in newer versions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from elasticsearch import Elasticsearch

from builders import index
from retention_enforcer.cluster.lifecycles.streams import described, read_stream_errors, read_stream_lifecycles
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.lifecycles.streams import StreamRollover

BY_STREAM, BY_ILM = "Data stream lifecycle", "Index Lifecycle Management"
AUTOMATIC = {
    "min_docs": 1,
    "max_primary_shard_docs": 200_000_000,
    "max_primary_shard_size": "50gb",
    "max_age": "7d [automatic]",
}


def stream(**more: Any) -> dict[str, Any]:
    return {
        "name": "logs",
        "indices": [
            {"index_name": ".ds-logs-000001", "managed_by": BY_ILM},
            {"index_name": ".ds-logs-000003", "managed_by": BY_STREAM},
        ],
        "failure_store": {"indices": [{"index_name": ".fs-logs-000002", "managed_by": BY_STREAM}]},
        "next_generation_managed_by": BY_STREAM,
        **more,
    }


def test_one_lifecycle_rules_data_and_failure_store_in_8_17() -> None:
    lifecycle = {"enabled": True, "data_retention": "30d", "effective_retention": "20d", "rollover": AUTOMATIC}
    lifecycle["retention_determined_by"] = "max_global_retention"
    (found,) = described(stream(lifecycle=lifecycle))
    assert (found.retention, found.determined_by) == (20 * DAY, "max_global_retention")
    assert found.rollover == StreamRollover(max_age=7 * DAY, automatic=True)
    assert found.members == {".ds-logs-000003", ".fs-logs-000002"}
    assert found.acts
    assert found.is_for(index(stream="logs"))
    assert found.is_for(index(stream="logs", failure_store=True))
    assert not found.is_for(index(stream="other"))


def test_the_failure_store_has_one_of_its_own_in_newer_versions() -> None:
    own = {"enabled": True, "effective_retention": "30d", "retention_determined_by": "default_failures_retention"}
    answer = stream(
        lifecycle={"enabled": True, "data_retention": "7d", "rollover": {**AUTOMATIC, "max_age": "1d [automatic]"}}
    )
    answer["failure_store"]["lifecycle"] = own
    data, failures = described(answer)
    assert (data.retention, data.members) == (7 * DAY, {".ds-logs-000003"})
    assert (failures.retention, failures.members) == (30 * DAY, {".fs-logs-000002"})
    assert failures.rollover == StreamRollover(max_age=7 * DAY, automatic=True), "by its own retention"
    assert failures.name == "the failure store of the data stream logs"
    assert (data.is_for(index(stream="logs")), failures.is_for(index(stream="logs"))) == (True, False)
    store = index(stream="logs", failure_store=True)
    assert (data.is_for(store), failures.is_for(store)) == (False, True)


def test_also_where_the_stream_has_none() -> None:
    answer = stream()
    answer["failure_store"]["lifecycle"] = {"enabled": True, "effective_retention": "30d"}
    (failures,) = described(answer)
    assert (failures.failure_store, failures.acts) == (True, True)


def test_a_stream_without_any_has_none() -> None:
    assert list(described(stream())) == []


def test_what_can_hold_a_rollover_back_for_ever_is_no_age() -> None:
    for conditions in ({"max_age": "1d", "min_docs": 5}, {"max_age": "1d", "min_docs": 1, "min_age": "2d"}):
        (found,) = described(stream(lifecycle={"enabled": True, "rollover": conditions}))
        assert (found.retention, found.rollover.may_wait) == (None, True)
    (found,) = described(stream(lifecycle={"enabled": True, "rollover": {"min_docs": 1}}))
    assert found.rollover == StreamRollover(max_age=None)


class Answers:
    """A client that answers for a thousand streams of ten indices, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.indices = self

    def get_data_stream(self, *, name: str, **_: object) -> Any:
        self.asked.append(name)
        lifecycle = {"enabled": True, "data_retention": "30d", "rollover": AUTOMATIC}
        return SimpleNamespace(body={"data_streams": [stream(name=one, lifecycle=lifecycle) for one in THOUSAND]})

    def perform_request(self, _: str, path: str, **__: object) -> Any:
        self.asked.append(path)
        error = {"error": {"message": '{"type":"a_exception","reason":"b"}'}}
        return SimpleNamespace(body={"indices": {f".ds-{one}-{n}": error for one in THOUSAND for n in range(10)}})


THOUSAND = {f"logs-app-{number:04d}-default" for number in range(1_000)}


def test_a_thousand_streams_take_one_request_each_way() -> None:
    client = Answers()
    found = read_stream_lifecycles(cast("Elasticsearch", client), THOUSAND, {"logs-*"})
    errors = read_stream_errors(cast("Elasticsearch", client), (), {"logs-*"})
    assert (len(found), len(errors)) == (1_000, 10_000)
    assert client.asked == ["logs-*", "/logs-*/_lifecycle/explain"]
