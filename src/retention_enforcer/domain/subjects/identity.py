"""Subjects: whose documents they are, and which documents of an index certainly carry exactly that id.

An id is compared as a whole, byte by byte. Where an index cannot answer that with certainty, nothing is asked of it:

    Match     these documents, and no others
    None      certainly no document there
    Inexact   it cannot be told, with the reason

Where one kind of subject stands in several places, each of them is judged by itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.policy.places import Key, Place, SubjectPlaces

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
            raise ValueError("a user needs an application, and only a user has one")

    @property
    def text(self) -> str:
        """The one text that stands for it: no control character occurs in an id, so that no two subjects share one."""
        return self.id if self.application is None else f"{self.application}\n{self.id}"

    def wanted(self, places: SubjectPlaces) -> tuple[tuple[tuple[Place, ...], str], ...] | None:
        """Return the ids that a document must all have, each with the places of which any may have it.

        None where these places do not tell it.
        """
        if self.kind is SubjectKind.ACCOUNT:
            ids = [(places.account, self.id)]
        elif self.application is None:
            ids = [(places.application, self.id)]
        else:
            ids = [(places.application, self.application), (places.user, self.id)]
        return tuple(ids) if all(those for those, _ in ids) else None


def subject_of(*, account: str | None = None, application: str | None = None, user: str | None = None) -> Subject:
    """Return the subject that is named: an account, an application, or a user together with its application.

    Raises ConfigurationError where that is not exactly one, or an id is malformed; the id is not in the message.
    """
    given = {"account": account, "application": application, "user": user}
    for what, text in given.items():
        if text is not None and (problem := id_problem(text)):
            raise ConfigurationError(f"the id of the {what} is invalid", problem)
    if account is not None and application is None and user is None:
        return Subject(kind=SubjectKind.ACCOUNT, id=account)
    if account is None and application is not None:
        if user is None:
            return Subject(kind=SubjectKind.APPLICATION, id=application)
        return Subject(kind=SubjectKind.USER, id=user, application=application)
    remedy = "name an account, or an application, or a user together with its application"
    raise ConfigurationError("exactly one subject must be named", remedy)


def id_problem(text: str) -> str | None:
    """Return why a text cannot be an id, and what to do, or None. The text is not in it: errors are logged."""
    ends = {unicodedata.category(character) for character in text[:1] + text[-1:]}
    categories = {unicodedata.category(character) for character in text}
    bad = sorted(_FORBIDDEN & set(text))
    problems = {
        "it is empty; give the id exactly as in the documents": text == "",
        "it is not valid Unicode; give it in UTF-8": "Cs" in categories,
        "it has a control character; give the id alone, on one line": "Cc" in categories,
        "it begins or ends with a blank, perhaps an invisible one; remove it": bool(ends & _BLANKS),
        f"it has {''.join(bad[:1])!r}, which no id contains; name one subject by its full id, without patterns": bad
        != [],
        f"it has more than {MOST_ID_BYTES} bytes; give the id alone": _bytes(text) > MOST_ID_BYTES,
    }
    return next((problem for problem, found in problems.items() if found), None)


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inexact:
    """Why one index cannot tell which documents carry an id. Without any id in it."""

    reason: str
    certain: ExactField | None = None
    """Where documents have the id for certain, though others may have it that are not found there."""
    barred: bool = False
    """Whether no document of the index can have anything there at all. Of an index of the policy it is a doubt even so:
    the policy is likely to mean another field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactField:
    """A place in one index that can be asked for exactly an id: the field itself, or its `.keyword`."""

    name: str
    numeric: tuple[int, int] | None = None
    """The first and the last value, where it holds whole numbers."""
    longest: int | None = None
    """Longer values are not in the index of the field: `ignore_above`, in UTF-16 units as Elasticsearch counts."""
    prefix: str = ""
    """What stands before the id, in a field of texts. Values without it name nobody."""
    key: Key | None = None
    """Which of the nested objects it is of."""

    def __hash__(self) -> int:
        """Return the hash of what tells most of them apart: it is taken several times for each document that goes."""
        return hash(self.name)

    @property
    def plain(self) -> bool:
        """Whether each value of the field names somebody."""
        return not self.prefix and self.key is None

    def condition(self, id_: str) -> Condition | Inexact | None:
        """Return what to ask for, or None where no document of the index can have this id here."""
        if self.numeric is not None:
            return self._number(id_, *self.numeric)
        text = self.prefix + id_
        if self.longest is not None and len(text.encode("utf-16-le", "surrogatepass")) // 2 > self.longest:
            what = "this id with its prefix" if self.prefix else "this id"
            return Inexact(
                reason=f"{self.name} does not index values of more than {self.longest} characters, such as {what}"
            )
        return Condition(where=self, value=text)

    def other_spellings(self, id_: str) -> tuple[Condition, ...]:
        """Return how else a document may spell this id where it was written as a number, and texts are stored."""
        texts = () if self.numeric is not None else spellings(id_)
        return tuple(Condition(where=self, value=self.prefix + text) for text in texts)

    def ids(self, values: Iterable[str | int]) -> Iterator[str]:
        """Yield the ids that these values of the field name."""
        return (str(value)[len(self.prefix) :] for value in values if str(value).startswith(self.prefix))

    def _number(self, id_: str, first: int, last: int) -> Condition | Inexact | None:
        if _NEGATIVE.fullmatch(id_) and first <= int(id_):
            return Inexact(
                reason=f"{self.name} may contain this negative number, which cannot be searched for as an id"
            )
        if _NUMBER.fullmatch(id_) and int(id_) <= last:
            return Condition(where=self, value=int(id_))
        number = whole_number(id_)
        if number is not None and first <= number <= last:
            return Inexact(
                reason=f"{self.name} is numeric and can contain this id only without sign, leading zeros, fraction or "
                "exponent; use that spelling"
            )
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """That a document has a value in some place."""

    where: ExactField
    value: str | int = field(repr=False)


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


UNREAD = "\0"
"""Stands among the values of a document for those that were not read: no id has a control character."""

Values = Mapping[ExactField, Collection[str | int]]
"""What a document has in some places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """That a document has one id, wherever its index may name it."""

    fields: tuple[ExactField, ...]
    """All places of the kind in the index."""
    conditions: tuple[Condition, ...] = field(repr=False)
    """Of which one is enough: in some of the places the id may not be possible."""

    def fits(self, values: Values) -> bool:
        """Whether a document with these values has it."""
        return any(one.value in values.get(one.where, ()) for one in self.conditions)

    def ids(self, values: Values) -> set[str]:
        """Return all ids of the kind that a document with these values names."""
        return {id_ for place in self.fields for id_ in place.ids(values.get(place, ()))}

    def names_several(self, values: Values) -> bool:
        """Whether a document with these values names more than one of the kind."""
        return sum(len(values.get(place, ())) for place in self.fields) > 1 and len(self.ids(values)) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The documents of one index that carry a subject: those that have each of its ids."""

    parts: tuple[AnyOf, ...]
    """One for each id: an application's user has two."""
    unless_other: AnyOf | None = None
    """A document that names somebody of this kind, but not this one, is none of them."""
    label: str = ""
    """For whom it is asked, so that what was found can be told apart."""
    single: bool = False
    """Whether a document with several ids of one kind, in whichever places, is none of them: nobody can tell which
    id of one kind belongs to which of another."""
    guarded: bool = False
    """Whether the index may have such documents, so that queries must leave them out."""

    def __post_init__(self) -> None:
        if not self.parts or not all(part.conditions for part in self.parts):
            raise ValueError("without a condition it would match every document")

    @property
    def fields(self) -> tuple[ExactField, ...]:
        """The places that decide."""
        kinds = (*self.parts, *((self.unless_other,) if self.unless_other else ()))
        return tuple(dict.fromkeys(place for kind in kinds for place in kind.fields))

    def fits(self, values: Values) -> bool:
        """Whether it matches a document with these values."""
        if not all(part.fits(values) for part in self.parts):
            return False
        if self.single and any(part.names_several(values) for part in self.parts):
            return False
        other = self.unless_other
        return other is None or not other.ids(values) or other.fits(values)


def match(
    subject: Subject, places: SubjectPlaces, exact: Mapping[Place, ExactField | Inexact | None]
) -> tuple[Match | Inexact, ...]:
    """Return which documents of one index carry a subject, and why that cannot be told of all; empty: none does.

    `places` are those of the index's category, `exact` what the index says of each of them (None: it has no such
    place). What one place cannot tell changes nothing of what the others do, but for a pair: that nothing else stands
    beside its ids must be told of all places. One id that no document can have decides, whatever cannot be told of
    the others.
    """
    wanted = subject.wanted(places)
    if wanted is None:
        return (Inexact(reason=f"the category has no field for the {subject.kind} of a document"),)
    parts: list[AnyOf] = []
    doubts: list[Inexact] = []
    for those, id_ in wanted:
        part, indistinguishable = any_of(those, id_, exact)
        if not part.conditions and not indistinguishable:
            return ()
        parts.append(part)
        doubts += indistinguishable
    if doubts and (len(parts) > 1 or not parts[0].conditions):
        return tuple(doubts)
    return (Match(parts=tuple(parts)), *doubts)


def any_of(
    places: Iterable[Place], id_: str, exact: Mapping[Place, ExactField | Inexact | None]
) -> tuple[AnyOf, tuple[Inexact, ...]]:
    """Return where one index may have an id, and which of the places cannot tell that."""
    fields: dict[ExactField, None] = {}
    doubts: dict[Inexact, None] = {}
    conditions: dict[Condition, None] = {}
    for verdict in (exact[place] for place in places):
        if isinstance(verdict, Inexact):
            doubts[verdict] = None
        where = verdict.certain if isinstance(verdict, Inexact) else verdict
        if where is not None:
            fields[where] = None
            condition = where.condition(id_)
            if isinstance(condition, Inexact):
                doubts[condition] = None
            elif condition is not None:
                conditions[condition] = None
    return AnyOf(fields=tuple(fields), conditions=tuple(conditions)), tuple(doubts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """That documents name an application together with an account."""

    account: str = field(repr=False)
    application: str = field(repr=False)
    newest: int | None
    """The newest of them whose timestamp is believed, in epoch milliseconds."""
    ambiguous: bool = False
    """Whether one of them has several timestamps."""
    imprecision: int = 0
    """By how much earlier the newest may be, in milliseconds."""


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
        since = max((n.newest - n.imprecision for n in those if n.newest is not None), default=0)
        owners = {n.account for n in those if n.newest is not None and n.newest >= since}
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
        return f"its id is invalid: {problem}"
    if any(naming.ambiguous for naming in namings):
        return "a document that names it has several timestamps"
    if not owners:
        return "no document that names it has a plausible timestamp"
    if len(owners) > 1:
        return f"its newest documents have the same timestamp, but name {len(owners)} accounts"
    return None
