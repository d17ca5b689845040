"""What can go wrong, by what has to happen next; each class has one exit code.

    RetentionError(message, remedy)
    ├── ConfigurationError     2  settings, policy or arguments are wrong: nothing was started
    ├── Refused                4  possible, but unsafe or accepted by nobody: nothing was deleted
    ├── ClusterUnavailable     1  no answer, or not a usable one: nothing is known
    │   └── OutcomeUnknown     1  a request may or may not have been carried out
    ├── RequestRejected        1  the cluster answered no
    └── LedgerBroken           1  `ledger verify` found a record that does not fit

Each carries its remedy: what the reader can do about it. Anything else that is raised is a defect of the enforcer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class RetentionError(Exception):
    """An error for the user: what happened, and the remedy."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


class ConfigurationError(RetentionError):
    """Settings, policy file or arguments are wrong."""

    exit_code = 2


class Refused(RetentionError):
    """It would be unsafe, or nobody accepted it."""

    exit_code = 4


class ClusterUnavailable(RetentionError):
    """The cluster gave no answer, or only a part of one: nothing may be concluded from it."""


class OutcomeUnknown(ClusterUnavailable):
    """A request was sent and its answer was lost: it may or may not have been carried out."""


class RequestRejected(RetentionError):
    """The cluster refused a request; `kind` is Elasticsearch's type of the error, `status` the HTTP status."""

    def __init__(self, message: str, remedy: str = "", *, kind: str = "", status: int = 0) -> None:
        super().__init__(message, remedy)
        self.kind = kind
        self.status = status


class LedgerBroken(RetentionError):
    """A ledger record does not fit its place in the chain."""


@contextmanager
def readable(what: str, *, so: str = "nothing is deleted") -> Iterator[None]:
    """Raise Refused where a stored document does not have the content it must have: nothing is guessed from it.

    `so` is what follows from that where it is read.
    """
    try:
        yield
    except KeyError as error:
        missing = f"{what} is not readable ({error.args[0]} is missing): {so}"
        raise Refused(missing, "correct or remove the document") from error
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        # Only the kind of error: its text may quote what somebody wrote.
        spoiled = f"{what} is not readable ({type(error).__name__}): {so}"
        raise Refused(spoiled, "correct or remove the document") from error
