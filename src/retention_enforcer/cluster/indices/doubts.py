"""Which indices are set apart once they were read, and why; the first doubt about an index is the one that is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import Cause, Refusals
from retention_enforcer.cluster.expressions import batches
from retention_enforcer.cluster.indices.contents import Answer, DocumentsSeen
from retention_enforcer.cluster.indices.statistics import IndexStatistics, count, with_nested_fields
from retention_enforcer.cluster.indices.survey import Governed, Survey, apart
from retention_enforcer.cluster.restrictions import Restrictions
from retention_enforcer.domain.facts import Doubt, SetApart

_SEE_HEALTH = "check the cluster's health; if this persists, check GET {name}/_search_shards"
_SEE_PRIVILEGES = "check that the enforcer's role has the privileges that `retention-enforcer setup --print` lists"


class Doubts:
    """Collects, for the governed indices of one survey, what is in doubt."""

    def __init__(self, found: Survey) -> None:
        self._found = found
        self._by_index: dict[str, SetApart] = {}

    def none_about(self, governed: Mapping[str, Governed]) -> dict[str, Governed]:
        """Return those of these indices about which nothing is in doubt yet."""
        return {name: index for name, index in governed.items() if name not in self._by_index}

    def about(self, category: str) -> tuple[SetApart, ...]:
        """Return all that is set apart in a category, in the order of the names."""
        read = (a for name, a in self._by_index.items() if self._found.governed[name].category.id == category)
        return tuple(sorted([*self._found.set_apart[category], *read], key=lambda a: a.name))

    def of_restrictions(self, hidden: Restrictions) -> None:
        """Doubt indices of which security hides fields or documents: what is hidden looks like what is not there."""
        for name, governed in self._found.governed.items():
            text = hidden.on([name, *([governed.stream] if governed.stream else [])], name)
            if text is not None:
                remedy = "give the enforcer's role access without field and document level security on this index"
                self._add(name, Doubt.INVISIBLE, text, remedy)

    def of_counts(self, missing: Iterable[str], counts: Mapping[str, IndexStatistics]) -> None:
        """Doubt indices that gave no counts, and those of whose shards one is missing."""
        for name in missing:
            text = f"{name} is in the cluster state, but returned no statistics"
            self._add(name, Doubt.PARTIAL, text, _SEE_PRIVILEGES)
        for name, governed in self._found.governed.items():
            if name in counts and len(counts[name].sequence_numbers) < governed.metadata.shards:
                self._partial(name, "a shard returned no statistics", "")

    def of_causes(self, causes: Mapping[str, Cause]) -> None:
        """Doubt indices that cannot be looked into, each for its own cause."""
        for name in causes.keys() & self._found.governed.keys():
            self._partial(name, causes[name].text, causes[name].remedy)

    def of_invisible_documents(
        self, client: Elasticsearch, counts: Mapping[str, IndexStatistics], answer: Answer
    ) -> None:
        """Doubt indices that hold more documents than the search saw.

        Nested documents explain it, and so does a deletion in between, which a second count shows.
        """
        fewer = [name for name in self.none_about(self._found.governed) if _hides_some(name, counts, answer)]
        refusals = Refusals()
        unexplained = set(fewer) - with_nested_fields(client, batches(sorted(fewer)), refusals)
        again = count(client, batches(sorted(unexplained)), refusals)
        self.of_causes(refusals.causes)
        for name in unexplained:
            if name in again and not _hides_some(name, again, answer):
                continue
            seen, held = answer.seen.get(name, DocumentsSeen()).documents, counts[name].documents
            text = (
                f"{name} has {held:,} documents, but only {seen:,} are visible: security hides the rest "
                "from the enforcer"
            )
            remedy = "give the enforcer's role access without document level security on this index"
            self._add(name, Doubt.INVISIBLE, text, remedy)

    def _partial(self, name: str, why: str, remedy: str) -> None:
        self._add(name, Doubt.PARTIAL, f"{name}: {why}", remedy or _SEE_HEALTH.format(name=name))

    def _add(self, name: str, doubt: Doubt, text: str, remedy: str) -> None:
        self._by_index.setdefault(name, apart(self._found.governed[name].metadata, doubt, text, remedy))


def _hides_some(name: str, counts: Mapping[str, IndexStatistics], answer: Answer) -> bool:
    return name in counts and counts[name].documents > answer.seen.get(name, DocumentsSeen()).documents
