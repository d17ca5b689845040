"""The right to destroy what was just announced: under the same lease, soon, and under no hold that came since."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.ledger.records import Record
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ports import Clock, Permit

What = TypeVar("What")

INTENT_LIFETIME = 10_000
"""Milliseconds for which a recorded intent allows its request to be sent."""


@dataclass(frozen=True, slots=True)
class Intended(Generic[What]):
    """An act whose intent is recorded."""

    what: What
    index: str
    """The name of its index, which may have an id in it."""
    intent: Record
    at: int
    """When recording it was begun, in epoch milliseconds: what the ledger takes counts against its lifetime."""


class StaleIntent(Refused):
    """The cluster is so slow that an intent was too old before its request could be sent; nothing was sent."""

    def __init__(self) -> None:
        super().__init__(
            "not sent: the intent is older than 10 s", "check why the cluster answers slowly; it is planned again"
        )


class FreshPermit:
    """A permit that is first used while its intents are fresh, and only under the lease they were recorded under."""

    def __init__(
        self,
        permit: Permit,
        clock: Clock,
        appender: Appender,
        recorded: Sequence[Intended[Any]],
        raise_if_held: Callable[[], None],
    ) -> None:
        self._permit = permit
        self._raise_if_held = raise_if_held
        self._clock = clock
        self._appender = appender
        self._recorded = recorded
        self._used = False
        self._using = threading.Lock()

    @contextmanager
    def destructive(self) -> Iterator[None]:
        """Enter before the request, as of the permit underneath."""
        with self._permit.destructive():
            if any(one.intent["epoch"] != self._appender.epoch for one in self._recorded):
                raise Refused(
                    "the lease was lost after the intent was recorded", "no action needed: it is planned again"
                )
            self._use()
            self._raise_if_held()
            yield

    def _use(self) -> None:
        """Note that the intents are acted on; of two requests at once the first decides for both."""
        with self._using:
            if not self._used and self._clock.now() - min(one.at for one in self._recorded) > INTENT_LIFETIME:
                raise StaleIntent
            self._used = True
