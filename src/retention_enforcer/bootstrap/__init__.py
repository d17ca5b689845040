"""The one place where objects are put together."""

from __future__ import annotations

from functools import cached_property

from retention_enforcer.bootstrap.acting import Acting, acting_of
from retention_enforcer.bootstrap.configuration import Configuration
from retention_enforcer.bootstrap.connection import Connection
from retention_enforcer.bootstrap.deciding import Deciding
from retention_enforcer.bootstrap.reading import Reading
from retention_enforcer.bootstrap.stores import Stores
from retention_enforcer.bootstrap.surroundings import Surroundings, SystemClock

__all__ = ["Acting", "Configuration", "Connection", "Deployment", "Reading", "Stores", "Surroundings", "SystemClock"]


class Deployment(Configuration):
    """The parts of one process, each made when it is first asked for: a command takes those that it uses."""

    @cached_property
    def connection(self) -> Connection:
        """The cluster."""
        return Connection(self)

    @cached_property
    def stores(self) -> Stores:
        """The own indices."""
        return Stores(self, self.connection)

    @cached_property
    def reading(self) -> Reading:
        """What looks and judges."""
        return Reading(self, self.connection, self.stores)

    @cached_property
    def deciding(self) -> Deciding:
        """What writes decisions down."""
        return Deciding(self, self.connection, self.stores, self.reading)

    def acting(self) -> Acting:
        """Return the parts of `run`, for the mode that the settings name."""
        return acting_of(self)
