"""The demo, from the outside: what a stranger sees first."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
import sys
import termios

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


def test_the_daemon_goes_on_for_another_terminal_until_it_is_interrupted() -> None:
    """What it prints to be pasted arrives whole although the terminal is narrow."""
    screen, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    environ = {**os.environ, "COLUMNS": "80"}
    with (
        open(screen, encoding="utf-8") as shown,  # noqa: PTH123 - a descriptor
        subprocess.Popen(COMMAND, stdout=terminal, stderr=subprocess.DEVNULL, env=environ) as demo,
    ):
        os.close(terminal)
        try:
            told, pasted = "", []
            while not told.endswith("ledger show\n"):
                told = shown.readline()  # OSError if it ends before
                if told.startswith(("export ", shlex.quote(sys.executable))):
                    pasted.append(told)
            ran = subprocess.run(["sh", "-e"], input="".join(pasted), capture_output=True, text=True, check=False)
            assert ran.returncode == 0, ran.stderr
            assert "Every promise is kept" in ran.stdout
            assert demo.poll() is None
            demo.send_signal(signal.SIGINT)
            assert demo.wait(timeout=30) == 0
        finally:
            demo.kill()
