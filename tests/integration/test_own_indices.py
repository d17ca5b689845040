"""The enforcer's own indices on a real server: what a template brings is kept away, and what is lost is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch import ApiError

from retention_enforcer.bootstrap import Deployment, Surroundings, SystemClock
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.ledger.records import Head, seal
from retention_enforcer.domain.own.settings import STATED
from workbench import Workbench

PIPELINES = {"index.default_pipeline": "nobodys", "index.final_pipeline": "nobodys"}
HARMFUL = {
    **PIPELINES,
    "index.refresh_interval": "-1",
    "index.max_result_window": 10,
    "index.translog.durability": "async",
    "index.sort.field": "a",
    "index.number_of_shards": 2,
    "index.mapping.ignore_malformed": True,
}


@pytest.fixture
def template(bench: Workbench) -> Iterator[Any]:
    """Puts a template that matches every name under the prefix."""
    name = f"{bench.prefix}everything"

    def put(settings: dict[str, Any] | None = None, **more: Any) -> None:
        body = {
            "settings": settings or {},
            "mappings": {
                "dynamic": True,
                "_source": {"excludes": ["body"]},
                "runtime": {"sequence": {"type": "keyword"}},
                "properties": {"a": {"type": "keyword"}},
            },
            "aliases": {f"{bench.prefix}everybody": {}},
        }
        template = None if "data_stream" in more else body
        bench.es.indices.put_index_template(
            name=name, index_patterns=[f"{bench.prefix}*"], priority=900, template=template, **more
        )

    yield put
    bench.es.options(ignore_status=404).indices.delete_index_template(name=name)


def own(bench: Workbench) -> dict[str, Any]:
    return dict(bench.es.indices.get(index=",".join(bench.own.names), flat_settings=True))


def test_a_template_for_every_name_does_not_reach_the_own_indices(bench: Workbench, template: Any) -> None:
    template(HARMFUL)
    assert bench.run("setup", "--indices-only").code == 0
    for name, index in own(bench).items():
        assert not [s for s, value in HARMFUL.items() if index["settings"].get(s) in (value, str(value))], name
        assert f"{bench.prefix}everybody" not in index["aliases"]
        assert index["mappings"]["dynamic"] == "strict"
        assert not {"_source", "runtime"} & index["mappings"].keys()
    bench.es.indices.delete_index_template(name=f"{bench.prefix}everything")
    assert bench.run("policy", "accept").code == 0
    assert bench.run("run", "--once").code == 0
    assert bench.run("setup", "--indices-only").out.count("up to date") == 5


def test_a_template_that_makes_streams_does_not_keep_them_from_being_created(bench: Workbench, template: Any) -> None:
    try:
        template(data_stream={})
    except ApiError as error:
        pytest.skip(f"this server has no data streams ({error.meta.status})")
    assert bench.run("setup", "--indices-only").code == 0
    assert len(own(bench)) == 5


def test_a_lifecycle_on_an_own_index_lets_nothing_be_deleted_until_setup_takes_it_off(bench: Workbench) -> None:
    policy = f"{bench.prefix}theirs"
    try:
        bench.es.ilm.put_lifecycle(name=policy, policy={"phases": {"hot": {"actions": {}}}})
    except ApiError as error:
        pytest.skip(f"this server has no lifecycles ({error.meta.status})")
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    bench.ready()
    bench.es.indices.put_settings(index=bench.own.control, settings={"index.lifecycle.name": policy})
    refused = bench.run("run", "--once")
    assert refused.code == 4
    assert "index.lifecycle.name" in refused.err
    assert "retention-enforcer setup" in refused.err
    assert bench.run("check").code == 4
    assert bench.count("logs-a") == 1
    assert "corrected (index.lifecycle.name)" in bench.run("setup", "--indices-only").out
    assert bench.run("run", "--once").code == 0
    bench.es.ilm.delete_lifecycle(name=policy)


@pytest.mark.parametrize("setting", ["index.default_pipeline", "index.max_result_window", "index.translog.durability"])
def test_a_setting_that_was_changed_is_refused_until_setup_puts_it_right(bench: Workbench, setting: str) -> None:
    bench.ready()
    values = {**HARMFUL, "index.default_pipeline": "nobodys"}
    bench.es.indices.put_settings(index=bench.own.state, settings={setting: values[setting]})
    refused = bench.run("run", "--once")
    assert (refused.code, setting in refused.err) == (4, True), refused.err
    assert bench.run("setup", "--indices-only").code == 0
    assert bench.run("run", "--once").code == 0


# --- lost under a daemon that runs --------------------------------------------------------------------

ALL = ["ledger_index", "control", "state", "requests", "terminations"]


LOST = [(ALL, False), (ALL, True), (["ledger_index"], True), *(([one], False) for one in ALL)]


@pytest.mark.parametrize(("lost", "without_lease"), LOST)
def test_own_indices_made_anew_under_a_daemon_stop_it(bench: Workbench, lost: list[str], without_lease: bool) -> None:
    bench.ready()
    acting = Deployment(Surroundings(environ=bench.environ, own=bench.own)).acting()
    assert acting.lease.try_to_take()
    acting.worker.start()
    acting.worker.run("logs")
    records = len(bench.records())
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    bench.es.indices.delete(index=[str(getattr(bench.own, one)) for one in lost])
    bench.ready()
    if without_lease:
        bench.es.options(ignore_status=404).delete(index=bench.own.state, id="lease", refresh=True)
        acting.lease.renew()
        assert acting.lease.try_to_take()
        with pytest.raises(Refused):
            acting.worker.start()
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            acting.worker.run("logs")
        assert "ledger adopt" in refused.value.remedy
    assert bench.count("logs-a") == 1
    assert len(bench.records()) == (0 if "ledger_index" in lost else records)
    assert bench.run("ledger", "adopt").code == 0
    if not acting.lease.held or "state" in lost:
        acting.lease.renew()
        assert acting.lease.held or acting.lease.try_to_take()
    acting.worker.start()
    acting.worker.run("logs")
    assert bench.is_gone("logs-a")
    acting.lease.release()


def test_a_lease_that_is_lost_is_taken_under_a_higher_epoch(bench: Workbench) -> None:
    bench.ready()
    for _ in range(2):
        bench.index("logs-a", [SystemClock().now() - 20 * DAY])
        assert bench.run("run", "--once").code == 0
        bench.es.delete(index=bench.own.state, id="lease", refresh=True)
    epochs = [record["epoch"] for record in bench.records()]
    assert epochs == sorted(epochs)
    assert len(set(epochs)) == 2


def test_a_ledger_of_an_earlier_version_gets_its_fields_by_setup_and_keeps_its_records(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    bench.ready()
    assert bench.run("run", "--once").code == 0
    # The same ledger as before that field was there, and before records had it.
    name, head, earlier = bench.own.ledger_index, Head(), list[dict[str, Any]]()
    mappings = bench.es.indices.get_mapping(index=name)[name]["mappings"]
    del mappings["properties"]["details"]
    del mappings["properties"]["records"]
    left_out = ("details", "sequence", "previous", "hash")
    for record in bench.records():
        earlier.append(seal({k: v for k, v in record.items() if k not in left_out}, head))
        head = Head(earlier[-1]["sequence"], earlier[-1]["hash"])
    bench.es.indices.delete(index=name)
    settings = {key: value for key, value in STATED.items() if value is not None}
    aliases = {bench.own.ledger: {"is_write_index": True}}
    bench.es.indices.create(index=name, mappings=mappings, settings=settings, aliases=aliases)
    for record in earlier:
        bench.es.create(index=name, id=f"{record['sequence']:012d}", document=record, refresh=True)

    assert "created by an earlier version, without the fields details, records" in bench.run("run", "--once").err
    assert "corrected (fields of a later version)" in bench.run("setup", "--indices-only").out
    assert bench.run("ledger", "adopt").code == 0
    bench.index("logs-b", [SystemClock().now() - 20 * DAY])
    assert bench.run("run", "--once").code == 0
    verified = bench.run("ledger", "verify")
    assert (verified.code, "checkpoints: 2 checked" in verified.out) == (0, True), verified.out
