"""How documents say when they are from: a field, and how its values are read. Instants in epoch milliseconds.

A value names a period: the second, minute or day that its last digit leaves open, or one millisecond. Nobody can tell
where in it the document is from. So what goes is counted from its end, that nothing goes early, and what is said to be
kept from its beginning, that nothing is called kept that may be past its limit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND

DATES = frozenset({"date", "date_nanos"})
"""The types of fields whose values are dates by their mapping."""

_INTEGERS = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1), "unsigned_long": (0, 2**64 - 1)}
"""The smallest and the largest value that a field of a type takes; a bound beyond them is refused (seen on 8.17)."""

_UNITS = {"s": (SECOND, 1), "ms": (1, 1), "us": (1, 1_000), "ns": (1, 1_000_000)}
"""How many milliseconds one of a unit is, and how many of it are one millisecond."""

_PARTS = {"yyyy": 4, "MM": 2, "dd": 2, "HH": 2, "mm": 2, "ss": 2, "SSS": 3}
"""The parts of a pattern, from the coarsest to the finest, and their digits."""

_WIDTHS = {"dd": DAY, "HH": HOUR, "mm": MINUTE, "ss": SECOND, "SSS": 1}
_LAST = {"HH": 23, "mm": 59, "ss": 59, "SSS": 999}
_REGEXPS = {"HH": "([01][0-9]|2[0-3])", "mm": "[0-5][0-9]", "ss": "[0-5][0-9]", "SSS": "[0-9]{3}"}
_DIGITS = re.compile(r"[0-9]+")
_TOKEN = re.compile(r"'(?P<quoted>[^']+)'|(?P<letters>([A-Za-z])\3*)|(?P<other>[^A-Za-z'])")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_INSTANT = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_LAST_INSTANT = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1) + DAY - 1


def unit_problem(unit: str) -> str | None:
    """Return why a text is neither a unit nor a pattern, as a sentence for the user; None where it is one."""
    if unit in _UNITS:
        return None
    try:
        layout_of(unit)
    except ValueError as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True)
class Timestamp:
    """The field that says when a document is from, and how its values are read.

    `unit` is None for a field that is mapped as a date; s, ms, us or ns for a number of those since 1970; else a
    pattern such as yyyyMMddHHmmss, whose digits are read in UTC.
    """

    field: str
    unit: str | None = None

    def __str__(self) -> str:
        return self.field if self.unit is None else f"{self.field} ({self.unit})"

    @property
    def is_pattern(self) -> bool:
        """Whether its values are written by a pattern."""
        return self.unit is not None and self.unit not in _UNITS

    @property
    def width(self) -> int:
        """How long the period is that a value names, in milliseconds."""
        if self.unit is None:
            return 1
        return _UNITS[self.unit][0] if self.unit in _UNITS else layout_of(self.unit).width

    @property
    def types(self) -> tuple[str, ...]:
        """The types of fields that can hold its values, the best first."""
        if self.unit is None:
            return ("date", "date_nanos")
        if not self.is_pattern:
            return ("long", "unsigned_long", "integer") if self.unit == "s" else ("long", "unsigned_long")
        layout = layout_of(self.unit)
        if layout.literals:
            return ("keyword",)
        # Of ten digits the year stands first: until 2147 they fit.
        return ("long", "keyword", "integer") if layout.length <= len("yyyyMMddHH") else ("long", "keyword")

    def instant(self, value: int | str) -> int | None:
        """Return the last instant of the period that a value names; None where it names none.

        Of a date, as a number of milliseconds, it is the value.
        """
        if self.is_pattern:
            start = layout_of(str(self.unit)).start(value)
            return None if start is None else start + self.width - 1
        if not isinstance(value, int):
            return None
        length, of_one = (1, 1) if self.unit is None else _UNITS[self.unit]
        return value * length // of_one + length - 1

    def bound(self, instant: int) -> int | None:
        """Return, as a number, the smallest value whose instant is not before this one; None where there is none."""
        if self.is_pattern:
            return layout_of(str(self.unit)).number(instant)
        length, of_one = (1, 1) if self.unit is None else _UNITS[self.unit]
        return instant // length * of_one

    def text(self, instant: int) -> str | None:
        """Return, of a pattern, the same as it stands in a keyword field."""
        return layout_of(str(self.unit)).text(instant)


AT_TIMESTAMP = Timestamp("@timestamp")
"""Where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The values of a field that lie in some range of instants: from the first on, and before or up to another."""

    first: int | str
    before: int | str | None = None
    last: int | None = None
    """The largest value that the field takes, where `before` is beyond it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A timestamp as one index maps it; `type` is one of its types."""

    timestamp: Timestamp
    type: str

    @property
    def field(self) -> str:
        """The field's name."""
        return self.timestamp.field

    def span(self, first: int, before: int) -> Span | None:
        """Return the values whose instant is at least `first`, and before `before`; None where no value can be."""
        if self.type == "keyword":
            return self._texts(first, before)
        low, high = self.timestamp.bound(first), self.timestamp.bound(before)
        least, most = _INTEGERS.get(self.type, (None, None))
        if low is None or before <= first or (most is not None and low > most):
            return None
        if least is not None and low < least:
            low = least
        if high is None or (most is not None and high > most):
            return Span(first=low, last=most)
        return Span(first=low, before=high) if high > low else None

    def _texts(self, first: int, before: int) -> Span | None:
        low = self.timestamp.text(first)
        if low is None or before <= first:
            return None
        return Span(first=low, before=self.timestamp.text(before))


# --- patterns -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A pattern, read: parts from the year on, and what stands before, between and after them."""

    parts: tuple[str, ...]
    literals: bool
    """Whether anything stands there beside digits."""
    pieces: tuple[str, ...]
    """Literals and parts by turns, beginning and ending with a literal, which may be empty."""

    @property
    def width(self) -> int:
        """How long the period is that a value names, in milliseconds."""
        return _WIDTHS[self.parts[-1]]

    @property
    def length(self) -> int:
        """How many digits a value has."""
        return sum(_PARTS[part] for part in self.parts)

    @property
    def clock(self) -> tuple[tuple[int, int], ...]:
        """Of the digits behind the day, from the last on: by what they are divided off, and the most they may be."""
        return tuple((int(10 ** _PARTS[part]), _LAST[part]) for part in reversed(self.parts[3:]))

    def start(self, value: int | str) -> int | None:
        """Return the first instant of the period that a value names; None where it is not written so, or is no day."""
        text = str(value) if isinstance(value, int) else value
        if isinstance(value, int) and not self.literals:
            text = text.zfill(self.length)
        digits = []
        for number, piece in enumerate(self.pieces):
            width = _PARTS[piece] if number % 2 else len(piece)
            head, text = text[:width], text[width:]
            if number % 2:
                digits.append(head)
            elif head != piece:
                return None
        if text or not all(
            _DIGITS.fullmatch(d) and len(d) == _PARTS[p] for d, p in zip(digits, self.parts, strict=True)
        ):
            return None
        year, month, day, *clock = map(int, digits)
        if any(n > _LAST[part] for n, part in zip(clock, self.parts[3:], strict=True)):
            return None
        try:
            start = datetime(year, month, day, tzinfo=UTC)
        except ValueError:
            return None
        within = sum(n * _WIDTHS[part] for n, part in zip(clock, self.parts[3:], strict=True))
        return (start - _EPOCH) // timedelta(milliseconds=1) + within

    def text(self, instant: int) -> str | None:
        """Return the value of the period in which an instant lies, the first there is for one before all."""
        if instant > _LAST_INSTANT:
            return None
        moment = _EPOCH + timedelta(milliseconds=max(instant, _FIRST_INSTANT))
        numbers = (
            *(moment.year, moment.month, moment.day),
            *(moment.hour, moment.minute, moment.second, moment.microsecond // 1_000),
        )
        digits = [f"{n:0{_PARTS[part]}d}" for n, part in zip(numbers, self.parts, strict=False)]
        return "".join(digits[n // 2] if n % 2 else piece for n, piece in enumerate(self.pieces))

    def number(self, instant: int) -> int | None:
        """Return the same as a number."""
        text = self.text(instant)
        return None if text is None else int(text)

    def regexp(self) -> str:
        """Return the regular expression, in Lucene's words, of all values that name a period, and of no others."""
        before, _, between, _, inside, _, *rest = self.pieces  # beside year, month and day
        one, other = _escaped(between), _escaped(inside)
        long = f"(0[13578]|1[02]){other}(0[1-9]|[12][0-9]|3[01])"
        short = f"(0[469]|11){other}(0[1-9]|[12][0-9]|30)"
        any_year = f"[0-9]{{4}}{one}({long}|{short}|02{other}(0[1-9]|1[0-9]|2[0-8]))"
        fours = "0[48]|[2468][048]|[13579][26]"
        leap_year = f"([0-9][0-9]({fours})|({fours}|00)00){one}02{other}29"
        clock = "".join(_escaped(p) if n % 2 == 0 else _REGEXPS[p] for n, p in enumerate(rest))
        return f"{_escaped(before)}({any_year}|{leap_year}){clock}"


def _escaped(literal: str) -> str:
    return "".join(c if c.isalnum() else f"\\{c}" for c in literal)


@lru_cache(maxsize=256)
def layout_of(pattern: str) -> Layout:
    """Read a pattern. Raises ValueError with a sentence for the user."""
    pieces, parts, at = [""], [], 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None:
            raise ValueError(f"{pattern[:60]!r} has a quote that is not closed")
        at = token.end()
        if letters := token["letters"]:
            parts.append(letters)
            pieces += [letters, ""]
            continue
        literal = str(token["quoted"] or token["other"])
        if not (literal.isascii() and literal.isprintable()) or any(c.isdigit() for c in literal):
            raise ValueError(f"{pattern[:60]!r} has a character that is not allowed between the parts of a time")
        pieces[-1] += literal
    known = tuple(_PARTS)[: len(parts)]
    if not parts or tuple(parts) != known or len(parts) < len(("yyyy", "MM", "dd")):
        raise ValueError(
            f"{pattern[:60]!r} is neither a unit nor a pattern that runs without a gap from the year to at "
            "least the day"
        )
    return Layout(parts=known, literals=any(pieces[::2]), pieces=tuple(pieces))
