"""The demo: a real server, sample data, a plan, its enforcement, and what is left against each limit."""

from __future__ import annotations

import secrets
import shlex
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from retention_enforcer.bootstrap import Deployment, Surroundings
from retention_enforcer.cluster.own.indices import create_own_indices
from retention_enforcer.cluster.sample_store import count_documents, store_index
from retention_enforcer.daemon.exit_codes import FAILED, OK, worst
from retention_enforcer.daemon.once import run_once
from retention_enforcer.demo.customers import show_customers
from retention_enforcer.demo.sample import UNCLAIMED, sample_indices
from retention_enforcer.domain.errors import ConfigurationError, RetentionError
from retention_enforcer.domain.ledger.records import check_chain
from retention_enforcer.domain.plan import Action, Plan
from retention_enforcer.domain.wording import counted
from retention_enforcer.enforcement.operator.commands import accept_policy
from retention_enforcer.logs import configure_logs
from retention_enforcer.reporting.plans import plan_table
from retention_enforcer.reporting.report import make_report
from retention_enforcer.reporting.report_table import report_table

if TYPE_CHECKING:
    from embedded_elasticsearch import EmbeddedServer

Say = Callable[[RenderableType], None]
Serve = Callable[[Deployment], int]
"""Keeps the daemon of a deployment running until somebody ends it."""

USUAL_PORT = 9464

_ALL_SAMPLES = f"trtc-*,{UNCLAIMED}"


def run_demo(say: Say, serve: Serve | None) -> int:
    """Show it all on a server of its own, which is gone afterwards; with `serve` the daemon goes on until Ctrl-C.

    Returns 0 if what happened is exactly what was planned, and the ledger is whole. Raises ConfigurationError where
    the extra `demo` is not installed, RetentionError where no server can be had.
    """
    with _embedded_server(say) as server:
        environ = {
            "ENFORCER_MODE": "enforce",
            "ENFORCER_POLICY_FILE": str(default_policy()),
            "ENFORCER_ELASTICSEARCH_URL": server.url,
            "ENFORCER_ELASTICSEARCH_USERNAME": server.admin.username,
            "ENFORCER_ELASTICSEARCH_PASSWORD": server.admin.password,
            "ENFORCER_PSEUDONYM_KEY": secrets.token_hex(32),
            "ENFORCER_INTERVAL": "15s",
            "ENFORCER_GRACE": "0s",  # a day, usually: nobody waits for a demo for so long
            "ENFORCER_HTTP_ADDRESS": f"127.0.0.1:{_free_port()}",
        }
        say(Text(f"Elasticsearch {server.version} at {server.url}"))
        deployment = Deployment(Surroundings(environ=environ))
        code = worst([_show(deployment, say), show_customers(deployment, say)])
        if serve is None or code != OK:
            return code
        say(_headline("The daemon keeps running; Ctrl-C ends it. From another terminal:"))
        sys.stdout.writelines(_to_paste(environ))  # not `say`: it breaks long lines, and a broken one sets half a key
        sys.stdout.flush()
        return serve(deployment)


def default_policy() -> Path:
    """Return the path of the default policy: beside this file in an installed package, else in the source tree."""
    packaged = Path(__file__).with_name("trtc.yaml")
    return packaged if packaged.exists() else Path(__file__).parents[3] / "config" / "trtc.yaml"


@contextmanager
def _embedded_server(say: Say) -> Iterator[EmbeddedServer]:
    """Run a server as long as the block; what goes wrong with it is an error of this program's kind."""
    try:
        import embedded_elasticsearch as embedded  # noqa: PLC0415 - of the extra `demo`: no daemon needs it
    except ImportError as error:
        raise ConfigurationError(
            f"the demo needs the package embedded-elasticsearch, which is not installed in {sys.prefix}: {error}",
            f"run {shlex.quote(sys.executable)} -m pip install 'retention-enforcer[demo]'",
        ) from error
    say(_headline("Starting a real Elasticsearch (downloaded the first time)"))
    try:
        with embedded.EmbeddedServer() as server:
            yield server
    except embedded.ConfigurationError as error:
        raise ConfigurationError(error.message, error.remedy) from error
    except embedded.EmbeddedServerError as error:
        raise RetentionError(error.message, error.remedy) from error


def _show(deployment: Deployment, say: Say) -> int:
    configure_logs("console", "warning")
    say(_headline("Sample data: a month of a small service, backdated"))
    indices = list(sample_indices(deployment.clock.now()))
    documents = sum(store_index(deployment.connection.client, i.name, i.documents, i.fields) for i in indices)
    before = count_documents(deployment.connection.client, _ALL_SAMPLES)
    say(Text(f"{counted(documents, 'document')} in {counted(len(indices), 'index', 'indices')}"))

    say(_headline("retention-enforcer plan"))
    create_own_indices(deployment.connection.client, deployment.own)
    look = deployment.reading.reader.look(deployment.policy.categories)
    say(plan_table(deployment.policy, look.plans.values(), now=look.as_of, refusals=look.refusals))

    say(_headline("retention-enforcer policy accept; retention-enforcer run --once"))
    accept_policy(deployment.stores.control, deployment.fingerprint, deployment.clock)
    acting = deployment.acting()
    categories = [category.id for category in deployment.policy.categories]
    code = run_once(acting.worker, categories, acting.lease, acting.look_at_stop, threading.Event())

    after = count_documents(deployment.connection.client, _ALL_SAMPLES)
    say(
        Text(
            f"{sum(before.values()) - sum(after.values()):,} documents purged, {len(before) - len(after)} "
            "indices deleted"
        )
    )

    say(_headline("retention-enforcer report"))
    left = deployment.reading.reader.look(deployment.policy.categories)
    head = deployment.reading.reader.head()
    proofs = deployment.reading.reader.proofs(left)
    report = make_report(deployment.policy, left, proofs, deployment.reading.reader.cover(left), head=head)
    say(report_table(report))

    say(_headline("retention-enforcer ledger verify"))
    found = check_chain(deployment.stores.ledger.read(), known_heads=[head] if head else [])
    say(Text(f"the ledger is whole: {found.sequence} records, head {found.hash}"))
    return worst([code, _judge(look.plans, before, after, say)])


def _judge(plans: Mapping[str, Plan], before: Mapping[str, int], after: Mapping[str, int], say: Say) -> int:
    """Compare what was planned with what happened, index by index, counted apart from the enforcer."""
    expected = dict(before)
    for plan in plans.values():
        for purge in plan.purge:
            if purge.action is Action.DELETE_INDEX:
                del expected[purge.facts.name]
            else:
                expected[purge.facts.name] -= purge.documents
    wrong = {name for name in {*expected, *after} if expected.get(name) != after.get(name)}
    say(_headline("Planned and done"))
    if wrong:
        say(Text(f"not as planned: {', '.join(sorted(wrong))}", style="bold red"))
        return FAILED
    purged = [plan.category for plan in plans.values() if plan.purge]
    say(Text(f"{len(purged)} categories expired exactly as planned: {', '.join(purged)}"))
    say(Text(f"{UNCLAIMED}, which no category claims, is untouched: {after[UNCLAIMED]} documents"))
    return OK


def _to_paste(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines with which another shell, in any folder, can ask the same cluster."""
    for name, value in environ.items():
        yield f"export {name}={shlex.quote(value)}\n"
    for command in ("plan", "report", "ledger show", "health --ready"):
        yield f"{shlex.quote(sys.executable)} -m retention_enforcer {command}\n"


def _free_port() -> int:
    """Return the usual port of the status page, or another one where it is taken."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    return 0


def _headline(text: str) -> Text:
    return Text(f"\n=== {text}", style="bold cyan")
