"""The commands that show plans, policies and reports; they write nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from retention_enforcer import policy_file
from retention_enforcer.bootstrap import Connection
from retention_enforcer.cli.console import (
    Output,
    OutputOption,
    app,
    complain,
    deployment_of,
    plan_app,
    policy_app,
    print_json,
    print_table,
    say,
    write_file,
)
from retention_enforcer.daemon.exit_codes import NOT_KEPT, OK, worst
from retention_enforcer.domain.errors import Refused, RetentionError
from retention_enforcer.domain.instants import format_duration
from retention_enforcer.domain.lifecycles.compiler import DEFAULT_POLL
from retention_enforcer.enforcement.coverage.observer import CoverageLook
from retention_enforcer.enforcement.reader import Look, Reader
from retention_enforcer.enforcement.terminations.known import KnownTerminations
from retention_enforcer.reporting.lifecycles import lifecycles_document, lifecycles_table
from retention_enforcer.reporting.plans import plan_document, plan_table
from retention_enforcer.reporting.policies import named_in, policy_table
from retention_enforcer.reporting.promises import Timed, requests_unknown
from retention_enforcer.reporting.report import make_report, report_document
from retention_enforcer.reporting.report_page import report_page
from retention_enforcer.reporting.report_table import report_table


@plan_app.callback()
def plan(context: typer.Context, output: OutputOption = Output.TABLE) -> int | None:
    """Show what the next cycle would do, and why, unless a command below it is asked for."""
    if context.invoked_subcommand is not None:
        return None
    deployment = deployment_of(context)
    look = deployment.reading.reader.look(deployment.policy.categories)
    if output is Output.JSON:
        document = plan_document(
            look.plans.values(),
            cluster=look.cluster,
            mode=deployment.settings.mode or "plan",
            policy=deployment.fingerprint,
            as_of=look.as_of,
        )
        print_json(document)
    else:
        print_table(plan_table(deployment.policy, look.plans.values(), now=look.as_of, refusals=look.refusals))
    _note(look)
    return OK


@policy_app.command("show")
def policy_show(
    context: typer.Context,
    lifecycles: Annotated[
        bool, typer.Option("--lifecycles", help="Show the compiled lifecycles with their arithmetic.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> int:
    """Show the promises of the policy and its fingerprint.

    No cluster is needed. With --lifecycles, the cluster is asked for its poll interval if there is one.
    """
    deployment = deployment_of(context)
    if lifecycles:
        return _show_lifecycles(deployment.connection, output)
    policy = deployment.policy
    if output is Output.JSON:
        promises = [
            {
                "id": c.id,
                "promise": c.promise,
                "indices": [str(p) for p in c.indices],
                "without": [str(p) for p in policy.excluded(c)],
                "subjects": named_in(c.subjects),
                "owns": named_in(c.owns),
                "clause": str(c.clause),
            }
            for c in policy.categories
        ]
        print_json({"name": policy.name, "fingerprint": deployment.fingerprint, "categories": promises})
        return OK
    print_table(policy_table(policy))
    say(f"fingerprint {deployment.fingerprint}")
    return OK


def _show_lifecycles(connection: Connection, output: Output) -> int:
    """Show what the promises compile to, with the cluster's poll interval where there is one."""
    asked = connection.poll_interval()
    poll = asked if asked is not None else DEFAULT_POLL
    compiled, retentions = connection.config.compiled(poll), connection.stream_retentions()
    if output is Output.JSON:
        print_json(lifecycles_document(compiled, retentions, poll))
    else:
        print_table(lifecycles_table(compiled, retentions))
        where = (
            "set in the cluster" if asked is not None else "the default of Elasticsearch, because no cluster was asked"
        )
        say(f"indices.lifecycle.poll_interval {format_duration(poll)}: {where}")
    connection.config.raise_if_unmeetable(poll)
    return OK


@policy_app.command("schema")
def policy_schema() -> int:
    """Print the JSON Schema of the policy file."""
    print_json(policy_file.policy_schema())
    return OK


@app.command()
def report(
    context: typer.Context,
    output: OutputOption = Output.TABLE,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a printable page to this file.")
    ] = None,
) -> int:
    """Report for every promise whether it is kept now.

    The report shows the oldest document, the limit and the margin of each category, every index with its promise, and
    the findings with their remedies. Nothing is written to the cluster.

    Exit code 3: a promise is not kept, or it is not proven.
    """
    deployment = deployment_of(context)
    reader = deployment.reading.reader
    look = reader.look(deployment.policy.categories)
    coverage, problem = _cover(reader, look)
    asked, refused, unknown = _asked(deployment.reading.terminations, look.as_of, deployment.settings.interval)
    found = make_report(
        deployment.policy,
        look,
        reader.proofs(look),
        coverage,
        head=reader.head(),
        notes=[f"Copies outside the policy were not searched for: {problem}"] if problem else [],
        asked=asked,
        refused=refused,
        unknown=unknown,
    )
    if html is not None:
        write_file(html, report_page(found))
    if output is Output.JSON:
        print_json(report_document(found))
    else:
        print_table(report_table(found))
    return worst([OK if found.kept else NOT_KEPT, problem.exit_code if problem else OK])


def _asked(known: KnownTerminations, now: int, interval: int) -> tuple[list[Timed], Mapping[int, str], str]:
    """Return what customers asked for, what of it was refused, and why it is not known what else they did."""
    try:
        asked = [(t, known.times(t)) for t in known.terminations()]
        refused, looked_at = known.refused(), known.looked_at()
    except Refused as error:
        return [], {}, error.message
    return asked, refused, requests_unknown(looked_at, now, interval)


def _cover(reader: Reader, look: Look) -> tuple[CoverageLook | None, RetentionError | None]:
    """Look past the policy; where that is not possible, the promises are reported all the same."""
    try:
        return reader.cover(look), None
    except RetentionError as error:
        return None, error


def _note(look: Look) -> None:
    if look.note:
        complain(f"note: {look.note}")
