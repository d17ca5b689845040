"""Pseudonyms: how a subject is named wherever it may be read by others, in ledger, log, page and certificate."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from retention_enforcer.domain.policy.names import IndexPattern, governed_parts

_KEY_ID_LENGTH = 8
_SCHEME = "hmac-sha256:"


class Pseudonyms:
    """Keyed hashes: the same subject gets the same pseudonym, and nobody without the key can try ids out."""

    def __init__(self, key: bytes | None) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "Pseudonyms(...)"

    @property
    def has_key(self) -> bool:
        """Whether there is a key to make any with."""
        return self._key is not None

    def made(self, pseudonym: str) -> bool:
        """Whether a pseudonym was made with this key, as far as its key id tells."""
        return self._key is not None and pseudonym.startswith(f"{_SCHEME}{self._key_id(self._key)}:")

    @staticmethod
    def _key_id(key: bytes) -> str:
        return hashlib.sha256(key).hexdigest()[:_KEY_ID_LENGTH]

    def of(self, text: str) -> str:
        """Return `hmac-sha256:<key id>:<hex>`; without a key a word that says that there is none."""
        if self._key is None:
            return "unnamed"
        digest = hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
        return f"{_SCHEME}{self._key_id(self._key)}:{digest}"


@dataclass(frozen=True, slots=True)
class Redactor:
    """Takes the ids of applications out of names of indices and texts, under the patterns of one policy."""

    pseudonyms: Pseudonyms
    patterns: Sequence[IndexPattern]

    def index_name(self, name: str) -> str:
        """Return the name of an index with the application's id in it replaced; the index's uuid identifies it.

        A name in which it was replaced before stays as it is: no index has a colon in its name.
        """
        if _SCHEME in name:
            return name
        for governed in governed_parts(name):
            for pattern in self.patterns:
                if (application := pattern.application_in(governed)) is not None:
                    hidden = pattern.replace_application(governed, self.pseudonyms.of(application))
                    return name.replace(governed, hidden, 1)
        return name

    def text(self, text: str, index: str | None = None) -> str:
        """Return a text with ids replaced: in all names of indices in it, or, about one index, wherever its id stands.

        The id stands not in that index's name alone, but in the names of its stream and aliases, and in what the
        cluster says.
        """
        application = None if index is None or _SCHEME in index else self._application_in(index)
        if index is None or application is None:  # the text may speak of its aliases, or of other indices
            return self._everywhere(text)
        alone = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(application)}(?![A-Za-z0-9_])")
        parts = [alone.sub(self.pseudonyms.of(application), part) for part in text.split(index)]
        return self.index_name(index).join(parts)

    def _application_in(self, index: str) -> str | None:
        ids = (p.application_in(governed) for governed in governed_parts(index) for p in self.patterns)
        return next((id_ for id_ in ids if id_ is not None), None)

    def _everywhere(self, text: str) -> str:
        """Replace ids in names like those of tenants' indices; a copy's may have something before or behind it."""
        for pattern in self.patterns:
            text = pattern.replace_applications(text, self.pseudonyms.of, _SCHEME)
        return text
