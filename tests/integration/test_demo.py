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
from collections.abc import Iterator

import pytest

from running import until

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.usefixtures("embedded_version")]

COMMAND = [sys.executable, "-m", "retention_enforcer", "demo"]


@pytest.fixture(scope="module")
def once(embedded_version: str) -> Iterator[subprocess.Popen[str]]:
    """A demo that ends by itself, begun before both tests: most of the time it waits for an erasure."""
    with subprocess.Popen([*COMMAND, "--once"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        try:
            yield demo
        finally:
            demo.kill()


@pytest.mark.usefixtures("once")
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


def test_the_demo_expires_six_categories_exactly_as_planned_and_ends_by_itself(once: subprocess.Popen[str]) -> None:
    out, err = once.communicate(timeout=170)
    assert once.returncode == 0, err
    assert "6 categories expired exactly as planned: backend-logs, dashboard" in out
    assert "billing-invoices, which no category claims, is untouched: 24 documents" in out
    assert "a container: the index itself is kept" in " ".join(out.split())
    assert "the ledger is whole" in out
    assert "not as requested" not in out
    assert "terminate of application hmac-sha256:" in " ".join(out.split())
    assert "Traceback" not in err


def _get(page: str) -> str:
    with urllib.request.urlopen(page, timeout=5) as answer:
        return str(answer.read().decode())
