"""What an own index must be like: what a template of the cluster brought into it, or somebody changed since.

A template that matches every name reaches the enforcer's own indices too, and a lifecycle in it would delete the ledger
and the holds. So each setting that could do harm is stated when an index is created, and compared ever after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

STATED: Mapping[str, Any] = {
    "index.number_of_shards": 1,  # one primary keeps records in one order
    "index.auto_expand_replicas": "0-1",  # a replica as soon as there is a second node
    "index.lifecycle.name": None,
    "index.default_pipeline": "_none",
    "index.final_pipeline": "_none",
    "index.refresh_interval": "1s",
    "index.max_result_window": 10_000,
    "index.max_terms_count": 65_536,
    "index.translog.durability": "request",  # what was acknowledged is on the disk
    "index.write.wait_for_active_shards": "1",
    "index.mapping.ignore_malformed": False,
    "index.mode": None,
    "index.sort.field": None,
}
"""The settings that are stated when an own index is created; None: that there is none, whatever a template says."""

_HARMLESS: Mapping[str, frozenset[str]] = {
    "index.number_of_shards": frozenset({"1"}),
    "index.lifecycle.name": frozenset({""}),
    "index.default_pipeline": frozenset({"", "_none"}),
    "index.final_pipeline": frozenset({"", "_none"}),
    "index.translog.durability": frozenset({"", "request", "REQUEST"}),
    "index.write.wait_for_active_shards": frozenset({"", "0", "1"}),
    "index.mapping.ignore_malformed": frozenset({"", "false"}),
    "index.mapping.source.mode": frozenset({"", "stored", "STORED"}),
    "index.mode": frozenset({"", "standard"}),
    "index.sort.field": frozenset({"", "[]"}),
}
"""Values that such a setting may have; every other one is a deviation."""

_AT_LEAST: Mapping[str, int] = {"index.max_result_window": 10_000, "index.max_terms_count": 65_536}

FIXED = frozenset({"index.number_of_shards", "index.mapping.source.mode", "index.mode", "index.sort.field"})
"""Settings that cannot be changed on an index that is there."""

LATER = frozenset({"details", "records"})
"""Fields that were added to the mapping of an own index. No document from before has them, so a search misses nothing:
they may be added to what is there."""

ADDED = "fields of a later version"
"""What deviates where a mapping lacks one of these."""

_SETUP = "run retention-enforcer setup, which corrects this and removes nothing"
_MOVE = (
    "take a snapshot, then move its documents into a new index as `setup --print` shows; it cannot be changed in place"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One thing in which an own index is not as it must be."""

    index: str
    what: str
    """The setting, or the part of the mapping."""
    text: str
    repairable: bool

    @property
    def remedy(self) -> str:
        """What to do; nothing of it destroys anything."""
        return _SETUP if self.repairable else _MOVE


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSeen:
    """One own index as it is."""

    uuid: str
    deviations: tuple[Deviation, ...] = ()


def deviations(
    name: str, settings: Mapping[str, Any], mapping: Mapping[str, Any], wanted: Mapping[str, Any]
) -> Iterator[Deviation]:
    """Yield in what an index deviates; `settings` flat, `mapping` as the cluster has it, `wanted` as it was created."""
    for setting, fine in _HARMLESS.items():
        value = _text(settings.get(setting))
        if value not in fine:
            yield _of_setting(name, setting, value)
    for setting, least in _AT_LEAST.items():
        value = _text(settings.get(setting))
        if value and int(value) < least:
            yield _of_setting(name, setting, value)
    if _text(settings.get("index.refresh_interval")).startswith("-"):
        yield _of_setting(name, "index.refresh_interval", _text(settings["index.refresh_interval"]))
    yield from _of_mapping(name, mapping, wanted)


def _of_mapping(name: str, mapping: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Deviation]:
    dynamic = _text(mapping.get("dynamic"))
    if dynamic != wanted["dynamic"]:
        text = f"its mapping has dynamic: {dynamic or 'true'} instead of strict"
        yield Deviation(index=name, what="dynamic", text=text, repairable=True)
    source = mapping.get("_source", {})
    if _text(source.get("enabled")) == "false" or _text(source.get("mode")) not in ("", "stored"):
        yield Deviation(
            index=name, what="_source", text="it does not store its documents as they were written", repairable=False
        )
    if source.get("excludes") or source.get("includes"):
        yield Deviation(index=name, what="_source", text="it stores only parts of its documents", repairable=False)
    if _text(mapping.get("_routing", {}).get("required")) == "true":
        yield Deviation(
            index=name, what="_routing", text="it accepts no document without a routing value", repairable=False
        )
    if mapping.get("runtime"):
        yield Deviation(index=name, what="runtime", text="its mapping has runtime fields", repairable=True)
    there = mapping.get("properties", {})
    added = {field for field in wanted["properties"] if field not in there and field in LATER}
    if added:
        text = f"it was created by an earlier version, without the fields {', '.join(sorted(added))}"
        yield Deviation(index=name, what=ADDED, text=text, repairable=True)
    fields = {field: kind for field, kind in wanted["properties"].items() if field not in added}
    wrong = sorted(field for field, kind in fields.items() if not _alike(there.get(field), kind))
    if wrong:
        text = f"these fields do not have their original mapping: {', '.join(wrong)}"
        yield Deviation(index=name, what="properties", text=text, repairable=False)


def _of_setting(name: str, setting: str, value: str) -> Deviation:
    text = f"{setting} is {value}" if value else f"{setting} is not set"
    return Deviation(index=name, what=setting, text=text, repairable=setting not in FIXED)


def _alike(there: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    """Whether a field is mapped as wanted: what is not said has the default, and an object its properties."""
    if there is None:
        return False
    inner = wanted.get("properties")
    if inner is not None:
        return all(_alike(there.get("properties", {}).get(name), kind) for name, kind in inner.items())
    return {key: _text(value) for key, value in there.items()} == {key: _text(value) for key, value in wanted.items()}


def _text(value: object) -> str:
    if value is None or value == []:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
