"""The daemon, and what shows what it sees."""

from __future__ import annotations

from importlib.metadata import version as installed_version

from retention_enforcer.bootstrap import Deployment
from retention_enforcer.bootstrap.acting import Acting
from retention_enforcer.daemon.noticeboard import Noticeboard
from retention_enforcer.daemon.service import Service
from retention_enforcer.domain.instants import SECOND
from retention_enforcer.enforcement.preconditions.status import InstanceStatusReader
from retention_enforcer.reporting.known import Known
from retention_enforcer.web import PageServer, make_application


def service_of(deployment: Deployment, acting: Acting, board: Noticeboard) -> Service:
    """Return the daemon, which leaves on the noticeboard what it sees."""
    situation = InstanceStatusReader(
        deployment.connection.inventory, deployment.stores.state, deployment.stores.control_reader, deployment.clock
    )
    return Service(
        worker=acting.worker,
        categories=[category.id for category in deployment.policy.categories],
        interval=deployment.settings.interval / SECOND,
        gate=acting.gate,
        lease=acting.lease,
        look_at_stop=acting.look_at_stop,
        board=board,
        situation=situation.read,
        rhythm=deployment.rhythm,
    )


def noticeboard_of(deployment: Deployment, acting: Acting) -> Noticeboard:
    """Return where the daemon's jobs leave what they saw; nothing is known yet."""
    known = Known(
        policy=deployment.policy,
        fingerprint=deployment.fingerprint,
        mode=deployment.settings.require_mode(),
        instance=deployment.instance,
        version=installed_version("retention-enforcer"),
        grace=deployment.settings.grace,
        interval=deployment.settings.interval,
        started_at=deployment.clock.now(),
    )
    return Noticeboard(known, deployment.redactor, deployment.clock, lambda: acting.lease.seen)


def page_server_of(deployment: Deployment, board: Noticeboard) -> PageServer:
    """Return what shows the noticeboard. Raises ConfigurationError where its address cannot be had."""
    application = make_application(board.known, board.is_alive, deployment.clock)
    return PageServer(application, *deployment.settings.http_address)
