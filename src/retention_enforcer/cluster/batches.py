"""Requests that many indices share, so that none of them spoils the answer for the others.

Where a request is refused, or answered in part, it is halved until the odd index is alone: that one is named with the
cause, and of the others is known what would be known without it. Only what nobody can be told from, a cluster that
answers for not one index, is an error for all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

from retention_enforcer.cluster.errors import GONE, SECURITY
from retention_enforcer.cluster.expressions import Batch, batches
from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, RequestRejected, RetentionError

T = TypeVar("T")
S = TypeVar("S")

_PATIENCE = 12
"""Requests that fail one after the other, none before having been answered, until it is the cluster that fails."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why nothing is known of an index, and what can be done about it, where that is known."""

    text: str
    remedy: str = ""


class Refusals:
    """Which indices were refused, each alone, and why; and whether anything was answered at all."""

    def __init__(self) -> None:
        self.causes: dict[str, Cause] = {}
        self.gone: set[str] = set()
        """Those that were not there, or not open, any more."""
        self._answered = False
        self._failures = 0
        self._first: RetentionError | None = None

    def answered(self) -> None:
        """Note that a request was answered."""
        self._answered = True

    def failed(self, error: RetentionError) -> None:
        """Note that one was not. Raises the error where it does not tell one index from another."""
        if isinstance(error, OutcomeUnknown) or (
            isinstance(error, RequestRejected) and error.status == HTTPStatus.UNAUTHORIZED
        ):
            raise error
        self._first = self._first or error
        self._failures += 1
        if not self._answered and self._failures > _PATIENCE and _concerns_all(error):
            raise self._first

    def alone(self, name: str, error: RetentionError) -> None:
        """Note why one index was refused."""
        if isinstance(error, RequestRejected) and (error.kind in GONE or error.status == HTTPStatus.NOT_FOUND):
            self.gone.add(name)
        else:
            self.causes.setdefault(name, Cause(error.message, error.remedy))

    def raise_if_nothing_was_answered(self) -> None:
        """Raise what came first where nothing was answered and it need not be the fault of single indices."""
        if self._first is not None and not self._answered and _concerns_all(self._first):
            raise self._first


def _concerns_all(error: RetentionError) -> bool:
    return isinstance(error, ClusterUnavailable) or (isinstance(error, RequestRejected) and error.kind == SECURITY)


def ask_each(asked: Iterable[Batch], refusals: Refusals, request: Callable[[str], T]) -> Iterator[T]:
    """Yield the answer to a request for each batch, or for each half of one that is refused.

    What is refused alone stands in `refusals` afterwards. Raises ClusterUnavailable or RequestRejected where not one
    request was answered, and for lost answers and refused credentials at once.
    """
    waiting = deque(asked)
    while waiting:
        batch = waiting.popleft()
        try:
            answer = request(batch.expression)
        except (ClusterUnavailable, RequestRejected) as error:
            refusals.failed(error)
            if len(batch.names) == 1 and batch.expression == batch.names[0]:
                refusals.alone(batch.names[0], error)
            else:
                waiting.extendleft(reversed(_smaller(batch)))
        else:
            refusals.answered()
            yield answer
    refusals.raise_if_nothing_was_answered()


def _smaller(batch: Batch) -> list[Batch]:
    """Return batches of the same indices by their names: halves, or what fits into a URL."""
    if batch.expression != ",".join(batch.names):
        return list(batches(batch.names))
    return [Batch(",".join(half), half) for half in halves(batch.names)]


def of_those_there(names: Sequence[str], ask: Callable[[Sequence[str]], dict[str, T]]) -> dict[str, T]:
    """Return what is answered about those of these indices that are there.

    For requests that answer for none where one is gone: then each half is asked for.
    """
    try:
        return ask(names)
    except RequestRejected as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
    if len(names) == 1:
        return {}
    return {name: found for half in halves(names) for name, found in of_those_there(half, ask).items()}


def parts(values: Sequence[S], most: int) -> Iterator[Sequence[S]]:
    """Yield so many of these at a time."""
    return (values[start : start + most] for start in range(0, len(values), most))


def halves(names: Sequence[S]) -> list[tuple[S, ...]]:
    """Return the first and the second half; of one alone that one."""
    middle = (len(names) + 1) // 2
    return [tuple(half) for half in (names[:middle], names[middle:]) if half]
