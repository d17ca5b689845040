"""Which places in each index can be asked for exactly an id.

    the mapping of the fields     type and parameters, defaults included
    the mapping's outline         runtime fields, objects and nested documents, and what is kept without being indexed
    the types in a search         everything by which a name is not the field of the mapping
    a search for `_ignored`       documents whose value was too long or malformed are not found by it

Only where all of them agree is a place exact, or certainly absent. A key and its id are looked for in one object of
nested ones; where these are mapped as plain objects, nobody can tell which key belongs to which value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import Refusals, ask_each, parts
from retention_enforcer.cluster.errors import translated
from retention_enforcer.cluster.expressions import Batch, batches, by_fields, fitting
from retention_enforcer.cluster.field_names import parents
from retention_enforcer.cluster.indices.mappings import REACHED, ask_field_caps, ask_mappings
from retention_enforcer.cluster.indices.statistics import is_runtime_field
from retention_enforcer.cluster.limits import Limits
from retention_enforcer.cluster.searches import Question, ask_about, count_in, counted
from retention_enforcer.cluster.subject_queries import mixed_up, within_pair, without_value
from retention_enforcer.domain import wording
from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.policy.places import Key, Place
from retention_enforcer.domain.subjects.identity import NUMBERS, ExactField, Inexact

Verdict = ExactField | Inexact | None

T = TypeVar("T")
_Counted = Iterator[tuple[str, T, int]]
_UNLIMITED = 2_147_483_647
"""What `ignore_above` is where a keyword has no limit."""

_NO_OBJECTS = frozenset({"keyword", "text", "wildcard", "match_only_text"})
"""Types of fields of which a document with an object in its place is refused, and never ignored."""

_OBJECTS = frozenset({"object", "passthrough"})
"""Types of objects of which a search does not know which values are of the same one."""

_UNTOLD_PAIRS = "so it is unknown which key belongs to which value: map it as nested in the index template and reindex"

_UNREAD = Inexact(reason="the types of its fields are unknown")
_MAPPINGS = 50
"""Whole mappings in one answer: one may have thousands of fields."""
_FIELDS_AT_A_TIME = 10
"""Fields of which one search counts the documents that ignored them."""


def read_subject_fields(
    client: Elasticsearch,
    wanted: Mapping[str, Collection[Place]],
    reach: Callable[[Collection[str]], Iterable[Batch]],
    limits: Limits,
) -> dict[str, dict[Place, Verdict]]:
    """Return, for each of these open indices, how each of the places that it is asked for can be asked for an id.

    None: no document of the index can name anybody there. An index that did not answer for all fields is absent: that
    is not None; one that is refused is so inexact for each place. `reach` gives the expressions for some of them. Three
    requests for as many fields as fit into a URL, and one search for all. The indices have been refreshed; none of them
    is closed, unassigned, or has a metadata or read block. What was written before a field was added to the mapping
    by hand, in an index that then ignored unmapped fields, is not known of.
    Raises ClusterUnavailable or RequestRejected where the cluster does not answer at all.
    """
    found: dict[str, _Fields] = {}
    silent: set[str] = set()
    refusals = Refusals()
    of_index = {index: {name for place in places for name in place.fields} for index, places in wanted.items()}
    for names, fields in by_fields(of_index, _asked):
        answered = _read(client, list(reach(names)), fields, refusals)
        silent |= set(names) - answered.keys()  # of a field that it was not seen to have nothing may be said
        for name, said in answered.items():
            found[name] = found[name].beside(said) if name in found else said
    verdicts = {
        index: {place: found[index].judge(place) for place in places}
        for index, places in wanted.items()
        if index in found and index not in silent
    }
    copies = {index: {p: found[index].copies(v) for p, v in those.items()} for index, those in verdicts.items()}
    ignored = _Ignored.read(client, verdicts, copies, limits)
    verdicts = {
        index: {place: ignored.judge(index, place, verdict) for place, verdict in those.items()}
        for index, those in verdicts.items()
    }
    for index, cause in refusals.causes.items():
        verdicts[index] = {place: Inexact(reason=cause.text) for place in wanted.get(index, ())}
    return {index: verdict for index, verdict in verdicts.items() if index in wanted}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """A field that has the values of another one, as the `.keyword` of a text: it may be younger than documents."""

    whole: str
    name: str
    within: ExactField | None = None
    """The nested objects in which both stand: those with the key where it is about their value."""
    path: str = ""
    """Where the nested objects are."""
    findable: bool = True
    """Whether documents are found that have the other one; else those count that have not this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fields:
    """What one index says of some fields; None where it did not answer."""

    mapped: Mapping[str, Mapping[str, Any]] | None
    """The parameters of each field that is in the mapping."""
    outline: Mapping[str, Any]
    """The mapping without its fields; empty where there is nothing to be said."""
    copied_into: frozenset[str]
    """The fields into which others copy their values."""
    types: Mapping[str, str] | None
    """The type of each field in a search."""

    def beside(self, other: _Fields) -> _Fields:
        """Return what is said here and there, of other fields; nothing where one of both did not answer."""
        return _Fields(
            mapped=None if self.mapped is None or other.mapped is None else {**self.mapped, **other.mapped},
            outline=merged(self.outline, other.outline),
            copied_into=self.copied_into | other.copied_into,
            types=None if self.types is None or other.types is None else {**self.types, **other.types},
        )

    def copies(self, verdict: Verdict) -> tuple[_Copy, ...]:
        """Return which fields of a place have the values of others."""
        if not isinstance(verdict, ExactField):
            return ()
        if verdict.key is None:
            return tuple(self._copy(verdict.name))
        path = verdict.key.path
        return (*self._copy(verdict.key.field, path), *self._copy(verdict.name, path, verdict))

    def _copy(self, name: str, path: str = "", within: ExactField | None = None) -> Iterator[_Copy]:
        whole, _, last = name.rpartition(".")
        said = (self.mapped or {}).get(whole) or _place(self.outline, whole)
        if last in said.get("fields", {}):
            findable = str(said.get("index", True)).lower() != "false"
            yield _Copy(whole=whole, name=name, within=within, path=path, findable=findable)

    def judge(self, place: Place) -> Verdict:
        if self.mapped is None or self.types is None:
            return _UNREAD
        if any("," in name for name in place.fields):
            return Inexact(reason="a field with a comma in its name cannot be searched")
        if place.key is not None:
            return self._in_objects(place.field, place.key, self.mapped, self.types)
        found = self._field(place.field, (), self.mapped, self.types)
        if not place.prefix or not isinstance(found, ExactField):
            return found
        if found.numeric is None:
            return replace(found, prefix=place.prefix)
        if _may_begin_a_number(place.prefix):
            return Inexact(reason=f"{found.name} is a number, not text: map it as keyword in the index template")
        return None

    def _in_objects(
        self, name: str, key: Key, mapped: Mapping[str, Mapping[str, Any]], types: Mapping[str, str]
    ) -> Verdict:
        kind = _place(self.outline, key.path).get("type", "object")
        if types.get(key.path, kind) == kind and self._refuses_objects(key.path):
            return None
        within = (*parents(key.path), key.path)
        of_keys = self._field(key.field, within, mapped, types)
        of_ids = self._field(name, within, mapped, types)
        if of_keys is None or of_ids is None:
            return None
        if isinstance(of_keys, Inexact) or isinstance(of_ids, Inexact):
            return of_keys if isinstance(of_keys, Inexact) else of_ids
        if types.get(key.path) != "nested" or kind != "nested":
            what = "an object" if kind in _OBJECTS else f"of type {kind}"
            return Inexact(reason=f"{key.path} is {what}, not nested, {_UNTOLD_PAIRS}")
        for parent in parents(key.field):
            if parent not in within and _place(self.outline, parent).get("type", "object") in _OBJECTS:
                return Inexact(reason=f"{parent} is an object within {key.path}, not nested, {_UNTOLD_PAIRS}")
        if of_keys.numeric is not None:
            return Inexact(reason=f"{of_keys.name} is a number, not a key: map it as keyword in the index template")
        if isinstance(of_keys.condition(key.text), Inexact):
            return Inexact(
                reason=f"{of_keys.name} does not index keys of more than {of_keys.longest} characters, such as this one"
            )
        return replace(of_ids, key=replace(key, field=of_keys.name))

    def _field(
        self, name: str, within: Collection[str], mapped: Mapping[str, Mapping[str, Any]], types: Mapping[str, str]
    ) -> Verdict:
        """Judge a field that may be in these nested objects, and in no others."""
        for parent in parents(name):
            if parent not in within and _place(self.outline, parent).get("type") == "nested":
                return Inexact(reason=f"{name} is in nested documents, below {parent}")
        mapping, keyword = mapped.get(name), _keyword_of(name)
        beside = mapping.get("fields", {}) if mapping is not None and mapping.get("type") == "text" else {}
        if _KEYWORD.removeprefix(".") in beside and keyword in mapped:
            return self._mapped(keyword, mapped[keyword], types)
        return self._absent(name, within, types) if mapping is None else self._mapped(name, mapping, types)

    def _mapped(self, name: str, mapping: Mapping[str, Any], types: Mapping[str, str]) -> ExactField | Inexact:
        type_ = mapping.get("type")
        if self._is_computed(name):
            return Inexact(reason=f"{name} is a runtime field")
        if type_ != "keyword" and type_ not in NUMBERS:
            remedy = "map it as keyword or long in the index template and reindex"
            return Inexact(reason=f"{name} is of type {type_ or 'unknown'}: {remedy}")
        if types.get(name) != type_:
            return Inexact(reason=f"{name} is of type {type_} in the mapping, but {types.get(name)} in a search")
        if doubt := next(_doubts_about(mapping), None):
            return Inexact(reason=f"{name} {doubt}")
        if copied := sorted(self.copied_into & {*parents(name), name}):
            return Inexact(reason=f"copy_to copies values of other fields into {copied[0]}")
        if type_ in NUMBERS:
            return ExactField(name=name, numeric=NUMBERS[type_])
        longest = int(mapping.get("ignore_above", _UNLIMITED))
        return ExactField(name=name, longest=longest if longest < _UNLIMITED else None)

    def _absent(self, name: str, within: Collection[str], types: Mapping[str, str]) -> Inexact | None:
        """Return None if the index cannot hold such a field: it would be in the mapping."""
        if self._is_computed(name):
            return Inexact(reason=f"{name} is a runtime field")
        if name in types:
            return Inexact(reason=f"{name} is of type {types[name]}, but not a field of the mapping")
        for place in (*parents(name), name):
            here = _place(self.outline, place)
            type_ = here.get("type", "object")
            if type_ in _NO_OBJECTS and place != name:
                if self._is_flat(place):
                    continue
                below = name.removeprefix(f"{place}.").partition(".")[0]
                if self._refuses_objects(place) and below not in here.get("fields", {}):
                    return None
            if type_ != "object" and not (type_ == "nested" and place in within):
                return Inexact(reason=f"{place} is of type {type_}, so {name} is not a field")
        if "properties" in _place(self.outline, name):
            return Inexact(reason=f"{name} is an object", barred=not _takes_anything(self.outline, name))
        if _keeps_unindexed(self.outline, name):
            return Inexact(reason=f"documents may have {name}, but it is not indexed")
        return None

    def _is_computed(self, name: str) -> bool:
        return is_runtime_field(name, self.outline.get("runtime", {}))

    def _refuses_objects(self, name: str) -> bool:
        """Whether no document can have an object in place of this field, nor a field whose name goes on after a dot."""
        is_text = _place(self.outline, name).get("type") in _NO_OBJECTS
        return is_text and not self._is_flat(name) and not _takes_anything(self.outline, name)

    def _is_flat(self, name: str) -> bool:
        """Whether a field of this name may have others beside it whose names go on after a dot."""
        above = (_place(self.outline, place) for place in ("", *parents(name)))
        return any(str(place.get("subobjects", True)).lower() != "true" for place in above)


def is_absent(mapping: Mapping[str, Any], place: Place) -> bool:
    """Whether a whole mapping says by itself that no document of its index can name anybody in a place."""
    return unbarred(_Fields(mapped={}, outline=mapping, copied_into=frozenset(), types={}).judge(place)) is None


def unbarred(verdict: Verdict) -> Verdict:
    """Return a verdict as it is of an index outside the policy, of which nobody has said that it names anybody."""
    return None if isinstance(verdict, Inexact) and verdict.barred else verdict


def _may_begin_a_number(text: str) -> bool:
    """Whether a field of numbers takes a text that begins so for a number, and does not refuse or ignore it."""
    first = text.lstrip()[:1]
    return first in "+-." or first.isdigit()  # nothing is in it as well


def _doubts_about(mapping: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a search for a value of this keyword or number does not find exactly the documents that have it."""
    if mapping.get("index") is not True:
        yield "is not indexed"
    if mapping.get("doc_values") is not True:
        yield "has no doc_values"
    if mapping.get("normalizer") is not None:
        yield "has a normalizer, so different ids look the same"
    if mapping.get("null_value") is not None:
        yield "has a null_value, so documents without an id seem to have one"
    if mapping.get("script") is not None:
        yield "is computed by a script"


def _copied_into(mapping: Mapping[str, Any]) -> frozenset[str]:
    """Return the fields into which others copy their values, as the mapping says."""
    found: set[str] = set()
    waiting = [mapping]
    while waiting:
        for said in waiting.pop().get("properties", {}).values():
            targets = said.get("copy_to", ())
            found |= {targets} if isinstance(targets, str) else set(targets)
            waiting.append(said)
    return frozenset(found)


def _keeps_unindexed(outline: Mapping[str, Any], name: str) -> bool:
    """Whether documents can have a field that is not in the mapping, without its being added there."""
    dynamic = "true"
    for place in ("", *parents(name), name):
        dynamic = str(_place(outline, place).get("dynamic", dynamic)).lower()
    return dynamic == "false" or _takes_anything(outline, name)


def _takes_anything(outline: Mapping[str, Any], name: str) -> bool:
    """Whether a field is in an object, or is one, of which the index looks at nothing."""
    above = (_place(outline, place) for place in ("", *parents(name), name))
    return any(str(here.get("enabled", True)).lower() == "false" for here in above)


def _place(outline: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return what an outline says of the object or field of this name, of the whole mapping where it is empty."""
    here = outline
    for part in name.split(".") if name else ():
        here = here.get("properties", {}).get(part, {})
    return here


def _asked(fields: Iterable[str]) -> list[str]:
    return sorted({name for f in fields for name in (f, _keyword_of(f))})


_KEYWORD = ".keyword"


def _keyword_of(name: str) -> str:
    return f"{name}{_KEYWORD}"


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return two parts of the same mapping as one."""
    both = {**one, **other}
    for key in one.keys() & other.keys():
        if isinstance(one[key], dict) and isinstance(other[key], dict):
            both[key] = merged(one[key], other[key])
    return both


# --- what indices say -----------------------------------------------------------------------------------


def _read(
    client: Elasticsearch, asked: Sequence[Batch], fields: Sequence[str], refusals: Refusals
) -> dict[str, _Fields]:
    mappings: dict[str, dict[str, Mapping[str, Any]]] = {}
    outlines: dict[str, Mapping[str, Any]] = {}
    types: dict[str, dict[str, str]] = {}
    for mapping in ask_each(asked, refusals, lambda names: _read_mappings(client, names, fields)):
        mappings.update(mapping)
    for outline in _read_outlines(client, asked, fields, refusals):
        outlines.update({index: merged(outlines.get(index, {}), said) for index, said in outline.items()})
    for said in ask_each(asked, refusals, lambda names: _read_types(client, names, fields)):
        types.update(said)
    return {
        index: _Fields(
            mapped=mappings.get(index),
            outline=outlines.get(index, {}),
            copied_into=_copied_into(outlines.get(index, {})),
            types=types.get(index),
        )
        for index in mappings.keys() | types.keys()
    }


def _read_mappings(
    client: Elasticsearch, expression: str, fields: Collection[str]
) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return the parameters of the fields in each index, also in one that has none of them."""
    try:
        with translated():
            # Not filtered: a filter drops the indices without any of the fields, as if they had not answered. With
            # the defaults, since some of them are set for a whole index.
            answer = client.indices.get_field_mapping(
                index=expression,
                fields=_asked(fields),
                include_defaults=True,
                expand_wildcards=REACHED,
                ignore_unavailable=True,
            ).body
    except RequestRejected as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return {}  # how this request answers where not one index is there
    return {
        index: {name: next(iter(said["mapping"].values()), {}) for name, said in what["mappings"].items()}
        for index, what in answer.items()
    }


def _read_outlines(
    client: Elasticsearch, asked: Sequence[Batch], fields: Collection[str], refusals: Refusals
) -> Iterator[dict[str, Mapping[str, Any]]]:
    """Yield runtime fields, where fields are copied to, and what is said of objects around fields, or in their place.

    An index of which none of that is to be said is absent. By a path for each place; where there are too many for one
    URL, what the mapping says of all its fields is read, of a few indices at a time.
    """
    objects = sorted({name for f in fields for name in (*parents(f), f)})
    of_objects = ("dynamic", "enabled", "subobjects")
    # Two stars are one level at least: what is said of the whole mapping is asked for by itself.
    everywhere = ["runtime.*.type", *of_objects, *(f"properties.**.{key}" for key in (*of_objects, "copy_to"))]
    inside = [f"properties.{f.replace('.', '.properties.')}.properties.*.type" for f in sorted(fields)]
    for whole, _, last in (f.rpartition(".") for f in sorted(fields) if "." in f):
        field = f"properties.{whole.replace('.', '.properties.')}"
        inside += [f"{field}.index", f"{field}.fields.{last}.type"]
    types = [f"properties.{name.replace('.', '.properties.')}.type" for name in objects]
    paths = [f"*.mappings.{path}" for path in (*everywhere, *types, *inside)]
    if len(list(fitting(paths))) > 1:
        paths = [f"*.mappings.{path}" for path in (*everywhere, "properties.**.type", "properties.**.index")]
        names = sorted({name for batch in asked for name in batch.names})
        asked = [batch for page in parts(names, _MAPPINGS) for batch in batches(page)]

    yield from ask_each(asked, refusals, partial(ask_mappings, client, paths=paths))


def _read_types(client: Elasticsearch, expression: str, fields: Collection[str]) -> dict[str, dict[str, str]]:
    """Return, for each index that answered, the types of those fields that it has, and of objects around them."""
    answer = ask_field_caps(client, expression, _asked(fields))
    types: dict[str, dict[str, str]] = {index: {} for index in answer.indices}
    for said in answer.fields:
        for index in said.indices:
            types[index][said.name] = said.type
    return types


# --- documents that a field does not find ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ignored:
    """How many documents of an index have a value that its field ignored. It may have done so under earlier limits.

    Of nested objects those count that have the key, and no value beside it: others leave values out all the time.
    """

    counts: dict[str, dict[str | ExactField, int]] = field(default_factory=dict)
    """By index, and by the name of a field or the place in nested objects; an index without any is in none."""
    copies: Mapping[str, Mapping[Place, tuple[_Copy, ...]]] = field(default_factory=dict)
    """By index and place, which of its fields have the values of others."""
    earlier: dict[str, dict[_Copy, int]] = field(default_factory=dict)
    """By index, and by such a field, how many documents have the other one and not this: it was added to the mapping
    after they were written."""
    mixed: dict[str, dict[ExactField, int]] = field(default_factory=dict)
    """By index and place, how many documents have nested objects that mix keys and values up."""
    unknown: dict[str, str] = field(default_factory=dict)
    """Why nothing is known of an index."""

    @classmethod
    def read(
        cls,
        client: Elasticsearch,
        verdicts: Mapping[str, Mapping[Place, Verdict]],
        copies: Mapping[str, Mapping[Place, tuple[_Copy, ...]]],
        limits: Limits,
    ) -> _Ignored:
        """Ask which indices have such documents at all, and those for each field."""
        ignored = cls(copies=copies)
        alike: dict[tuple[str, ...], dict[str, int | None]] = {}
        keyed: dict[ExactField, dict[str, int | None]] = {}
        younger: dict[_Copy, dict[str, int | None]] = {}
        for index, those in verdicts.items():
            alike.setdefault(_may_be_ignored(those), {})[index] = None
            for verdict in those.values():
                if isinstance(verdict, ExactField) and verdict.key is not None:
                    keyed.setdefault(verdict, {})[index] = None
            for copy in (copy for of_place in copies[index].values() for copy in of_place):
                younger.setdefault(copy, {})[index] = None
        refusals = Refusals()
        any_of_them = (
            Question(
                indices=indices, query={"bool": {"should": [_ignores(name) for name in page]}}, inner={}, about=page
            )
            for fields, indices in alike.items()
            for page in parts(fields, _FIELDS_AT_A_TIME)
        )
        some = [(page, list(found)) for page, found in ask_about(client, any_of_them, limits, refusals)]
        each = (
            Question(
                indices=dict.fromkeys(indices),
                query=None,
                inner={f"n{number}": counted(_ignores(name)) for number, name in enumerate(page)},
                about=page,
            )
            for page, indices in some
            if indices
        )
        for page, found in ask_about(client, each, limits, refusals):
            for index, bucket in found.items():
                counts = {name: count_in(bucket, f"n{number}") for number, name in enumerate(page)}
                ignored.counts.setdefault(index, {}).update(counts)

        def documents(by_about: Mapping[T, dict[str, int | None]], query: Callable[[T], dict[str, Any]]) -> _Counted[T]:
            """Yield, for each index and what it is asked about, how many documents a query finds, where it does."""
            asked = (Question(indices=i, query=query(one), inner={}, about=one) for one, i in by_about.items())
            for one, found in ask_about(client, asked, limits, refusals):
                yield from ((index, one, count_in(bucket)) for index, bucket in found.items())

        for index, where, many in documents(keyed, _leaves_out):
            ignored.counts.setdefault(index, {})[where] = many
        for index, where, many in documents(keyed, mixed_up):
            ignored.mixed.setdefault(index, {})[where] = many
        for index, copy, many in documents(younger, _lacks_copy):
            ignored.earlier.setdefault(index, {})[copy] = many
        ignored.unknown.update(
            {
                **dict.fromkeys(refusals.gone, "it is gone"),
                **{index: cause.text for index, cause in refusals.causes.items()},
            }
        )
        return ignored

    def judge(self, index: str, place: Place, verdict: Verdict) -> Verdict:
        """Return a verdict on a place, or why it does not hold for all documents; of some it may hold even so."""
        if isinstance(verdict, Inexact):
            return verdict
        if index in self.unknown:
            return Inexact(reason=f"it is unknown which documents it does not index: {self.unknown[index]}")
        if verdict is not None and (some := self.mixed.get(index, {}).get(verdict, 0)):
            what = (
                f"{wording.counted(some, 'document')} with objects in which it is unknown which {place.field} "
                "belongs to which key"
            )
            return Inexact(reason=what)
        counts = self.counts.get(index, {})
        if some := sum(counts.get(one, 0) for one in _leaving_out(place, verdict)):
            what = (
                f"{wording.counted(some, 'document')} with a value in {place.field} that was not indexed "
                "(too long, malformed, or beyond the limit of fields)"
            )
            return Inexact(reason=what, certain=verdict)
        for copy in self.copies[index][place]:
            if some := self.earlier.get(index, {}).get(copy, 0):
                have = f"with {copy.whole} but" if copy.findable else f"that may have {copy.whole}, but"
                what = f"{wording.counted(some, 'document')} {have} without {copy.name}, which was added later"
                return Inexact(reason=f"{what}: reindex the index", certain=verdict)
        return verdict


def _may_be_ignored(places: Iterable[Place]) -> tuple[str, ...]:
    """Return the names under which it is said that a document has a value in one of these places that was left out."""
    fields = {name for place in places for name in place.fields}
    return tuple(sorted({*_asked(fields), *(parent for name in fields for parent in parents(name))}))


def _leaving_out(place: Place, verdict: ExactField | None) -> set[str | ExactField]:
    """Return under which names it is counted what a place leaves out."""
    # Where the mapping was full, only the outermost object is named, also if the field was added since.
    outer: set[str | ExactField] = {parent for one in place.fields for parent in parents(one)}
    if verdict is None:
        return {*outer, *place.fields}
    if verdict.key is None or place.key is None:
        return {*outer, place.field, verdict.name}
    if verdict.numeric is not None:  # what is no number is left out from beside others that are: it may be an id
        return {*outer, place.key.field, verdict.key.field, verdict.name}
    return {*outer, place.key.field, verdict.key.field, verdict}


def _leaves_out(where: ExactField) -> dict[str, Any]:
    """Return the query for documents that left a value out, and have an object with the key and no value."""
    ignored = [_ignores(name) for name in sorted({where.name, where.name.removesuffix(_KEYWORD)})]
    return {"bool": {"filter": [{"bool": {"should": ignored}}, without_value(where)]}}


def _lacks_copy(copy: _Copy) -> dict[str, Any]:
    """Return the query for documents that have something in a field, and nothing in the one that has its values."""
    whole, name = ({"exists": {"field": one}} for one in (copy.whole, copy.name))
    query = {"bool": {"filter": [whole] if copy.findable else [], "must_not": [name]}}
    if copy.within is not None:
        return within_pair(copy.within, query)
    return {"nested": {"path": copy.path, "query": query}} if copy.path else query


def _ignores(name: str) -> dict[str, Any]:
    return {"term": {"_ignored": {"value": name}}}
