"""The gate that every destructive request passes: stop flag, lease and shutdown are checked each time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from retention_enforcer.domain.errors import Refused

_AGAIN = "no action needed: it is planned again when the enforcer acts again"


class Gate:
    """Lets destructive requests through while the operator's word allows it, the lease outlasts them, and it is open.

    `listen` raises Refused where that word is against it by now: long work can take hours, and a word counts at once.
    """

    def __init__(self, outlasts: Callable[[float], bool], request_seconds: float, listen: Callable[[], None]) -> None:
        self._outlasts = outlasts
        self._request_seconds = request_seconds
        self._listen = listen
        self._changed = threading.Condition()
        self._under_way = 0
        self._closed: dict[str, str] = {}

    @contextmanager
    def destructive(self) -> Iterator[None]:
        """Enter before a destructive request and leave after its response. Raises Refused if it must not be sent."""
        self._raise_if_closed()
        self._listen()
        with self._changed:
            self._raise_if_closed()
            if not self._outlasts(self._request_seconds):
                raise Refused(
                    "the lease does not outlast the request", "no action needed: the next holder plans it again"
                )
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def _raise_if_closed(self) -> None:
        """Ask the cluster nothing where no answer could help."""
        for reason in list(self._closed.values()):
            raise Refused(reason, _AGAIN)

    def pause(self, seconds: float) -> None:
        """Wait between two steps of long work. Raises Refused if the gate was closed meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._closed), seconds)
            for reason in self._closed.values():
                raise Refused(reason, "no action needed: it continues when the enforcer acts again")

    def close(self, why: str, reason: str, wait_seconds: float) -> bool:
        """Let no request through until `open` with this `why`; return True once no request is in progress."""
        with self._changed:
            self._closed[why] = reason
            return self._changed.wait_for(lambda: self._under_way == 0, wait_seconds)

    def shut(self, reason: str) -> None:
        """Let no further request through, without waiting. Safe in a signal handler."""
        self._closed["end"] = reason

    def open(self, why: str) -> None:
        """Withdraw one `why`. Requests pass again when none is left."""
        with self._changed:
            self._closed.pop(why, None)
