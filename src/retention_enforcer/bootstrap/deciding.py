"""What the commands use by which an operator decides."""

from __future__ import annotations

from functools import cached_property

from retention_enforcer.bootstrap.configuration import Configuration
from retention_enforcer.bootstrap.connection import Connection
from retention_enforcer.bootstrap.reading import Reading
from retention_enforcer.bootstrap.stores import Stores
from retention_enforcer.enforcement.operator.hold_commands import HoldCommands
from retention_enforcer.enforcement.operator.lifecycle_switch import LifecycleSwitch
from retention_enforcer.enforcement.operator.superseded import SupersededLifecycles
from retention_enforcer.enforcement.terminations.commands import RequestCommands


class Deciding:
    """What writes an operator's decisions down, and obeys them at once where they keep something."""

    def __init__(self, config: Configuration, connection: Connection, stores: Stores, reading: Reading) -> None:
        self.config = config
        self.connection = connection
        self.stores = stores
        self.reading = reading

    @cached_property
    def holding(self) -> HoldCommands:
        """What adds and removes holds."""
        return HoldCommands(
            policy=self.config.policy,
            observer=self.reading.observer,
            resolver=self.reading.hold_resolver,
            documents=self.stores.control,
            control=self.stores.control_reader,
            lifecycles=self.lifecycle_switch,
            clock=self.config.clock,
            whereabouts=self.reading.coverage.whereabouts,
        )

    @cached_property
    def lifecycle_switch(self) -> LifecycleSwitch:
        """What switches the cluster's own deletions off and on."""
        return LifecycleSwitch(
            policy=self.config.policy,
            cluster=self.connection.lifecycles,
            streams=self.connection.streams,
            has_lifecycles=self.connection.capabilities.has_lifecycles,
            governed=self.connection.governed,
            documents=self.stores.control,
            state=self.stores.state,
            clock=self.config.clock,
        )

    @cached_property
    def superseded_lifecycles(self) -> SupersededLifecycles:
        """What takes off the lifecycles of another policy than the one that is accepted."""
        return SupersededLifecycles(
            self.reading.lifecycle_observer,
            self.connection.lifecycles,
            self.connection.governed,
            self.lifecycle_switch,
            self.stores.state,
        )

    @cached_property
    def asking(self) -> RequestCommands:
        """What writes requests."""
        return RequestCommands(
            known=self.reading.terminations,
            requests=self.stores.requests,
            documents=self.stores.control,
            control=self.stores.control_reader,
            owners=self.reading.owners,
            observer=self.reading.subject_observer,
            clock=self.config.clock,
            most=self.config.settings.max_terminations,
            fingerprint=self.config.fingerprint,
        )
