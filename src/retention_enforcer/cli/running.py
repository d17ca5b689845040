"""The commands that run the enforcer and check it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.metadata import version as installed_version
from typing import Annotated

import structlog
import typer
from rich.text import Text

from retention_enforcer.bootstrap import Acting, Deployment
from retention_enforcer.bootstrap.serving import noticeboard_of, page_server_of, service_of
from retention_enforcer.cli.console import (
    Output,
    OutputOption,
    app,
    deployment_of,
    on_signals,
    print_json,
    print_table,
    say,
)
from retention_enforcer.cluster.privileges import Access
from retention_enforcer.daemon.exit_codes import FAILED, OK, worst
from retention_enforcer.daemon.once import run_once
from retention_enforcer.demo.run import run_demo
from retention_enforcer.domain.errors import RetentionError
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.privileges import AccessRole
from retention_enforcer.enforcement.preconditions.checks import Check
from retention_enforcer.enforcement.preconditions.privileges import excess, raise_if_blind, shortcomings
from retention_enforcer.logs import configure_logs
from retention_enforcer.web.client import ask_health


@app.command()
def run(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Run each job once, then exit.")] = False,
) -> int:
    """Run the daemon: enforce the policy, or only watch it.

    ENFORCER_MODE decides. In the mode `enforce` it deletes what is due; in the mode `plan` it deletes nothing. Each
    category has a cycle every ENFORCER_INTERVAL.

    Exit codes of the daemon: 0 after SIGTERM or Ctrl-C; 2 if the HTTP address is taken; 4 if it may not read an index
    of the policy; 1 if the cluster does not answer at the start, or if a job ends in internal errors again and again.

    Exit codes of --once: 4 if a plan is refused, the policy is not accepted, or another instance holds the lease; 3 if
    a promise is not kept. `retention-enforcer --help` says which one counts.
    """
    deployment = deployment_of(context)
    settings = deployment.settings
    configure_logs(settings.log_format, settings.log_level, instance=deployment.instance, hide=deployment.hide)
    if not once:
        return _run(deployment)
    acting = deployment.acting()
    _introduce(deployment)
    return _run_once(deployment.policy, acting, deployment.rhythm.lease_renewal)


def _introduce(deployment: Deployment) -> None:
    """Log the mode and the policy, and who deletes whole indices."""
    connection = deployment.connection
    connection.inventory.cluster()  # a cluster that answers nobody is found out before any other judgement
    about = {"event.action": "start", "retention.policy": deployment.fingerprint}
    structlog.get_logger().info(
        f"{deployment.settings.mode} mode, policy {deployment.policy.name}, deletion: {connection.deletion()}", **about
    )
    _test_privileges(connection.access, deployment.role, deployment.policy)


def _test_privileges(access: Access, role: AccessRole, policy: Policy) -> None:
    """Log what the enforcer may not do, with the feature that needs it; what works goes on.

    Raises Refused where it may not look at an index of the policy: it could not even see what it does not see.
    """
    log, about = structlog.get_logger(), {"event.action": "privileges"}
    try:
        granted = access.granted(role, policy)
    except RetentionError as error:
        log.warning(f"the privileges could not be checked: {error.message}", **about)
        return
    if granted is None:
        log.info("the security of the cluster is off: no privileges are checked", **about)
        return
    for _, missing in shortcomings(granted, role):
        log.error(f"{missing.message}; {missing.remedy}", **about)
    if (too_much := excess(granted, role)) is not None:
        log.warning(too_much, **about)
    raise_if_blind(granted, role)


def _run(deployment: Deployment, tell: Callable[[str], None] = lambda _: None) -> int:
    """Run the daemon and what shows it, until told to end; `tell` is given the page's address."""
    acting = deployment.acting()
    board = noticeboard_of(deployment, acting)
    with page_server_of(deployment, board) as server:  # an address that cannot be had stops the start
        _introduce(deployment)
        service = service_of(deployment, acting, board)
        on_signals(service.end)
        tell(server.address)
        return service.run()


def _run_once(policy: Policy, acting: Acting, renewal: float) -> int:
    stop = threading.Event()

    def end() -> None:
        acting.gate.shut("the enforcer is shutting down")
        stop.set()

    on_signals(end)
    categories = [category.id for category in policy.categories]
    return run_once(acting.worker, categories, acting.lease, acting.look_at_stop, stop, renewal)


@app.command()
def check(context: typer.Context, output: OutputOption = Output.TABLE) -> int:
    """Check everything that `run` needs, one by one.

    It checks the cluster, the privileges, the clock, lifecycles, timestamps, the enforcer's own indices, the ledger and
    the accepted policy. Nothing is written.

    Exit code 0: every check passed. Otherwise it is the code of the failed check that counts most.
    """
    deployment = deployment_of(context)
    checks = deployment.reading.checks.run()
    if output is Output.JSON:
        print_json(
            [
                {"name": c.name, "ok": c.error is None, "text": c.text, "remedy": c.error.remedy if c.error else ""}
                for c in checks
            ]
        )
    else:
        for found in checks:
            remedy = f"\n       {found.error.remedy}" if found.error else ""
            print_table(Text.assemble(_verdict(found), (f"{found.name}: ", "bold"), found.text, remedy))
    return worst(found.error.exit_code for found in checks if found.error)


def _verdict(found: Check) -> Text:
    if found.error is not None:
        return Text("NOT OK ", "bold red")
    return Text("warning ", "yellow") if found.warning else Text("ok     ", "green")


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Exit at the end instead of keeping the daemon running.")
    ] = False,
) -> int:
    """Show everything on a throw-away Elasticsearch.

    The demo starts a real Elasticsearch, stores sample data, and shows the plan, its enforcement, the proof and the
    ledger.

    Exit code 0: everything happened as planned.
    """

    def serve(deployment: Deployment) -> int:
        return _run(deployment, lambda address: say(f"status page: {address}"))

    return run_demo(print_table, None if once else serve)


@app.command()
def health(
    context: typer.Context,
    ready: Annotated[bool, typer.Option("--ready", help="Exit with 1 if the daemon is not ready.")] = False,
) -> int:
    """Ask the daemon on this machine whether it is alive.

    The daemon is asked at ENFORCER_HTTP_ADDRESS, also whether it is ready.

    Exit code 1: it is not alive, or, with --ready, not ready.
    """
    health = ask_health(deployment_of(context).settings.http_address)
    say(health.text)
    return OK if health.alive and (health.ready or not ready) else FAILED


@app.command()
def version() -> int:
    """Print the version."""
    say(installed_version("retention-enforcer"))
    return OK
