"""The indices can change while they are read."""

from __future__ import annotations

from collections.abc import Collection

ATTEMPTS = 3
"""How often the indices are read before giving up, where they change while they are read."""


class IndicesChanged(Exception):
    """What was read does not belong together: an index came, went or was closed in between."""

    def __init__(self, uuids: Collection[str] = ()) -> None:
        super().__init__("indices changed while they were read")
        self.uuids = frozenset(uuids)
        """Those that the cluster's state has and another answer lacks."""


GONE = "it was closed or deleted while it was being read"
