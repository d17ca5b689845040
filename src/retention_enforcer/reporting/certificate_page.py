"""Certificates as a page to print or to hand over: one file, nothing loaded from elsewhere, no script."""

from __future__ import annotations

from collections.abc import Sequence

from retention_enforcer.domain.terminations.certificate import Certificate
from retention_enforcer.reporting.certificate import LIMITS, subject_text
from retention_enforcer.reporting.report_page import page_environment


def certificate_page(certificates: Sequence[Certificate], *, reveal: bool) -> str:
    """Return certificates as an HTML page. Every text that comes from outside is escaped."""
    now = max((certificate.as_of for certificate in certificates), default=0)
    return (
        page_environment(now)
        .get_template("certificate.html")
        .render(
            certificates=[(one, subject_text(one, reveal=reveal)) for one in certificates],
            limits=LIMITS,
        )
    )
