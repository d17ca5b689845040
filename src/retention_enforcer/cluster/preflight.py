"""What must be known of a cluster before anything else: which one it is, its clock, and what it can do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from enum import StrEnum
from http import HTTPStatus
from typing import TypeVar

from elasticsearch import ApiError, Elasticsearch

from retention_enforcer.cluster.errors import kind_of, reason_of, translated
from retention_enforcer.cluster.limits import Limits, read_limits
from retention_enforcer.cluster.restrictions import Restrictions, read_restrictions
from retention_enforcer.domain.errors import ClusterUnavailable, Refused
from retention_enforcer.domain.facts import ClusterFacts

T = TypeVar("T")


_HIDDEN_FOR = 60.0
"""Seconds for which it is believed what security hides, and which limits hold."""

OLDEST = (8, 2)
"""The first version that tells the types of fields by index as it is asked here (`types` of `_field_caps`)."""


def cluster_facts(client: Elasticsearch) -> ClusterFacts:
    """Return which cluster answers and what time it has, in one request.

    Raises ClusterUnavailable if the answer lacks anything of it, and Refused if a node is too old.
    """
    with translated():
        stats = client.cluster.stats(filter_path="cluster_uuid,cluster_name,timestamp,nodes.versions").body
    try:
        _raise_if_too_old(stats["nodes"]["versions"])
        return ClusterFacts(
            uuid=str(stats["cluster_uuid"]),
            name=str(stats["cluster_name"]),
            version="/".join(sorted(stats["nodes"]["versions"])),
            time=int(stats["timestamp"]),
        )
    except KeyError as error:
        message = f"the cluster did not report {error.args[0]}"
        raise ClusterUnavailable(message, "check that the enforcer's role has the cluster privilege monitor") from error


def _raise_if_too_old(versions: Iterable[str]) -> None:
    for version in versions:
        numbers = re.match(r"(\d+)\.(\d+)", version)
        if numbers is not None and (int(numbers[1]), int(numbers[2])) < OLDEST:
            wanted = ".".join(map(str, OLDEST))
            message = f"a node runs Elasticsearch {version}, but {wanted} or newer is required: nothing is deleted"
            raise Refused(message, f"upgrade the cluster to {wanted} or newer")


class Part(StrEnum):
    """Parts of Elasticsearch that a distribution may lack."""

    STREAMS = "data streams"
    LIFECYCLES = "lifecycles"
    SNAPSHOT_LIFECYCLES = "snapshot lifecycles"
    TRANSFORMS = "transforms"


class Capabilities:
    """Which parts this cluster has: found out once, then remembered for the process.

    A part is absent only where the cluster answers in one of the ways in which a server without it does; any other
    error is an error.
    """

    def __init__(self, client: Elasticsearch) -> None:
        self._client = client
        self._known: dict[Part, bool] = {}
        self._restrictions: tuple[float, Restrictions] | None = None
        self._limits: tuple[float, Limits] | None = None

    def restrictions(self) -> Restrictions:
        """Return what security hides from this connection, as of the last minute: roles change while it goes on."""
        now = time.monotonic()
        if self._restrictions is None or now - self._restrictions[0] >= _HIDDEN_FOR:
            self._restrictions = (now, read_restrictions(self._client))
        return self._restrictions[1]

    def limits(self) -> Limits:
        """Return what one request may ask for on this cluster, as of the last minute: settings change meanwhile."""
        now = time.monotonic()
        if self._limits is None or now - self._limits[0] >= _HIDDEN_FOR:
            self._limits = (now, read_limits(self._client))
        return self._limits[1]

    def has_lifecycles(self) -> bool:
        """Whether the cluster manages index lifecycles itself."""
        if Part.LIFECYCLES not in self._known:
            self.ask(Part.LIFECYCLES, lambda: self._client.ilm.get_status(filter_path="operation_mode"))
        return self._known[Part.LIFECYCLES]

    def ask(self, part: Part, request: Callable[[], T]) -> T | None:
        """Return the answer to a request that needs a part of Elasticsearch, or None where the cluster lacks it."""
        if self._known.get(part) is False:
            return None
        with translated():
            try:
                answer = request()
            except ApiError as error:
                if self._known.get(part) is True or not _says_that_it_is_absent(error):
                    raise
                self._known[part] = False
                return None
        self._known[part] = True
        return answer


def _says_that_it_is_absent(error: ApiError) -> bool:
    """Whether this is how a server answers for a part it was built without.

    It takes the path for that of an index; measured on builds of 8.17 (405, 400 invalid_index_name_exception) and
    9.5 (400 no handler found).
    """
    if error.meta.status == HTTPStatus.METHOD_NOT_ALLOWED:
        return "Incorrect HTTP method" in reason_of(error.body)
    if error.meta.status == HTTPStatus.BAD_REQUEST:
        return kind_of(error.body) == "invalid_index_name_exception" or "no handler found" in reason_of(error.body)
    return False
