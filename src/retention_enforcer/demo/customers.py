"""The second part of the demo: a customer leaves, another is held, and something is stored that must never be."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rich.console import RenderableType
from rich.text import Text

from retention_enforcer.bootstrap import Deployment
from retention_enforcer.cluster.sample_store import count_documents, store_index
from retention_enforcer.daemon.exit_codes import FAILED, NOT_KEPT, OK
from retention_enforcer.daemon.once import run_once
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.instants import DAY, format_instant
from retention_enforcer.domain.subjects.identity import subject_of
from retention_enforcer.domain.terminations.requests import Ask
from retention_enforcer.reporting.certificate import certificates_table
from retention_enforcer.reporting.holds import holds_table
from retention_enforcer.reporting.terminations import terminations_table

Say = Callable[[RenderableType], None]

LEAVING, HELD = "1400000001", "1400000002"
"""Two applications that have an index of their own in the sample."""

_TENANTS = "trtc-application-logs-*"
_MEDIA = "trtc-media-recording"


def show_customers(deployment: Deployment, say: Say) -> int:
    """Purge what is one customer's, keep what is held of another, and store what is an alarm from now on.

    Returns 0 if exactly the leaving customer's index is gone, counted apart from the enforcer.
    """
    before = count_documents(deployment.connection.client, _TENANTS)
    say(_headline(f"retention-enforcer hold add --application {HELD} --owner legal --reason ... --until ..."))
    until = deployment.clock.now() + 30 * DAY
    held = subject_of(application=HELD)
    deployment.deciding.holding.add(Hold(id="demo", owner="legal", reason="a case at court", until=until, subject=held))
    say(holds_table(deployment.deciding.holding.list(), deployment.clock.now()))

    say(_headline(f"retention-enforcer terminate --application {LEAVING}; ... {HELD}; run --once"))
    for application in (LEAVING, HELD):
        deployment.deciding.asking.ask(
            Ask.TERMINATE,
            subject_of(application=application),
            at=None,
            reason="the customer left",
            requested_by="demo",
            confirm=False,
        )
    acting = deployment.acting()
    categories = [category.id for category in deployment.policy.categories]
    code = run_once(acting.worker, categories, acting.lease, acting.look_at_stop, threading.Event())
    asked = [(t, deployment.reading.terminations.times(t)) for t in deployment.reading.terminations.terminations()]
    say(terminations_table(asked, deployment.clock.now()))

    say(_headline(f"retention-enforcer certificate --application {LEAVING}"))
    say(certificates_table(deployment.reading.certifier.certify(subject_of(application=LEAVING)), reveal=False))

    say(_headline("A forbidden recording is stored: an alarm until an operator orders its erasure"))
    _store_media(deployment)
    say(Text(f"{_MEDIA}: retention-enforcer erase --category media-content --confirm"))

    after = count_documents(deployment.connection.client, _TENANTS)
    expected = {name: documents for name, documents in before.items() if LEAVING not in name}
    if after != expected or code not in (OK, NOT_KEPT):
        say(Text(f"not as requested: {before} became {after}", style="bold red"))
        return FAILED
    return OK


def _store_media(deployment: Deployment) -> None:
    stored = [{"@timestamp": format_instant(deployment.clock.now()), "audio_data": "UklGRg=="}]
    store_index(deployment.connection.client, _MEDIA, stored, {"@timestamp": "date", "audio_data": "keyword"})


def _headline(text: str) -> Text:
    return Text(f"\n=== {text}", style="bold cyan")
