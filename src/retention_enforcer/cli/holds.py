"""The commands about holds."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from retention_enforcer.cli.console import Output, OutputOption, deployment_of, hold_app, print_json, print_table, say
from retention_enforcer.daemon.exit_codes import FAILED, OK
from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.instants import parse_instant
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.identity import Subject, subject_of
from retention_enforcer.domain.wording import counted
from retention_enforcer.enforcement.operator.hold_commands import Protection
from retention_enforcer.enforcement.operator.lifecycle_switch import PutBack
from retention_enforcer.reporting.holds import holds_document, holds_table


@hold_app.command("add")
def hold_add(  # noqa: PLR0917 - options, never positional
    context: typer.Context,
    owner: Annotated[str, typer.Option("--owner", help="Who is responsible for the hold.")],
    reason: Annotated[str, typer.Option("--reason", help="Why the data must be kept.")],
    until: Annotated[
        str, typer.Option("--until", help="When the hold ends, such as 2026-12-31 or 2026-12-31T12:00:00Z.")
    ],
    category: Annotated[str | None, typer.Option("--category", help="Protect this category.")] = None,
    index: Annotated[str | None, typer.Option("--index", help="Protect this index, data stream or alias.")] = None,
    account: Annotated[str | None, typer.Option("--account", help="Protect an account and its applications.")] = None,
    application: Annotated[str | None, typer.Option("--application", help="Protect an application.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="Protect a user of that application only.")] = None,
) -> int:
    """Protect a category, an index or a customer's documents.

    Name one of them by --category, by --index, by --account, or by --application and perhaps --user. The command
    also detaches the lifecycles that would delete what the hold covers.

    Exit code 1: the hold is in place, but the named indices may still be deleted by a lifecycle, or were deleted
    meanwhile.
    """
    deployment = deployment_of(context)
    hold = Hold(
        id=secrets.token_hex(4),
        owner=_words(owner, "--owner"),
        reason=_words(reason, "--reason"),
        until=_end(until, deployment.clock.now()),
        category=_category(deployment.policy, category),
        index=index,
        subject=_subject(account, application, user),
    )
    if sum(target is not None for target in (hold.category, hold.index, hold.subject)) != 1:
        raise ConfigurationError(
            "a hold needs exactly one target", "give one of --category, --index, --account, --application [--user]"
        )
    protection = deployment.deciding.holding.add(hold)
    _tell(protection)
    return FAILED if protection.unprotected else OK


def _tell(protection: Protection) -> None:
    say(f"{protection.hold}: in force from the next cycle")
    for covered in protection.covered:
        partly = f" and documents in {covered.partly:,} more" if covered.partly else ""
        whole = counted(covered.indices, "whole index", "whole indices")
        say(f"  {covered.category}: {whole}{partly}; {counted(covered.documents, 'document')}")
    if not protection.covered:
        say("  it currently covers nothing")
    if protection.not_narrowed:
        say(f"  not covered, because they have no field for this subject: {', '.join(protection.not_narrowed)}")
    for name, why in sorted(protection.unprotected.items()):
        say(f"  NOT PROTECTED {name}: {why}")


@hold_app.command("list")
def hold_list(context: typer.Context, output: OutputOption = Output.TABLE) -> int:
    """Show all holds, with owner, reason and end."""
    deployment = deployment_of(context)
    holds, now = deployment.deciding.holding.list(), deployment.clock.now()
    if output is Output.JSON:
        print_json(holds_document(holds, now))
    else:
        print_table(holds_table(holds, now))
    return OK


@hold_app.command("remove")
def hold_remove(
    context: typer.Context, hold_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `hold list` shows.")]
) -> int:
    """Remove a hold.

    Data that only this hold kept past its limit is deleted in the next cycle. The command also puts back the
    lifecycles of others that the hold had detached.

    Exit code 1: the hold is removed, but the lifecycles of the named indices could not be put back.
    """
    put_back = deployment_of(context).deciding.holding.remove(hold_id)
    say(f"removed: {hold_id}")
    return tell_put_back(put_back)


def tell_put_back(put_back: PutBack) -> int:
    """Tell which lifecycles of others were put back, and which could not be."""
    for name, policy in sorted(put_back.attached.items()):
        due = ": it deletes what is due at its next poll" if policy == STREAM_LIFECYCLE else ""
        say(f"  {name} has its lifecycle {policy} again{due}")
    for name, why in sorted(put_back.failed.items()):
        say(f"  LIFECYCLE NOT PUT BACK {name}: {why}")
    return FAILED if put_back.failed else OK


def _words(text: str, option: str) -> str:
    words = " ".join(text.split())
    if not words:
        raise ConfigurationError(f"{option} is empty", "give a few words, which help whoever finds the hold")
    return words


def _end(text: str, now: int) -> int:
    try:
        until = parse_instant(text)
    except ValueError as error:
        raise ConfigurationError(f"--until: {error}") from None
    if until <= now:
        raise ConfigurationError("--until is in the past", "give a time in the future at which the hold ends")
    return until


def _category(policy: Policy, id_: str | None) -> str | None:
    known = [category.id for category in policy.categories]
    if id_ is not None and id_ not in known:
        raise ConfigurationError(f"the policy has no category {id_[:60]!r}", f"use one of: {', '.join(known)}")
    return id_


def _subject(account: str | None, application: str | None, user: str | None) -> Subject | None:
    if account is None and application is None and user is None:
        return None
    return subject_of(account=account, application=application, user=user)
