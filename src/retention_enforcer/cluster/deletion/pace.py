"""How fast documents are deleted: steadily, so that the cluster has room for those who use it."""

from __future__ import annotations

import threading
import time


class Pace:
    """Lets so many documents a second pass, over all threads of the process."""

    def __init__(self, rate: int | None = None) -> None:
        """Make a pace of so many documents a second; without a rate all pass at once."""
        self._rate = rate
        self._lock = threading.Lock()
        self._free_at = 0.0

    def __call__(self, documents: int) -> None:
        """Return when, after so many documents, the next may be deleted."""
        if self._rate is None:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + documents / self._rate
            wait = self._free_at - now
        time.sleep(wait)

    def most(self, documents: int, seconds: int) -> int:
        """Return how many of so many documents pass within a time, at least one."""
        return documents if self._rate is None else max(1, min(documents, self._rate * seconds))
