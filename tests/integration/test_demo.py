"""The demo, from the outside: what a stranger sees first."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
import sys
import termios
import urllib.request

import pytest

from running import until

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.usefixtures("embedded_version")]

COMMAND = [sys.executable, "-m", "retention_enforcer", "demo"]


def test_the_demo_expires_six_categories_exactly_as_planned_and_ends_by_itself() -> None:
    ran = subprocess.run([*COMMAND, "--once"], capture_output=True, text=True, timeout=170, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "6 categories expired exactly as planned: backend-logs, dashboard" in ran.stdout
    assert "billing-invoices, which no category claims, is untouched: 24 documents" in ran.stdout
    assert "a container: the index itself stays" in " ".join(ran.stdout.split())
    assert "the ledger is whole" in ran.stdout
    assert "not as asked for" not in ran.stdout
    assert "terminate of application hmac-sha256:" in " ".join(ran.stdout.split())
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
            while not told.startswith("status page: http://127.0.0.1:"):
                told = shown.readline()  # OSError if it ends before
                if told.startswith(("export ", shlex.quote(sys.executable))):
                    pasted.append(told)
            page = told.removeprefix("status page: ").strip()
            until(lambda: "media-content" in _get(page) and "not kept" in _get(page), "the alarm on the page")
            commands = "".join(line for line in pasted if "report" not in line)
            ran = subprocess.run(["sh", "-e"], input=commands, capture_output=True, text=True, check=False)
            assert ran.returncode == 0, ran.stderr
            assert "ready, acting" in ran.stdout
            ran = subprocess.run(["sh"], input="".join(pasted), capture_output=True, text=True, check=False)
            assert "NOT KEPT media-content" in ran.stdout
            assert "Not every promise is kept" in ran.stdout
            assert demo.poll() is None
            demo.send_signal(signal.SIGINT)
            assert demo.wait(timeout=30) == 0
        finally:
            demo.kill()


def _get(page: str) -> str:
    with urllib.request.urlopen(page, timeout=5) as answer:
        return str(answer.read().decode())
