"""The enforcer's own indices, each as what reads and writes it."""

from __future__ import annotations

from functools import cached_property

from retention_enforcer.bootstrap.configuration import Configuration
from retention_enforcer.bootstrap.connection import Connection
from retention_enforcer.cluster.indices.metadata import read_metadata
from retention_enforcer.cluster.own.documents import ControlReader, ControlWithCoverage, Documents
from retention_enforcer.cluster.own.indices import OwnIndicesReader
from retention_enforcer.cluster.own.ledger_index import LedgerIndex
from retention_enforcer.cluster.own.requests_index import RequestsIndex
from retention_enforcer.enforcement.ledger.verifier import Verifier
from retention_enforcer.enforcement.preconditions.control_memory import ControlWatch


class Stores:
    """The enforcer's own indices."""

    def __init__(self, config: Configuration, connection: Connection) -> None:
        self.config = config
        self.connection = connection

    @cached_property
    def ledger(self) -> LedgerIndex:
        """The ledger."""
        return LedgerIndex(self.connection.client, self.config.own.ledger)

    @cached_property
    def state(self) -> Documents:
        """The enforcer's memory."""
        return Documents(self.connection.client, self.config.own.state, by_key=True)

    @cached_property
    def requests(self) -> RequestsIndex:
        """Where terminations and deletions are asked for."""
        return RequestsIndex(self.connection.client, self.config.own.requests)

    @cached_property
    def registry(self) -> Documents:
        """What became of these requests."""
        return Documents(self.connection.client, self.config.own.terminations)

    @cached_property
    def control(self) -> Documents:
        """The operator's word."""
        return Documents(self.connection.client, self.config.own.control)

    @cached_property
    def control_reader(self) -> ControlWithCoverage:
        """The operator's word, read anew each time, with what holds were seen to cover."""
        return ControlWithCoverage(self.control, self.state)

    @cached_property
    def bare_control_reader(self) -> ControlReader:
        """The operator's word alone: before each request of long work."""
        return ControlReader(self.control)

    @cached_property
    def own_indices(self) -> OwnIndicesReader:
        """The enforcer's own indices, as they are."""
        return OwnIndicesReader(self.connection.client, self.config.own)

    @cached_property
    def control_watch(self) -> ControlWatch:
        """What knows whether the operator's word lost anything."""
        return ControlWatch(self.control, self.control_reader, self.state)

    @cached_property
    def verifier(self) -> Verifier:
        """What verifies the ledger."""
        return Verifier(self.ledger, self.state, self.config.pseudonyms)

    def indices_with_ids(self) -> dict[str, str]:
        """Return the uuids of those in which raw ids stand, by their names."""
        found = read_metadata(self.connection.client, [self.config.own.requests, self.config.own.terminations])
        return {name: index.uuid for name, index in found.items()}
