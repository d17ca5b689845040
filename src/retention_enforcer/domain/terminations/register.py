"""All terminations that are remembered, found by their subject without a look at all others."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterable

from retention_enforcer.domain.subjects.identity import Subject
from retention_enforcer.domain.terminations.states import Termination


class Register(UserDict[str, Termination]):
    """Terminations by their keys, in the order in which they came."""

    def __init__(self, terminations: Iterable[Termination] = ()) -> None:
        self._by_subject: dict[Subject | None, dict[str, Termination]] = {}
        super().__init__({termination.key: termination for termination in terminations})

    def of(self, subject: Subject) -> tuple[Termination, ...]:
        """Return the terminations of one subject, in the order in which they came."""
        return tuple(self._by_subject.get(subject, {}).values())

    def __setitem__(self, key: str, termination: Termination) -> None:
        before = self.data.get(key)
        if before is not None and before.subject != termination.subject:
            del self._by_subject[before.subject][key]
        self._by_subject.setdefault(termination.subject, {})[key] = termination
        super().__setitem__(key, termination)

    def __delitem__(self, key: str) -> None:
        del self._by_subject[self.data[key].subject][key]
        super().__delitem__(key)
