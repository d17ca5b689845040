"""A small process between the caller and the server: the server ends with its caller, whatever happens.

Run as a script, by path, with a JSON object as its argument; standard library only. It holds the read end
of a pipe from the caller. A line `stop` or `kill` ends the server with SIGTERM or SIGKILL; the end of the
pipe, or another parent than at the start, means that the caller is gone, however it went: then the server
is killed and its temporary folders removed. It stands in a session of its own, so that Ctrl-C in a terminal
reaches the caller alone, which decides.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

LOOK_SECONDS = 0.1
STOP_SECONDS = 30.0  # a server that takes longer over SIGTERM is killed
KILL_SECONDS = 10.0
PR_SET_CHILD_SUBREAPER = 36


def main(specification: dict[str, Any]) -> int:
    """Run `command` and watch; 0 where it ended because the caller said so, 1 where it ended by itself."""
    parent = specification["parent"]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Not SIG_IGN: the server would inherit that, and not end on SIGTERM.
        signal.signal(number, _leave_it_to_the_caller)
    _adopt_orphans()
    server = subprocess.Popen(  # noqa: S603 - the command is the caller's
        specification["command"],
        env=specification["environment"],
        stdin=subprocess.DEVNULL,
        process_group=0,
        **specification["identity"],
    )
    word = _wait(server.pid, parent)
    _end(server.pid, signal.SIGTERM if word == "stop" else signal.SIGKILL)
    if word == "orphaned":
        for folder in specification["temporary"]:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if word == "ended" else 0


def _leave_it_to_the_caller(_number: int, _frame: FrameType | None) -> None:
    pass


def _adopt_orphans() -> None:
    """Become the parent of the server when its launcher dies first, so that its end can be seen."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _wait(server: int, parent: int) -> str:
    """Return why the server has to end: `stop`, `kill`, `orphaned`, or `ended` by itself."""
    said = b""
    while True:
        if server in _reaped():
            return "ended"
        if os.getppid() != parent:
            return "orphaned"
        if not select.select([0], [], [], LOOK_SECONDS)[0]:
            continue
        heard = os.read(0, 64)
        if not heard:
            return "orphaned"
        said += heard
        if said.endswith(b"\n"):
            return said.decode().strip()


def _end(group: int, how: signal.Signals) -> None:
    """End all processes of the group and wait until they are gone."""
    _signal(group, how)
    if how is signal.SIGTERM and not _gone_within(group, STOP_SECONDS):
        _signal(group, signal.SIGKILL)
    _gone_within(group, KILL_SECONDS)


def _gone_within(group: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _reaped()
        if not _signal(group, 0):
            return True
        time.sleep(LOOK_SECONDS / 10)
    return False


def _signal(group: int, number: int) -> bool:
    """Send a signal to the group; False where it has no process left."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # macOS, for a group of zombies
    return True


def _reaped() -> set[int]:
    """Collect the children that have ended."""
    ended = set()
    with contextlib.suppress(ChildProcessError):
        while (child := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            ended.add(child)
    return ended


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
