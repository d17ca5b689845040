"""Says how far long work is: what is over soon says nothing but its end."""

from __future__ import annotations

import time

import structlog

from retention_enforcer.domain.wording import counted

_log = structlog.get_logger()

_EVERY = 10.0
"""Seconds between two lines about the same work."""


class ProgressLog:
    """How far the deletion of an index's documents is."""

    def __init__(self, index: str) -> None:
        self._index = index
        self._said = time.monotonic()

    def tell(self, documents: int) -> None:
        """Say how many documents are deleted, if that was not said for a while."""
        if time.monotonic() - self._said >= _EVERY:
            self._said = time.monotonic()
            text = f"{counted(documents, 'document')} of {self._index} deleted so far"
            _log.info(text, **{"event.action": "progress", "retention.documents": documents})
