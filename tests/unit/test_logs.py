"""No line of the log holds an application's id, whoever wrote it; a record of the ledger stands as it is stored."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import redirect_stderr

import pytest
import structlog

from retention_enforcer.domain.policy.names import IndexPattern
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor
from retention_enforcer.logs import LEDGER_RECORD, configure_logs

NAME = "tenant-canary7-logs"


def hide(text: str) -> str:
    return Redactor(Pseudonyms(b"k" * 32), [IndexPattern("tenant-{application}-logs")]).text(text)


@pytest.fixture(params=["json", "console"])
def lines(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    root, before = logging.getLogger(), logging.getLogger().handlers
    stream = io.StringIO()
    with redirect_stderr(stream):
        configure_logs(request.param, "info", hide=hide)
        yield stream
    root.handlers = before
    structlog.reset_defaults()


def test_an_id_in_an_index_name_is_in_no_line(lines: io.StringIO) -> None:
    log = structlog.get_logger()
    log.warning(f"only a part of the shards of {NAME} answered", **{"error.message": f"[{NAME}] is blocked"})
    logging.getLogger("a library").error("no such index [%s]", NAME)
    log.error("defect", exc_info=ValueError(NAME))
    text = lines.getvalue()
    assert text.count("hmac-sha256:") >= 4
    assert "ValueError" in text
    assert "canary7" not in text


def test_a_record_stands_in_it_to_the_byte() -> None:
    stream = io.StringIO()
    record = json.dumps({"reason": f"whatever {NAME} is"})
    before = logging.getLogger().handlers
    with redirect_stderr(stream):
        configure_logs("json", "info", hide=hide)
        structlog.get_logger().info("record 1", **{LEDGER_RECORD: record})
    logging.getLogger().handlers = before
    structlog.reset_defaults()
    assert json.loads(stream.getvalue())[LEDGER_RECORD] == record


def test_people_are_shown_what_happened_and_not_what_is_there_for_programs() -> None:
    stream, before = io.StringIO(), logging.getLogger().handlers
    with redirect_stderr(stream):
        configure_logs("console", "info", instance="node-1")
        structlog.get_logger().info(
            "logs: promise kept",
            **{
                "event.action": "proof",
                "event.outcome": "success",
                "retention.cycle": "logs-1",
                "retention.documents": 3,
                LEDGER_RECORD: "{}",
            },
        )
    logging.getLogger().handlers = before
    structlog.reset_defaults()
    (line,) = stream.getvalue().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ \[info *\] logs: promise kept documents=3", line), line
