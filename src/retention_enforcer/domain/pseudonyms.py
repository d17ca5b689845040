"""Pseudonyms: how a subject is named wherever it may be read by others, in ledger, log, page and certificate."""

from __future__ import annotations

import hashlib
import hmac

from retention_enforcer.domain.policy import Category

_KEY_ID_LENGTH = 8


class Pseudonyms:
    """Keyed hashes: the same subject gets the same pseudonym, and nobody without the key can try ids out."""

    def __init__(self, key: bytes | None) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "Pseudonyms(...)"

    def of(self, text: str) -> str:
        """Return `hmac-sha256:<key id>:<hex>`; without a key a word that says that there is none."""
        if self._key is None:
            return "unnamed"
        digest = hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
        return f"hmac-sha256:{hashlib.sha256(self._key).hexdigest()[:_KEY_ID_LENGTH]}:{digest}"

    def index_name(self, category: Category, name: str) -> str:
        """Return the name of an index with the application's id in it replaced; the index's uuid identifies it."""
        for pattern in category.indices:
            if (application := pattern.application_in(name)) is not None:
                return pattern.replace_application(name, self.of(application))
        return name
