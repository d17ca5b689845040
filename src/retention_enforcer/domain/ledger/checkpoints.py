"""Checkpoints: records that hold an HMAC of an earlier head, which nobody without the key can make anew."""

from __future__ import annotations

import re
from collections.abc import Mapping

from retention_enforcer.domain.errors import LedgerBroken
from retention_enforcer.domain.ledger.records import Entry, Head, Kind, Record
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms

_PSEUDONYM = re.compile(r"hmac-sha256:[0-9a-f]{8}:[0-9a-f]{64}")
_BYTES = 32
"""Of one hash."""


def checkpoint_of(head: Head, pseudonyms: Pseudonyms) -> Entry:
    """Return what is to be recorded of a head; in words too, as all checkpoints of before."""
    anchor = _anchor(head, pseudonyms)
    details: dict[str, int | str] = {"record": head.sequence, "anchor": anchor}
    return Entry(kind=Kind.CHECKPOINT, details=details, reason=f"record {head.sequence}: {anchor}")


def _anchor(head: Head, pseudonyms: Pseudonyms) -> str:
    return pseudonyms.of(f"{head.sequence}:{head.hash}")


def _anchored(record: Record) -> tuple[int, str]:
    """Return which record a checkpoint is about, and its HMAC; those of before say it in words alone."""
    details = record.get("details")
    if isinstance(details, Mapping):
        about, anchor = details.get("record"), details.get("anchor")
        return (about, anchor) if isinstance(about, int) and isinstance(anchor, str) else (0, "")
    about, _, anchor = str(record.get("reason", "")).removeprefix("record ").partition(": ")
    return (int(about) if about.isdecimal() and about.isascii() else 0), anchor


class Checkpoints:
    """Checks the checkpoints of a chain, given its records one after another from the first on."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._hashes = bytearray()
        self.checked = 0
        self.anchored: int | None = None
        """Up to which record the last that was checked vouches for all."""
        self.unchecked = 0
        """How many were made under another key, or, without a key, how many there are."""
        self.unchecked_since = 0
        """How many of these came after the last that was checked."""
        self.last: int | None = None
        """The record that the last of all is about."""

    @property
    def summary(self) -> str:
        """What was checked, and what was not, in a line."""
        parts = []
        if self.checked:
            parts.append(f"{self.checked} checked, the last for record {self.anchored}")
        if self.unchecked and not self._pseudonyms.has_key:
            parts.append(f"{self.unchecked} not checked because ENFORCER_PSEUDONYM_KEY is not set")
        elif self.unchecked:
            parts.append(f"{self.unchecked} not checked because they were made with another key")
        return f"checkpoints: {'; '.join(parts) or 'none'}"

    def see(self, record: Record) -> None:
        """Take in the next record, whose place in the chain was found right.

        Raises LedgerBroken for a checkpoint of another chain than this.
        """
        self._hashes += bytes.fromhex(str(record["hash"]))
        if record.get("kind") == Kind.CHECKPOINT:
            self._check(record)

    def _check(self, record: Record) -> None:
        place, (about, anchor) = int(record["sequence"]), _anchored(record)
        if not 0 < about < place or not _PSEUDONYM.fullmatch(anchor):
            raise LedgerBroken(f"record {place}: this checkpoint does not refer to an earlier record", _REMEDY)
        self.last = about
        if not self._pseudonyms.made(anchor):
            self.unchecked += 1
            self.unchecked_since += 1
            return
        head = Head(about, self._hashes[_BYTES * (about - 1) : _BYTES * about].hex())
        if _anchor(head, self._pseudonyms) != anchor:
            raise LedgerBroken(
                f"record {place}: this checkpoint does not match record {about}, which was rewritten", _REMEDY
            )
        self.checked += 1
        self.anchored, self.unchecked_since = about, 0


_REMEDY = "compare the ledger with an export or with the checkpoints in the log"
