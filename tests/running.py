"""A `run` in a process of its own, and what a test needs to watch it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from embedded_elasticsearch import EmbeddedServer
from retention_enforcer.daemon.rhythm import Rhythm
from workbench import Workbench

PATIENCE = 45.0


class Daemon:
    """A `run` in a process of its own, whose log is read as it is written."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    @property
    def messages(self) -> list[str]:
        return [json.loads(line)["message"] for line in list(self.lines)]

    def says(self, text: str) -> bool:
        return any(text in message for message in self.messages)

    def wait_for(self, text: str) -> None:
        until(lambda: self.says(text), f"{text!r} in the log, which is:\n" + "".join(self.lines[-20:]))

    def end(self, within: float = 10.0) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.ended(within)

    def ended(self, within: float = 60.0) -> int:
        """Wait for its end, and for all that it said; return its exit code."""
        code = self.process.wait(timeout=within)
        self._reader.join(5)
        return code


class Page:
    """A daemon's answers."""

    def __init__(self, daemon: Daemon) -> None:
        daemon.wait_for("status page at")
        text = next(message for message in daemon.messages if message.startswith("status page at"))
        self.port = int(re.findall(r":(\d+)/", text)[0])

    def get(self, path: str) -> tuple[int, str]:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=3)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    @property
    def status(self) -> Any:
        return json.loads(self.get("/api/status")[1])

    def job(self, name: str) -> Any:
        """What it says of one job of the schedule."""
        return next(job for job in self.status["jobs"] if job["name"] == name)

    @property
    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.1)


@contextmanager
def running(
    bench: Workbench, rhythm: Rhythm | None = None, before: str = "", *, once: bool = False
) -> Iterator[Daemon]:
    bench.settings.setdefault("ENFORCER_INTERVAL", "1s")
    arguments = ("run", "--once") if once else ("run",)
    process = replace(bench, rhythm=rhythm or bench.rhythm).process(*arguments, before=before)
    daemon = Daemon(process)
    try:
        yield daemon
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


QUICK = Rhythm(lease_renewal=1.0, look_around=1.0)


def until_it_failed_again(page: Page, job: str, times: int) -> None:
    """Wait until a job has failed so many times more."""
    seen = {page.job(job)["failed_at"]}
    until(lambda: len(seen.add(page.job(job)["failed_at"]) or seen) > times, f"{times} more failures of {job}")


def awaits_answer(server: EmbeddedServer) -> bool:
    """Whether a server has been sent anything that it has not read: the kernel keeps it for one that is suspended."""
    port = urlsplit(server.url).port
    tables = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return any(int(row[1].rpartition(":")[2], 16) == port and int(row[4].partition(":")[2], 16) for row in rows)


@contextmanager
def silent(server: EmbeddedServer) -> Iterator[None]:
    """Let the server accept connections and answer nothing, as one does that collects garbage or swaps."""
    assert server._process is not None
    processes = psutil.Process(server._process.pid).children(recursive=True)
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()
