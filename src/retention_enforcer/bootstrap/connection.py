"""The connection to the cluster, what it may do there, and what the cluster can do."""

from __future__ import annotations

from functools import cached_property

from retention_enforcer.bootstrap.configuration import Configuration
from retention_enforcer.cluster.client import Client, connect, find_one_that_answers
from retention_enforcer.cluster.indices.identities import governed_by
from retention_enforcer.cluster.inventory import Inventory
from retention_enforcer.cluster.lifecycles.changes import ClusterLifecycles
from retention_enforcer.cluster.lifecycles.streams import StreamLifecycles
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.cluster.privileges import Access
from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.foresight import horizon_of
from retention_enforcer.domain.instants import SECOND, format_duration
from retention_enforcer.domain.lifecycles.compiler import Unmeetable
from retention_enforcer.domain.lifecycles.streams import (
    AUTOMATIC,
    DEFAULT_STREAM_POLL,
    StreamRetention,
    adopts_streams,
    compile_stream_retention,
)
from retention_enforcer.enforcement.lifecycles.observer import DIRECT, ILM


class Connection:
    """The cluster, and what it can do."""

    def __init__(self, config: Configuration) -> None:
        self.config = config

    @cached_property
    def client(self) -> Client:
        """The connection to the cluster."""
        s = self.config.settings
        password = s.elasticsearch_password
        basic_auth = (s.elasticsearch_username, password.get_secret_value()) if password else None
        client = connect(
            s.require_elasticsearch_url(),
            api_key=s.elasticsearch_api_key.get_secret_value() if s.elasticsearch_api_key else None,
            basic_auth=(basic_auth[0] or "", basic_auth[1]) if basic_auth else None,
            ca_certs=s.elasticsearch_ca_certs,
            ca_fingerprint=s.elasticsearch_ca_fingerprint,
            timeout=s.elasticsearch_timeout / SECOND,
        )
        find_one_that_answers(client)
        return client

    @cached_property
    def capabilities(self) -> Capabilities:
        """Which parts of Elasticsearch the cluster has."""
        return Capabilities(self.client)

    @cached_property
    def access(self) -> Access:
        """What the connection may do on the cluster."""
        return Access(self.client, self.config.own)

    @cached_property
    def inventory(self) -> Inventory:
        """What reads facts."""
        return Inventory(self.client, self.capabilities, horizon_of(self.config.settings.interval))

    @cached_property
    def lifecycles(self) -> ClusterLifecycles:
        """The lifecycles of the cluster, if it has any (`capabilities`)."""
        return ClusterLifecycles(self.client, self.timeout)

    @cached_property
    def streams(self) -> StreamLifecycles:
        """The lifecycles that belong to streams."""
        return StreamLifecycles(self.client, self.capabilities, self.config.policy, self.timeout)

    @property
    def timeout(self) -> float:
        """For how long a request is waited for, in seconds."""
        return self.config.settings.elasticsearch_timeout / SECOND

    def governed(self) -> dict[str, tuple[str, ...]]:
        """Return every governed index by its name, and its categories."""
        return governed_by(self.client, self.capabilities, self.config.policy, self.config.own)

    def poll_interval(self) -> int | None:
        """Return how often the cluster looks at lifecycles; None without a cluster, or where it has none."""
        if self.config.settings.elasticsearch_url is None or not self.capabilities.has_lifecycles():
            return None
        return self.lifecycles.poll_interval()

    def stream_retentions(self) -> dict[str, StreamRetention | Unmeetable]:
        """Return what the lifecycle of a stream needs to keep the promise of each category that adopts streams.

        With the automatic rollover age, and the cluster's poll interval where there is one.
        """
        asked = self.config.settings.elasticsearch_url is not None and self.capabilities.has_lifecycles()
        poll = self.lifecycles.stream_poll() if asked else DEFAULT_STREAM_POLL
        adopting = [category for category in self.config.policy.categories if adopts_streams(category)]
        return {c.id: compile_stream_retention(c, self.config.policy.margin, AUTOMATIC, poll) for c in adopting}

    def deletion(self) -> str:
        """Return by whom indices are deleted on this cluster, in a few words.

        Raises ConfigurationError where the settings ask for lifecycles that it does not have, or that keep no promise.
        """
        if self.config.settings.lifecycle == DIRECT:
            return "direct"
        if not self.capabilities.has_lifecycles():
            if self.config.settings.lifecycle == ILM:
                raise ConfigurationError(
                    "ENFORCER_LIFECYCLE is ilm, but this cluster has no index lifecycle management",
                    "set ENFORCER_LIFECYCLE=auto or direct",
                )
            return "direct, because the cluster has no ILM"
        poll = self.lifecycles.poll_interval()
        self.config.raise_if_unmeetable(poll)
        return (
            f"by lifecycles (ILM polls every {format_duration(poll)}) for indices that may be deleted as a "
            "whole, else direct"
        )
