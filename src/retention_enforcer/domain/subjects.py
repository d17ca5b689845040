"""Subjects: whose documents they are, and which documents of an index certainly carry exactly that id.

An id is compared as a whole, byte by byte. Where an index cannot answer that with certainty, nothing is asked of it:

    Match     these documents, and no others
    None      certainly no document there
    Inexact   it cannot be told, with the reason
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.policy import SubjectFields

MOST_ID_BYTES = 256

NUMBERS = {
    "integer": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
    "unsigned_long": (0, 2**64 - 1),
}
"""The types of numbers that compare exactly, with the first and the last value of each; floats merge large ids."""

# At most the digits of the largest number. Elasticsearch itself would read 007 and full-width digits as numbers too.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,19}")
_NEGATIVE = re.compile(r"-[1-9][0-9]{0,19}")
# What Elasticsearch reads as a number in a text: signs, zeros, fractions, exponents, a suffix; digits of any script.
_NUMERAL = re.compile(r"([+-]?)0*(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?[dDfF]?")
_FORBIDDEN = frozenset(',*<>\\"')
_BLANKS = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})
"""Unicode's categories of blanks, controls and characters without width."""


class SubjectKind(StrEnum):
    """Whose data it can be."""

    ACCOUNT = "account"
    APPLICATION = "application"
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An account, an application, or a user of one application. Its ids are in no text that Python makes of it."""

    kind: SubjectKind
    id: str = field(repr=False)
    application: str | None = field(default=None, repr=False)
    """Of a user: a user id is unique only within its application."""

    def __post_init__(self) -> None:
        if (self.kind is SubjectKind.USER) != (self.application is not None):
            raise ValueError("a user has an application, and nothing else has one")

    @property
    def text(self) -> str:
        """The one text that stands for it: no control character occurs in an id, so that no two subjects share one."""
        return self.id if self.application is None else f"{self.application}\n{self.id}"

    def wanted(self, fields: SubjectFields) -> tuple[tuple[str, str], ...] | None:
        """Return the pairs of field and id that a document must all have, None where these fields do not tell it."""
        if self.kind is SubjectKind.ACCOUNT:
            pairs = [(fields.account, self.id)]
        elif self.application is None:
            pairs = [(fields.application, self.id)]
        else:
            pairs = [(fields.application, self.application), (fields.user, self.id)]
        known = tuple((name, id_) for name, id_ in pairs if name is not None)
        return known if len(known) == len(pairs) else None


def subject_of(*, account: str | None = None, application: str | None = None, user: str | None = None) -> Subject:
    """Return the subject that is named: an account, an application, or a user together with its application.

    Raises ConfigurationError where that is not exactly one, or an id is malformed; the id is not in the message.
    """
    given = {"account": account, "application": application, "user": user}
    for what, text in given.items():
        if text is not None and (problem := id_problem(text)):
            raise ConfigurationError(f"the id of the {what} is malformed", problem)
    if account is not None and application is None and user is None:
        return Subject(kind=SubjectKind.ACCOUNT, id=account)
    if account is None and application is not None:
        if user is None:
            return Subject(kind=SubjectKind.APPLICATION, id=application)
        return Subject(kind=SubjectKind.USER, id=user, application=application)
    mend = "name an account, or an application, or a user together with its application"
    raise ConfigurationError("this does not name exactly one subject", mend)


def id_problem(text: str) -> str | None:
    """Return why a text cannot be an id, and what to do, or None. The text is not in it: errors are logged."""
    ends = {unicodedata.category(character) for character in text[:1] + text[-1:]}
    categories = {unicodedata.category(character) for character in text}
    bad = sorted(_FORBIDDEN & set(text))
    problems = {
        "it is empty: give the id as it stands in the documents": text == "",
        "it is not valid Unicode: give it in UTF-8": "Cs" in categories,
        "it has a control character: give the id alone, on one line": "Cc" in categories,
        "it begins or ends with a blank, perhaps one that is not seen: remove it": bool(ends & _BLANKS),
        f"it has {''.join(bad[:1])!r}, which no id has: name one subject by its whole id, without patterns": bad != [],
        f"it has more than {MOST_ID_BYTES} bytes: give the id alone": _bytes(text) > MOST_ID_BYTES,
    }
    return next((problem for problem, found in problems.items() if found), None)


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inexact:
    """Why one index cannot tell which documents carry an id. Without any id in it."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactField:
    """The field of one index to ask for exactly an id: the field itself, or its `.keyword`."""

    name: str
    numeric: tuple[int, int] | None = None
    """The first and the last value, where it holds whole numbers."""
    longest: int | None = None
    """Longer values are not in the index of the field: `ignore_above`, in UTF-16 units as Elasticsearch counts."""

    def condition(self, id_: str) -> tuple[str, str | int] | Inexact | None:
        """Return field and value to ask for, or None where no document of the index can have this id."""
        if self.numeric is not None:
            return self._number(id_, *self.numeric)
        if self.longest is not None and len(id_.encode("utf-16-le", "surrogatepass")) // 2 > self.longest:
            return Inexact(reason=f"{self.name} leaves out values of more than {self.longest} characters, as this id")
        return self.name, id_

    def other_spellings(self, id_: str) -> tuple[str, ...]:
        """Return how else a document may spell this id where it was written as a number, and texts are stored."""
        return () if self.numeric is not None else spellings(id_)

    def _number(self, id_: str, first: int, last: int) -> tuple[str, int] | Inexact | None:
        if _NEGATIVE.fullmatch(id_) and first <= int(id_):
            return Inexact(reason=f"{self.name} may hold this negative number, which is not asked for as an id")
        if _NUMBER.fullmatch(id_) and int(id_) <= last:
            return self.name, int(id_)
        number = whole_number(id_)
        if number is not None and first <= number <= last:
            return Inexact(
                reason=f"{self.name} is a number, and has this id, if at all, without sign, leading zeros, fraction or "
                "exponent: ask for that spelling"
            )
        return None


def whole_number(text: str) -> int | None:
    """Return the whole number as which Elasticsearch stores a text in a field of numbers; None where it is none."""
    parts = _NUMERAL.fullmatch(text)
    if parts is None or not any(character.isdigit() for character in re.split("[eE]", text)[0]):
        return None
    sign, whole, fraction, exponent = (part or "" for part in parts.groups())
    places = int(exponent or 0)
    digits = whole + fraction
    if len(digits) + abs(places) > MOST_ID_BYTES:
        return None  # larger than any type, or a fraction of nothing
    shift = places - len(fraction)
    number: int = int(digits or 0) * 10**shift if shift >= 0 else int(digits or 0) // 10**-shift
    return -number if sign == "-" else number


def spellings(id_: str) -> tuple[str, ...]:
    """Return how JSON may spell the whole number that an id is, but for the id itself; none for any other id."""
    if not _NUMBER.fullmatch(id_):
        return ()
    found = [f"{id_}.0"]
    if len(id_) > 1:
        first, rest, exponent = id_[0], id_[1:].rstrip("0"), len(id_) - 1
        mantissas = [f"{first}.{rest}"] if rest else [first, f"{first}.0"]
        exponents = dict.fromkeys(f"{sign}{digits}" for sign in ("", "+") for digits in (exponent, f"{exponent:02}"))
        found += [f"{mantissa}{e}{exponent}" for mantissa in mantissas for e in "eE" for exponent in exponents]
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The documents of one index that carry a subject: those that fulfil each condition."""

    conditions: tuple[tuple[str, str | int], ...] = field(repr=False)
    """Pairs of field and value."""
    unless_other: tuple[str, str | int] | None = field(default=None, repr=False)
    """Field and value: a document that has the field, but not this value in it, is none of them."""
    label: str = ""
    """For whom it is asked, so that what was found can be told apart."""
    single: bool = False
    """Whether a document with several values in one of the fields is none of them: nobody can tell which value of one
    field belongs to which of another."""
    guarded: bool = False
    """Whether the index is known to have such documents, so that queries must leave them out."""

    def __post_init__(self) -> None:
        if not self.conditions:
            raise ValueError("without a condition it would match every document")

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that decide."""
        names = (name for name, _ in self.conditions)
        return (*names, *((self.unless_other[0],) if self.unless_other else ()))

    def fits(self, values: Mapping[str, Collection[str | int]]) -> bool:
        """Whether it matches a document with these values in its fields."""
        if not all(value in values.get(name, ()) for name, value in self.conditions):
            return False
        if self.single and any(len(set(values[name])) > 1 for name, _ in self.conditions):
            return False
        if self.unless_other is None:
            return True
        name, value = self.unless_other
        return not values.get(name) or value in values[name]


def match(
    subject: Subject, fields: SubjectFields, exact: Mapping[str, ExactField | Inexact | None]
) -> Match | Inexact | None:
    """Return which documents of one index carry a subject, None where certainly none does.

    `fields` are those of the index's category, `exact` what the index says of each of them (None: it has no such
    field). One condition that no document can fulfil decides, whatever cannot be told of the others.
    """
    wanted = subject.wanted(fields)
    if wanted is None:
        return Inexact(reason=f"the category has no field that names the {subject.kind} of a document")
    judged = [_condition(exact[name], id_) for name, id_ in wanted]
    if any(condition is None for condition in judged):
        return None
    doubt = next((condition for condition in judged if isinstance(condition, Inexact)), None)
    return doubt or Match(conditions=tuple(condition for condition in judged if isinstance(condition, tuple)))


def _condition(exact: ExactField | Inexact | None, id_: str) -> tuple[str, str | int] | Inexact | None:
    return exact.condition(id_) if isinstance(exact, ExactField) else exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """That documents name an application together with an account."""

    account: str = field(repr=False)
    application: str = field(repr=False)
    newest: int | None
    """The newest of them whose timestamp is believed, in epoch milliseconds."""
    ambiguous: bool = False
    """Whether one of them has several timestamps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Which applications certainly belong to each account that was asked for."""

    applications: dict[str, frozenset[str]] = field(repr=False)
    """By account; also those that have none."""
    undecided: dict[str, str] = field(repr=False)
    """By application, why it cannot be told whose it is: it is not taken."""
    others: Mapping[str, int] = field(default_factory=dict, repr=False)
    """Applications that were asked about, and certainly belong to accounts that were not: since the newest document
    that says so, in epoch milliseconds."""


def decide_owners(asked: Collection[str], namings: Iterable[Naming], doubts: Mapping[str, str]) -> Ownership:
    """Return what each account owns: an application belongs to the account of the newest document that names it.

    `namings` are those of all accounts; `doubts` are applications of which more may be said than `namings` says.
    """
    of_application: dict[str, list[Naming]] = {}
    for naming in namings:
        of_application.setdefault(naming.application, []).append(naming)
    owned: dict[str, set[str]] = {account: set() for account in asked}
    others: dict[str, int] = {}
    undecided = dict(doubts)
    for application, those in of_application.items():
        newest = max((n.newest for n in those if n.newest is not None), default=None)
        owners = {n.account for n in those if n.newest is not None and n.newest == newest}
        problem = undecided.get(application) or _why_undecided(application, those, owners)
        if problem is not None:
            undecided[application] = problem
        elif (owner := owners.pop()) in owned:
            owned[owner].add(application)
        elif newest is not None:
            others[application] = newest
    return Ownership(applications={a: frozenset(owned[a]) for a in asked}, undecided=undecided, others=others)


def _why_undecided(application: str, namings: Iterable[Naming], owners: set[str]) -> str | None:
    """Return why an application's owner cannot be told from all that names it, without any id."""
    if problem := id_problem(application):
        return f"its id is malformed: {problem}"
    if any(naming.ambiguous for naming in namings):
        return "a document that names it has several timestamps"
    if not owners:
        return "no document that names it has a believable timestamp"
    if len(owners) > 1:
        return f"its newest documents, of the same instant, name {len(owners)} accounts"
    return None
