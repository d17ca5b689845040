"""Sample data for the default policy: a month of a small service, with everything that makes retention hard.

Dated indices, containers that must be trimmed and never deleted, an index that straddles the limit, an old document
in an index of today, tenants' own indices, and an index that no category claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, format_instant

UNCLAIMED = "billing-invoices"
"""An index that no category claims: nothing of it may change."""

_SEED = 14
_DATED_DAYS = 18
_A_DAY = 60
"""Documents a day and index."""

Document = dict[str, Any]
_Row = Callable[[Random], Document]


@dataclass(frozen=True, slots=True)
class SampleIndex:
    """One index to be made: its documents, and the types of their fields."""

    name: str
    documents: list[Document]
    fields: dict[str, str]


def sample_indices(now: int) -> Iterator[SampleIndex]:
    """Yield the sample, backdated from `now` (epoch milliseconds); the same data for the same instant."""
    random = Random(_SEED)
    families = {"backend-logs": _log, "sdk-logs": _sdk_log, "dashboard": _quality, "troubleshooting": _quality}
    for family, row in families.items():
        for age in range(_DATED_DAYS):
            yield _index(f"trtc-{family}-{_date(now - age * DAY)}", _of_a_day(random, now, age), row, random)
    today = f"trtc-backend-logs-late-{_date(now)}"
    yield _index(today, [now - 16 * DAY, *_of_a_day(random, now, 0)], _log, random)
    yield _index("trtc-troubleshooting-archive", [now - age * DAY for age in range(30)], _quality, random)
    yield _index("trtc-uin", [now - age * 8 * HOUR for age in range(60)], _account, random)
    yield _index("trtc-sdkappid", [now - age * 8 * HOUR for age in range(60)], _application, random)
    yield _index("trtc-console-configuration", [now - age * 30 * DAY for age in range(12)], _configuration, random)
    yield _index("trtc-temporary-keys", [now - age * 20 * DAY for age in range(12)], _key, random)
    for application in ("1400000001", "1400000002"):
        name = f"trtc-application-logs-{application}-{_date(now)[:7]}"
        yield _index(name, [now - age * DAY for age in range(40)], _operation, random, {"sdkappid": application})
    yield _index(
        UNCLAIMED, [now - age * 30 * DAY for age in range(24)], lambda r: {"amount": r.randint(1, 900)}, random
    )


def _index(name: str, timestamps: list[int], row: _Row, random: Random, fixed: Document | None = None) -> SampleIndex:
    documents = [{"@timestamp": format_instant(t), **row(random), **(fixed or {})} for t in timestamps]
    fields = {field: _type(field, value) for document in documents[:1] for field, value in document.items()}
    return SampleIndex(name, documents, fields)


def _type(field: str, value: object) -> str:
    if field in {"@timestamp", "created_at"}:
        return "date"
    if field == "client_ip":
        return "ip"
    if isinstance(value, bool):
        return "boolean"
    return {int: "long", float: "double"}.get(type(value), "keyword")


def _date(instant: int) -> str:
    return format_instant(instant)[:10].replace("-", ".")


def _of_a_day(random: Random, now: int, age: int) -> list[int]:
    """Instants of one day (UTC), none ahead of now, none that becomes due while the demo runs."""
    midnight = (now // DAY - age) * DAY
    until = min(now, midnight + DAY)
    instants = [random.randrange(midnight, until + 1) for _ in range(_A_DAY)]
    due = now - 14 * DAY + HOUR
    return [due - MINUTE if due <= t < due + 30 * MINUTE else t for t in instants]


def _log(random: Random) -> Document:
    return {
        "user_id": f"user-{random.randint(1, 500)}",
        "room_id": f"room-{random.randint(1, 80)}",
        "client_ip": f"203.0.113.{random.randint(1, 254)}",  # a range for documentation
        "sdk_version": random.choice(["11.7.0", "11.9.1", "12.1.0"]),
        "os": random.choice(["iOS", "Android", "Windows", "macOS"]),
        "sdkappid": _application_id(random),
    }


def _sdk_log(random: Random) -> Document:
    log = _log(random)
    del log["client_ip"]
    return log


def _quality(random: Random) -> Document:
    return {
        "sdkappid": _application_id(random),
        "video_enabled": random.random() < 0.8,
        "audio_enabled": True,
        "room_event": random.choice(["enter", "leave"]),
        "room_id": f"room-{random.randint(1, 80)}",
        "muted": random.random() < 0.2,
        "cpu_usage": random.randint(5, 95),
        "memory_usage": random.randint(20, 80),
        "network_delay_ms": random.randint(10, 400),
        "packet_loss": round(random.random() / 10, 3),
        "resolution": random.choice(["640x360", "1280x720"]),
        "bitrate": random.randint(300, 1800),
        "frame_rate": random.choice([15, 24, 30]),
        "volume": random.randint(0, 100),
    }


def _account(random: Random) -> Document:
    return {"uin": _owner(_application_id(random))}


def _application(random: Random) -> Document:
    application = _application_id(random)
    return {"sdkappid": application, "uin": _owner(application)}


def _owner(application: str) -> str:
    """The account of an application: always the same; an account owns up to three."""
    return f"1000{10_000 + int(application) % 100 // 3}"


def _configuration(random: Random) -> Document:
    return {
        **_application(random),
        "app_name": f"app-{random.randint(1, 20)}",
        "recording_enabled": random.random() < 0.3,
        "relay_enabled": random.random() < 0.2,
        "billing_mode": random.choice(["prepaid", "postpaid"]),
    }


def _key(random: Random) -> Document:
    return {
        "sdkappid": _application_id(random),
        "user_name": f"user-{random.randint(1, 500)}",
        "private_key": f"sample-{random.getrandbits(64):016x}",
    }


def _operation(random: Random) -> Document:
    return {
        "sdkappid": _application_id(random),
        "app_name": f"app-{random.randint(1, 20)}",
        "label": random.choice(["test", "live"]),
        "service_status": random.choice(["on", "off"]),
        "created_at": "2026-01-01T00:00:00.000Z",
        "operation": random.choice(["create", "rename", "start", "stop"]),
    }


def _application_id(random: Random) -> str:
    return f"14000000{random.randint(1, 9):02d}"
