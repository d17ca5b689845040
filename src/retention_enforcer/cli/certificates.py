"""`certificate`: what became of one customer's data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from retention_enforcer.cli.console import Output, OutputOption, app, deployment_of, print_json, print_table, write_file
from retention_enforcer.cli.terminations import Account, Application, User
from retention_enforcer.daemon.exit_codes import NOT_KEPT, OK
from retention_enforcer.domain.subjects.identity import subject_of
from retention_enforcer.reporting.certificate import certificates_document, certificates_table
from retention_enforcer.reporting.certificate_page import certificate_page


@app.command()
def certificate(  # noqa: PLR0917 - options, never positional
    context: typer.Context,
    account: Account = None,
    application: Application = None,
    user: User = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show the id instead of the pseudonym.")] = False,
    output: OutputOption = Output.TABLE,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a printable page to this file.")
    ] = None,
) -> int:
    """Certify what became of a customer's data.

    The certificate says what was deleted, where and when, and what may still hold the data. It is final once nothing
    is left that can be seen.

    Exit code 3: the certificate is not final.
    """
    deployment = deployment_of(context)
    deployment.settings.require_pseudonym_key()
    found = deployment.reading.certifier.certify(subject_of(account=account, application=application, user=user))
    if html is not None:
        write_file(html, certificate_page(found, reveal=reveal))
    if output is Output.JSON:
        print_json(certificates_document(found, reveal=reveal))
    else:
        print_table(certificates_table(found, reveal=reveal))
    return OK if all(one.final for one in found) else NOT_KEPT
