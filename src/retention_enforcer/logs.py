"""One line an event, on stderr: ECS JSON for machines, or the console form for people."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Literal

import structlog

ECS_VERSION = "8.17.0"

LEDGER_RECORD = "retention.record"
"""The field in which a record of the ledger stands as it is stored, to the byte: it holds no identifier by itself."""

_LEVELS = {"warning": "warn", "critical": "fatal"}
_FOR_PROGRAMS = (
    *("event.", "service.", "url.", LEDGER_RECORD, "retention.cycle", "retention.category", "retention.finding."),
    *("retention.kept", "retention.indices.", "retention.policy", "retention.epoch"),
)
"""How fields begin that people are not shown."""

_LIBRARIES = {
    "apscheduler": logging.ERROR,
    "elastic_transport": logging.ERROR,  # its warnings are retries, with a traceback, and unusual answers
    "urllib3": logging.ERROR,  # its warnings name indices, and broken answers with a traceback
    "uvicorn": logging.ERROR,  # its warnings are requests that are none, which anybody can send
    "asyncio": logging.ERROR,
}
"""From which level on libraries are listened to: what else they tell, the enforcer tells with its meaning."""


def configure_logs(
    log_format: Literal["auto", "json", "console"],
    level: str,
    *,
    instance: str = "",
    cluster: str = "",
    hide: Callable[[str], str] | None = None,
) -> None:
    """Send the records of structlog and of the standard library through the same lines; `auto` asks the terminal.

    `hide` takes personal identifiers out of a text: whatever the cluster says may name a tenant's index.
    """
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _stamper(as_json=as_json),
        _common(instance, cluster),
    ]
    ending: list[structlog.typing.Processor] = [structlog.processors.format_exc_info]
    if hide is not None:
        ending.append(_hidden(hide))
    if as_json:
        ending += [_ecs, structlog.processors.JSONRenderer(ensure_ascii=False)]
    else:
        ending += [_for_people, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name, least in _LIBRARIES.items():
        logging.getLogger(name).setLevel(least)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _stamper(*, as_json: bool) -> structlog.typing.Processor:
    if as_json:
        return structlog.processors.TimeStamper(fmt="iso", utc=True, key="@timestamp")
    return structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%SZ", utc=True)


def _for_people(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ANN401
    """Leave out what is there for programs, or stands in the message already."""
    return {
        name.removeprefix("retention."): value for name, value in event.items() if not name.startswith(_FOR_PROGRAMS)
    }


def _common(instance: str, cluster: str) -> structlog.typing.Processor:
    fixed = {"service.node.name": instance, "retention.cluster": cluster}
    present = {name: value for name, value in fixed.items() if value}

    def add(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ANN401
        return {**present, **event}

    return add


def _hidden(hide: Callable[[str], str]) -> structlog.typing.Processor:
    def without_ids(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ANN401
        return {
            name: hide(value) if isinstance(value, str) and name != LEDGER_RECORD else value
            for name, value in event.items()
        }

    return without_ids


def _ecs(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ANN401
    """Name the fields as the Elastic Common Schema does."""
    message = event.pop("event", "")
    level = str(event.pop("level", "info"))
    named: dict[str, Any] = {
        "@timestamp": event.pop("@timestamp", None),
        "log.level": _LEVELS.get(level, level),
        "message": message,
        "ecs.version": ECS_VERSION,
        "service.name": "retention-enforcer",
    }
    if trace := event.pop("exception", None):
        named["error.stack_trace"] = trace
    return {**named, **event}
