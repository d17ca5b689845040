"""Holds the lease for this process, and knows at any moment how long it is still valid."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from retention_enforcer.domain.errors import Refused, RetentionError
from retention_enforcer.domain.lease import TERM, Lease, Versioned, Watch
from retention_enforcer.domain.own.state_keys import LEASE
from retention_enforcer.enforcement.ports import Clock, DocumentStore
from retention_enforcer.reporting.known import LeaseSeen

_log = structlog.get_logger()


def _now() -> float:
    """Return a monotonic time in seconds; where the system has one, it also advances while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


_LOOK = 2.0
"""Seconds between two looks at a lease that somebody else holds."""


class LeaseKeeper:
    """One process's side of the lease. Safe to use from several threads."""

    def __init__(
        self,
        store: DocumentStore,
        clock: Clock,
        instance: str,
        last_epoch: Callable[[], int] = lambda: 0,
        check: Callable[[], None] = lambda: None,
        term: float = TERM,
    ) -> None:
        """Use a store; `check` raises Refused if the store must not be written to."""
        self._last_epoch = last_epoch
        self._check = check
        self._store = store
        self._clock = clock
        self._instance = instance
        self._token = secrets.token_hex(8)
        self._term = term
        self._watch = Watch(term=term)
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._version: tuple[int, int] | None = None
        self._valid_until = 0.0
        self._seen_at: float | None = None
        self.holder = ""
        """Who holds it, as last seen."""

    @property
    def held(self) -> bool:
        """Whether this process holds it now."""
        return self.outlasts(0)

    @property
    def epoch(self) -> int:
        """The epoch under which this process holds it, higher than that of every holder before; else Refused."""
        with self._lock:
            if self._lease is None or _now() >= self._valid_until:
                raise Refused("this instance does not hold the lease", "no action needed: it waits for the lease")
            return self._lease.epoch

    @property
    def seen(self) -> LeaseSeen:
        """What is known of the lease, without waiting for a renewal in progress."""
        lease, now = self._lease, _now()
        held = lease is not None and now < self._valid_until
        return LeaseSeen(
            held=held,
            holder=self.holder or None,
            epoch=lease.epoch if held and lease else None,
            seen_ago=now - self._seen_at if self._seen_at is not None else None,
        )

    def outlasts(self, seconds: float) -> bool:
        """Whether the lease is held and will be for so many seconds, even if no renewal succeeds."""
        with self._lock:
            return self._lease is not None and _now() + seconds < self._valid_until

    def try_to_take(self) -> bool:
        """Take the lease if the rule allows it now; True if it is held afterwards."""
        with self._lock:
            started = _now()
            found = self._store.versions([LEASE]).get(LEASE)
            self.holder = Lease.of(found.body).holder if found else ""
            self._seen_at = started
            if not self._watch.may_take(found, started, self._token):
                return False
            self._check()
            epoch = self._epoch_before(found) + 1
            taken = Lease(holder=self._instance, epoch=epoch, token=self._token)
            if not self._write(taken, found.version if found else None, started):
                return False
            _log.info(f"lease taken, epoch {epoch}", **{"event.action": "lease", "retention.epoch": epoch})
            return True

    def _epoch_before(self, found: Versioned | None) -> int:
        """Return the last holder's epoch. A lease that is gone was held: the ledger knows under which epochs.

        Each holder writes it here before its first record: a lease that is behind the ledger is an older one, and so
        is all else that is remembered beside it.
        """
        last = self._last_epoch()
        if found is None:
            return last
        epoch = Lease.of(found.body).epoch
        if epoch < last:
            raise Refused(
                f"retention-state (epoch {epoch}) is older than the ledger (epoch {last}): nothing is deleted",
                "restore a newer state, or find out what happened and run `retention-enforcer ledger adopt`",
            )
        return epoch

    def wait(self, at_most: float, stop: threading.Event) -> bool:
        """Wait for the lease; False if the time is over, or a stop was asked for, before it was had."""
        until = _now() + at_most
        said = False
        while not stop.is_set():
            if self.try_to_take():
                return True
            if not said:
                _log.info(f"waiting for the lease, which {self.holder} holds", **{"event.action": "lease"})
                said = True
            if _now() >= until:
                return False
            stop.wait(_LOOK)
        return False

    def renew(self) -> None:
        """Renew the lease; forget it where somebody else has it. A renewal that fails is tried again by the next."""
        with self._lock:
            if self._lease is None:
                return
            started = _now()
            renewed = replace(self._lease, beat=self._lease.beat + 1)
            try:
                written = self._write(renewed, self._version, started)
            except RetentionError as error:
                _log.warning(f"lease not renewed: {error.message}", **{"event.action": "lease"})
                self._reread()
                return
            if not written:
                self._reread()

    def release(self) -> None:
        """Release the lease, so that nobody has to wait for its end. If that fails, it expires."""
        with self._lock:
            if self._lease is None:
                return
            free = Lease(holder="", epoch=self._lease.epoch, beat=self._lease.beat + 1)
            try:
                self._store.replace_version(LEASE, free.body(), self._clock.now(), self._version)
            except RetentionError as error:
                _log.warning(f"lease not released: {error.message}", **{"event.action": "lease"})
            self._lease = None

    def _write(self, lease: Lease, version: tuple[int, int] | None, started: float) -> bool:
        written = self._store.replace_version(LEASE, lease.body(), self._clock.now(), version)
        if written is None:
            return False
        self._lease, self._version, self._valid_until = lease, written, started + self._term
        self.holder, self._seen_at = self._instance, started
        return True

    def _reread(self) -> None:
        """See whose lease it is after a renewal that was refused or whose answer was lost."""
        try:
            found = self._store.versions([LEASE]).get(LEASE)
        except RetentionError:
            return  # still ours until its term ends, as far as anybody can tell
        self._seen_at = _now()
        lease = Lease.of(found.body) if found else None
        if found and lease and self._lease and (lease.token, lease.epoch) == (self._token, self._lease.epoch):
            self._lease, self._version = lease, found.version
            return
        self.holder = lease.holder if lease else ""
        self._lease = None
        _log.error(f"lease lost to {self.holder or 'nobody'}", **{"event.action": "lease"})


class NoLease:
    """In plan mode: nothing is deleted, so nobody has to be the only one."""

    held = True
    holder = ""
    seen = None

    def try_to_take(self) -> bool:
        """Return True: nobody holds it."""
        return True

    def wait(self, at_most: float, stop: threading.Event) -> bool:  # noqa: ARG002
        """Return True at once."""
        return True

    def renew(self) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""


def adopt_epoch(store: DocumentStore, last: int, now: int) -> bool:
    """Raise the epoch of an older lease to the ledger's last one; return True if the lease was older."""
    found = store.versions([LEASE]).get(LEASE)
    if found is None or Lease.of(found.body).epoch >= last:
        return False
    free = Lease(holder="", epoch=last)
    if store.replace_version(LEASE, free.body(), now, found.version) is None:
        raise Refused("an instance took the lease in the meantime", "run the command again")
    return True
