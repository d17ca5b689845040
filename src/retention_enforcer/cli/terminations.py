"""The commands that request the deletion of a customer's data, and show what became of the requests."""

from __future__ import annotations

from typing import Annotated

import typer

from retention_enforcer.bootstrap import Configuration
from retention_enforcer.cli.console import (
    Output,
    OutputOption,
    app,
    complain,
    deployment_of,
    print_json,
    print_table,
    say,
    terminations_app,
)
from retention_enforcer.cli.erasing import erase_never_stored
from retention_enforcer.daemon.exit_codes import OK
from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.instants import describe_duration, format_instant, parse_instant
from retention_enforcer.domain.subjects.identity import Subject, spellings, subject_of, whole_number
from retention_enforcer.domain.terminations.requests import Ask
from retention_enforcer.domain.wording import counted, verb
from retention_enforcer.enforcement.terminations.commands import Prospect, Return
from retention_enforcer.reporting.terminations import terminations_document, terminations_table

Account = Annotated[str | None, typer.Option("--account", help="The id of an account. Its applications are included.")]
Application = Annotated[str | None, typer.Option("--application", help="The id of an application.")]
User = Annotated[str | None, typer.Option("--user", help="The id of a user of that application.")]
At = Annotated[
    str | None, typer.Option("--at", help="When the customer asked, such as 2026-11-24T08:00:00Z. Default: now.")
]
Reason = Annotated[str, typer.Option("--reason", help="The reason. It is stored in the registry only.")]
Confirm = Annotated[bool, typer.Option("--confirm", help="Required if --at is in the future or more than 7 days ago.")]

_NAMED = 5
"""How many indices a request names, for each category, that cannot tell whose documents they have."""


@app.command()
def terminate(  # noqa: PLR0917 - options, never positional
    context: typer.Context,
    account: Account = None,
    application: Application = None,
    user: User = None,
    at: At = None,
    reason: Reason = "",
    confirm: Confirm = False,
) -> int:
    """Register that a customer has terminated.

    The customer's data in the categories with `after_termination` is purged after the grace period and before the
    deadline. Name the customer by --account, by --application, or by --application and --user.
    """
    return _ask(context, Ask.TERMINATE, (account, application, user), at, reason, confirm=confirm)


@app.command()
def reinstate(
    context: typer.Context,
    account: Account = None,
    application: Application = None,
    user: User = None,
    reason: Reason = "",
) -> int:
    """Withdraw a termination or an erasure request.

    Before the purge, the request is cancelled. After the purge, the watch for late documents ends.

    Exit code 4: an open request of the account or the application includes this subject. Nothing was requested.
    """
    deployment = deployment_of(context)
    deployment.settings.require_pseudonym_key()
    subject = subject_of(account=account, application=application, user=user)
    _tell_return(
        deployment.deciding.asking.reinstate(subject, reason=" ".join(reason.split()), requested_by="command line")
    )
    return OK


@app.command()
def erase(  # noqa: PLR0917 - options, never positional
    context: typer.Context,
    category: Annotated[str | None, typer.Option("--category", help="A category with forbidden data.")] = None,
    account: Account = None,
    application: Application = None,
    user: User = None,
    at: At = None,
    reason: Reason = "",
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Required with --category, and if --at is unusual (see `terminate`).")
    ] = False,
) -> int:
    """Request the erasure of a customer or of forbidden data.

    The customer's data is purged from every category whose documents name customers, after the grace period and
    before the deadline. Name the customer by --account, by --application, or by --application and --user.

    With --category, what must never be stored is erased in the next cycle, from the indices in which it is found now.
    Without --confirm nothing is ordered: the command ends with exit code 2 and says what it would erase.
    """
    if category is not None:
        if (account, application, user, at) != (None, None, None, None):
            raise ConfigurationError(
                "--category excludes the options for a customer", "remove --category or those options"
            )
        return erase_never_stored(deployment_of(context), category, confirm=confirm)
    return _ask(context, Ask.ERASE, (account, application, user), at, reason, confirm=confirm)


def _ask(
    context: typer.Context,
    ask: Ask,
    ids: tuple[str | None, str | None, str | None],
    at: str | None,
    reason: str,
    *,
    confirm: bool,
) -> int:
    deployment = deployment_of(context)
    deployment.settings.require_pseudonym_key()
    account, application, user = ids
    prospect = deployment.deciding.asking.ask(
        ask,
        subject_of(account=account, application=application, user=user),
        at=_instant(at),
        reason=" ".join(reason.split()),
        requested_by="command line",
        confirm=confirm,
    )
    _tell(deployment, ask, prospect)
    return OK


def _instant(text: str | None) -> int | None:
    try:
        return parse_instant(text) if text is not None else None
    except ValueError as error:
        raise ConfigurationError(f"--at: {error}") from None


def _tell_spellings(subject: Subject | None, *, spelled: bool) -> None:
    """Name the spellings of the ids that were given by which a field of numbers, or a number in a text, has them."""
    for id_ in (subject.id, subject.application) if subject is not None else ():
        if id_ is None or (number := whole_number(id_)) is None:
            continue
        if str(number) != id_:
            complain(f"warning: a numeric field stores {id_} as {number}: request that spelling as well")
        elif spelled:
            complain(f"warning: other spellings of {id_} are {', '.join(spellings(id_))}: request those that are used")


def _tell_documents(category: str, documents: int, indistinguishable: list[str]) -> None:
    """Say how many documents a category has, and where that is not known: 0 is never said for what is not known."""
    if not indistinguishable:
        say(f"  {category}: {counted(documents, 'document')} now")
        return
    known = f"at least {counted(documents, 'document')}" if documents else "an unknown number of documents"
    say(f"  {category}: {known} now")
    for why in indistinguishable[:_NAMED]:
        complain(f"warning: there may be more: {why}")
    if len(indistinguishable) > _NAMED:
        complain(
            f"warning: the same is true of {counted(len(indistinguishable) - _NAMED, 'more index', 'more indices')}"
        )


def _tell(config: Configuration, ask: Ask, prospect: Prospect) -> None:
    termination, times, before = prospect.termination, prospect.times, prospect.before
    who = f"{termination.kind} {termination.pseudonym}"
    if before is None:
        say(f"requested: {ask} {who}")
    elif before.terminated_at == termination.terminated_at and before.asked_at == termination.asked_at:
        say(f"unchanged: the {ask} of {who} is already in progress")
    else:
        since = format_instant(termination.terminated_at)
        say(f"requested: the {ask} of {who}, which is already in progress, now counts from {since}")
    if termination.applications:
        say(f"  including {counted(len(termination.applications), 'application')}")
    for id_, documents in prospect.documents.items():
        _tell_documents(id_, documents, [config.hide(why) for why in prospect.indistinguishable.get(id_, ())])
    _tell_spellings(termination.subject, spelled=prospect.spelled_otherwise)
    if prospect.not_narrowed:
        say(f"  categories without a field for this subject: {', '.join(prospect.not_narrowed)}")
    _tell_times(config.clock.now(), prospect)
    if prospect.stopped:
        complain("warning: all deletion is stopped: nothing is purged until you run `retention-enforcer resume`")
    if times.grace_ends(termination) > times.deadline(termination):
        complain("warning: the grace period ends after the deadline, so the purge will be late")
    if prospect.problem:
        complain(f"warning: its applications are unknown: {prospect.problem}")
    elif not any(prospect.documents.values()) and not prospect.indistinguishable:
        complain("warning: no matching documents found; the request was registered anyway")


def _tell_times(now: int, prospect: Prospect) -> None:
    termination, times = prospect.termination, prospect.times
    start, promised = times.grace_ends(termination), format_instant(times.promised(termination))
    if prospect.waits:
        say(f"  waits for approval (retention-enforcer terminations approve); erasure is promised by {promised}")
    elif termination.begun_at is not None:
        gone = counted(termination.documents, "document")
        say(f"  its purge has started: {gone} deleted; erasure is promised by {promised}")
    else:
        wait = describe_duration(max(start - now, 0))
        say(f"  the purge starts at {format_instant(start)} (in {wait}); erasure is promised by {promised}")


def _tell_return(prospect: Return) -> None:
    who = f"{prospect.kind} {prospect.pseudonym}"
    say(f"requested: {who} is reinstated in the next cycle")
    for termination in prospect.reaches:
        if termination.begun_at is None:
            say(f"  its {termination.ask} is withdrawn unless its purge starts before that")
        else:
            complain(
                f"warning: the purge of its {termination.ask} has started: "
                f"{counted(termination.documents, 'document')} deleted; only what is left in the next cycle is kept"
            )
    if not prospect.reaches:
        complain("warning: no termination or erasure request is open, so nothing is withdrawn")
    if prospect.others:
        others = counted(prospect.others, "termination or request", "terminations and requests")
        complain(f"warning: {others} made for its applications {verb(prospect.others, 'continues', 'continue')}")
    for problem in prospect.problems:
        complain(f"warning: it may still be included in the termination of an account: {problem}")


@terminations_app.callback()
def terminations(context: typer.Context, output: OutputOption = Output.TABLE) -> int | None:
    """Show all terminations and requests that are remembered, unless a command below it is asked for."""
    if context.invoked_subcommand is not None:
        return None
    deployment = deployment_of(context)
    found = [(t, deployment.reading.terminations.times(t)) for t in deployment.reading.terminations.terminations()]
    if output is Output.JSON:
        print_json(terminations_document(found, deployment.clock.now()))
    else:
        print_table(terminations_table(found, deployment.clock.now()))
    return OK


@terminations_app.command("approve")
def terminations_approve(context: typer.Context) -> int:
    """Approve all terminations and requests that wait.

    They wait, for example, because too many came within a day, or because their time is unusual.
    """
    waited = deployment_of(context).deciding.asking.approve()
    say(f"approved: {counted(waited, 'waiting termination')} {verb(waited, 'continues', 'continue')} in the next cycle")
    return OK
