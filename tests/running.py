"""A `run` in a process of its own, and what a test needs to watch it."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

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
