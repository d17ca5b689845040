"""How old documents without a timestamp are, where that is on purpose: as old as their index.

    oldest     as old as the index
    newest     from when something new was last written to it, as far as that is certain: for a part of a stream its
               rollover, after which Elasticsearch takes no document for it; else the first look that found it as the
               one before; now, where the last look found it otherwise, or there was none

An index that was written to for one rollover at most counts from its creation, as one goes whole whose documents span
no more. Any other counts from its newest document: it cannot be trimmed, and nothing goes early. Instants in
milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from retention_enforcer.domain.facts import Evidence
from retention_enforcer.domain.policy.promises import SPAN_TOLERANCE, Category


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAge:
    """Between which instants the documents of an index were written, and from which one they count."""

    created: int
    newest: int
    counts_from: int

    def within(self, first: int, before: int) -> bool:
        """Whether they count from an instant in this range."""
        return first <= self.counts_from < before


def own_age(category: Category, created: int, quiet_since: int | None, now: int) -> OwnAge:
    """Return how old the documents are of an index to which nothing new was written since an instant, if it is one."""
    newest = max(created, now if quiet_since is None else quiet_since)
    short = newest - created <= SPAN_TOLERANCE * category.rollover
    return OwnAge(created=created, newest=newest, counts_from=created if short else newest)


def quiet_since(
    known: Evidence | None, sequence_numbers: tuple[int, ...], documents: int, *, rolled_over: int | None, now: int
) -> int | None:
    """Return since when certainly nothing new was written to an index; None where something was, or may have been.

    `rolled_over` says when a stream left it behind, where that is so. Deletions write nothing new: they raise the
    sequence numbers by as much as they lower the number of documents, and no write among them would leave it at that.
    """
    if known is None or not _only_deletions(known, sequence_numbers, documents):
        return None
    # The look that first saw it so began before it counted: what came between is older than the next one.
    since = now if known.quiet_since is None else known.quiet_since
    return since if rolled_over is None else min(since, rolled_over)


def _only_deletions(known: Evidence, sequence_numbers: tuple[int, ...], documents: int) -> bool:
    before = known.sequence_numbers
    if not before or len(before) != len(sequence_numbers):
        return False
    if before == sequence_numbers:
        return True
    grown = sum(sequence_numbers) - sum(before)
    higher = all(now >= then for now, then in zip(sequence_numbers, before, strict=True))
    return higher and known.documents is not None and grown == known.documents - documents
