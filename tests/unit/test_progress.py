"""Long work says how far it is, now and then; short work says nothing."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from retention_enforcer.cluster.deletion import progress
from retention_enforcer.cluster.deletion.progress import ProgressLog


def test_it_is_said_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with capture_logs() as lines:
        work = ProgressLog("logs-a")
        for second in range(26):
            now[0] = 100.0 + second
            work.tell(second * 1_000)
    assert [line["event"] for line in lines] == [
        "10,000 documents of logs-a deleted so far",
        "20,000 documents of logs-a deleted so far",
    ]
