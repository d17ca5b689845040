"""Checkpoints: records that hold an HMAC of an earlier head, which nobody without the key can make anew."""

from __future__ import annotations

import re

from retention_enforcer.domain.errors import LedgerBroken
from retention_enforcer.domain.ledger.records import Head, Kind, Record
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms

_ANCHOR = re.compile(r"record ([1-9][0-9]*): (hmac-sha256:[0-9a-f]{8}:[0-9a-f]{64})")
_BYTES = 32
"""Of one hash."""


def checkpoint_of(head: Head, pseudonyms: Pseudonyms) -> str:
    """Return what the record of a checkpoint says of a head."""
    return f"record {head.sequence}: {_anchor(head, pseudonyms)}"


def _anchor(head: Head, pseudonyms: Pseudonyms) -> str:
    return pseudonyms.of(f"{head.sequence}:{head.hash}")


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
            parts.append(f"{self.checked} checked, the last of record {self.anchored}")
        if self.unchecked and not self._pseudonyms.has_key:
            parts.append(f"{self.unchecked} not checked: that takes ENFORCER_PSEUDONYM_KEY")
        elif self.unchecked:
            parts.append(f"{self.unchecked} not checked: made under another key")
        return f"checkpoints: {'; '.join(parts) or 'none'}"

    def see(self, record: Record) -> None:
        """Take in the next record, whose place in the chain was found right.

        Raises LedgerBroken for a checkpoint of another chain than this.
        """
        self._hashes += bytes.fromhex(str(record["hash"]))
        if record.get("kind") == Kind.CHECKPOINT:
            self._check(record)

    def _check(self, record: Record) -> None:
        place, found = int(record["sequence"]), _ANCHOR.fullmatch(str(record.get("reason", "")))
        if found is None or int(found[1]) >= place:
            raise LedgerBroken(f"record {place}: it is a checkpoint of nothing before it", _REMEDY)
        about = int(found[1])
        self.last = about
        if not self._pseudonyms.made(found[2]):
            self.unchecked += 1
            self.unchecked_since += 1
            return
        head = Head(about, self._hashes[_BYTES * (about - 1) : _BYTES * about].hex())
        if _anchor(head, self._pseudonyms) != found[2]:
            raise LedgerBroken(
                f"record {place}: this checkpoint is not of record {about} as it is now: that was written anew", _REMEDY
            )
        self.checked += 1
        self.anchored, self.unchecked_since = about, 0


_REMEDY = "compare with an export or with the checkpoints in the log"
