"""How one index is kept from the lifecycle of its stream: a date far ahead that its age counts from.

A stream's lifecycle deletes every index of it that was rolled over long enough ago, and takes over at once where index
lifecycle management leaves. The one thing that keeps it from a single index, and lets the stream go on, is
`index.lifecycle.origination_date`. The date says whose it is, what ruled the index before, and which date was there:

    2100-01-01T00:00:00.000Z    index lifecycle management did, and there was no date
    2100-01-01T00:00:00.001Z    nothing else than its stream's lifecycle could, and there was no date
    10^15 or 2 * 10^15 + date   the same two, and this date (epoch milliseconds) was there

So nothing has to be remembered elsewhere, whoever sets it and whoever takes it back, and a copy tells as well.
"""

from __future__ import annotations

from dataclasses import dataclass

STREAM_LIFECYCLE = "data stream lifecycle"
"""How the lifecycle that belongs to a stream, not to its indices, is named."""

FAR_AHEAD = 4_102_444_800_000
"""2100-01-01, in epoch milliseconds."""

_WITH_A_DATE = 10**15


def not_ours(lifecycle: str) -> str:
    """Return how a lifecycle is called that is not the enforcer's; that of a stream may have its retention from it."""
    if lifecycle == STREAM_LIFECYCLE:
        return f"the {STREAM_LIFECYCLE}"
    return f"lifecycle policy {lifecycle}, which the enforcer did not create"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """That an index is kept from its stream's lifecycle."""

    given_back: bool
    """Whether the lifecycle of its stream gets it back as soon as nothing stands against it: nothing else ruled it."""
    before: int | None = None
    """The date (epoch milliseconds) that its age counted from before; None where there was none."""

    @property
    def date(self) -> int:
        """Return the `index.lifecycle.origination_date` that says so."""
        if self.before is None:
            return FAR_AHEAD + self.given_back
        return _WITH_A_DATE * (1 + self.given_back) + self.before


def exemption_in(date: int | None) -> Exemption | None:
    """Return the exemption that an `index.lifecycle.origination_date` says; None where it is somebody else's date."""
    if date is None:
        return None
    if date in (FAR_AHEAD, FAR_AHEAD + 1):
        return Exemption(given_back=date > FAR_AHEAD)
    kind, before = divmod(date, _WITH_A_DATE)
    return Exemption(given_back=kind > 1, before=before) if kind in (1, 2) else None
