"""The status as a page: one answer, nothing loaded from elsewhere, no script, nothing on it that acts.

Each figure stands in a `data` or `time` element with the exact value that `/api/status` has: both can be compared.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Template

from retention_enforcer.domain.findings import Severity
from retention_enforcer.domain.instants import describe_roughly
from retention_enforcer.reporting.promises import Promise, Verdict
from retention_enforcer.reporting.report_page import page_environment
from retention_enforcer.reporting.status import Role, Status
from retention_enforcer.reporting.terminations import SHOWN_DIGITS

SHOWN = 20
"""Terminations, findings and holds that are shown at once; further ones are one click away."""

_WORDS = {Verdict.KEPT: "kept", Verdict.NOT_KEPT: "not kept", Verdict.NOT_PROVEN: "not proven"}
_TONES = {Verdict.KEPT: "good", Verdict.NOT_KEPT: "bad", Verdict.NOT_PROVEN: "warn"}
_ROLES = {
    Role.PLANNING: "plan mode: deletes nothing",
    Role.ACTING: "active: holds the lease",
    Role.STANDBY: "standby",
    Role.UNKNOWN: "lease holder unknown",
}


def _style() -> str:
    """Return the pages' common style and the status page's own."""
    folder = files("retention_enforcer.reporting") / "templates"
    common = (folder / "style.html").read_text(encoding="utf-8").partition("<style>")[2].partition("</style>")[0]
    return common + (folder / "status.css").read_text(encoding="utf-8")


_STYLE = _style()
STYLE_HASH = f"sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}"
"""What a Content-Security-Policy has to name, so that this style, and no other, is taken."""


def status_page(status: Status) -> str:
    """Return the page. Every text that comes from outside is escaped."""
    return _template().render(
        status=status,
        style=_STYLE,
        headline=headline(status),
        wanting=_wanting(status),
        tone=_TONES[status.verdict],
        words=_WORDS,
        tones=_TONES,
        role=_ROLES[status.instance.role],
        bar=_bar,
        is_error=lambda finding: finding.severity is Severity.ERROR,
        shown=SHOWN,
    )


@cache
def _template() -> Template:
    """Return the page's template, made once: it is asked for often, and no filter that it uses knows the time."""
    environment = page_environment(0)
    environment.filters["roughly"] = lambda duration: "-" if duration is None else describe_roughly(abs(duration))
    environment.filters["short_subject"] = _short_subject
    return environment.get_template("status.html")


def headline(status: Status) -> str:
    """Return the verdict on all promises in one sentence."""
    number = len(status.promises)
    broken = sum(promise.verdict is Verdict.NOT_KEPT for promise in status.promises)
    unproven = sum(promise.verdict is Verdict.NOT_PROVEN for promise in status.promises)
    if status.instance.role is Role.STANDBY:
        return "This instance is on standby: the lease holder shows the promises"
    if broken:
        beside = f", {unproven} not proven" if unproven else ""
        return f"{broken} of {number} promises {'is' if broken == 1 else 'are'} not kept{beside}"
    if unproven:
        return f"{unproven} of {number} promises {'is' if unproven == 1 else 'are'} not proven to be kept"
    return f"All {number} promises are kept"


def _wanting(status: Status) -> list[tuple[Verdict, list[Promise]]]:
    """Return the promises that are not kept, and those that are not proven, where these are some and not all."""
    found = []
    for verdict in (Verdict.NOT_KEPT, Verdict.NOT_PROVEN):
        those = [promise for promise in status.promises if promise.verdict is verdict]
        if those and len(those) < len(status.promises):
            found.append((verdict, those))
    return found


def _bar(promise: Promise) -> dict[str, float] | None:
    """Return the widths of a promise's bar in hundredths of the limit: what is used, and from where on it is due."""
    if promise.used is None or not promise.limit:
        return None
    due = promise.due_after / promise.limit if promise.due_after is not None else 1.0
    return {"used": round(min(max(promise.used, 0.0), 1.0) * 100, 2), "due": round(due * 100, 2)}


def _short_subject(text: str) -> str:
    """Return a text with its pseudonym cut to the digits that tables show."""
    kind, colon, digits = text.rpartition(":")
    return f"{kind.partition(' ')[0]} {digits[:SHOWN_DIGITS]}" if colon and len(digits) > SHOWN_DIGITS else text
