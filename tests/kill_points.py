"""Points at which a run in a process of its own is struck, each named by the call and by what that is about."""

from __future__ import annotations

import importlib
import inspect
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Call = tuple[str, str, str]
"""Module, class, and method."""


@dataclass(frozen=True, slots=True)
class Point:
    """Right "before" or "after" the first call that meets a condition, whichever thread it is in.

    `about` is an expression of the call's arguments by their names; with `since`, that method has to be called before.
    A test that strikes there has to see that it was struck: by how the process ends, or by what it left.
    """

    when: str
    call: Callable[..., Any]
    about: str = "True"
    since: Callable[..., Any] | None = None

    def does(self, what: str) -> str:
        """Return the Python, for `Workbench.process`, that has a call of a function of this module done there."""
        since = _call(self.since) if self.since else None
        return (
            f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            "import kill_points\n"
            f"kill_points.strike({self.when!r}, {_call(self.call)!r}, {self.about!r}, {since!r},"
            f" lambda: kill_points.{what})\n"
        )


def _call(method: Callable[..., Any]) -> Call:
    owner, _, name = method.__qualname__.rpartition(".")
    return method.__module__, owner, name


# --- in the process that is struck -------------------------------------------------------------------------


def strike(when: str, call: Call, about: str, since: Call | None, do: Callable[[], object]) -> None:
    """Do something at a point, once."""
    reached, once = threading.Event(), threading.Lock()
    if since is None:
        reached.set()
    else:
        _wrap(since, "before", lambda _: True, reached.set)

    def here(given: dict[str, Any]) -> bool:
        return reached.is_set() and bool(eval(about, {}, given)) and once.acquire(blocking=False)  # noqa: S307

    _wrap(call, when, here, do)


def _wrap(call: Call, when: str, here: Callable[[dict[str, Any]], bool], do: Callable[[], object]) -> None:
    module, owner, name = call
    cls = getattr(importlib.import_module(module), owner)
    original = getattr(cls, name)
    parameters = inspect.signature(original)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        struck = here(dict(parameters.bind(*arguments, **options).arguments))
        if struck and when == "before":
            do()
        result = original(*arguments, **options)
        if struck and when == "after":
            do()
        return result

    setattr(cls, name, wrapped)


def die() -> None:
    """End as by a crash."""
    os.kill(os.getpid(), signal.SIGKILL)


def ask_and_wait(asked: str, answered: str) -> None:
    """Ask by a file that something be done, and go on once another says that it is."""
    Path(asked).touch()
    while not Path(answered).exists():
        time.sleep(0.02)
