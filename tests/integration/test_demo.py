"""The demo, from the outside: what a stranger sees first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.usefixtures("embedded_version")]

COMMAND = [sys.executable, "-m", "retention_enforcer", "demo"]


def test_the_demo_expires_six_categories_exactly_as_planned_and_ends_by_itself() -> None:
    ran = subprocess.run([*COMMAND, "--once"], capture_output=True, text=True, timeout=170, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "6 categories expired exactly as planned: backend-logs, dashboard" in ran.stdout
    assert "billing-invoices, which no category claims, is untouched: 24 documents" in ran.stdout
    assert "a container: the index itself stays" in " ".join(ran.stdout.split())
    assert "the ledger is whole" in ran.stdout
    assert "Traceback" not in ran.stderr


def test_the_demo_keeps_the_daemon_running_until_it_is_interrupted() -> None:
    with subprocess.Popen(
        COMMAND,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "retention-enforcer ledger show" in line:
                break
        time.sleep(2)  # nothing to poll for: it must simply go on
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
