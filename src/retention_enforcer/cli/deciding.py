"""The commands by which an operator decides: approve, accept, stop, resume."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from retention_enforcer.cli.console import app, complain, deployment_of, plan_app, policy_app, say
from retention_enforcer.cli.holds import tell_put_back
from retention_enforcer.daemon.exit_codes import FAILED, OK
from retention_enforcer.domain.expiry.proof import about_ages
from retention_enforcer.domain.wording import counted
from retention_enforcer.enforcement.operator import commands
from retention_enforcer.enforcement.scope import Scope


@plan_app.command("approve")
def plan_approve(
    context: typer.Context,
    plan_hash: Annotated[str, typer.Argument(metavar="HASH", help="The hash that `plan` shows.")],
) -> int:
    """Approve a plan that the fuse refuses.

    Each of its purges may run once, within 24 hours and under this policy. The approval covers the documents that
    `plan` showed and those that are foreseen since.

    Exit code 4: no current plan has this hash. Nothing is approved.
    """
    deployment = deployment_of(context)
    look = deployment.reading.reader.look(deployment.policy.categories)
    plans, fingerprint = look.plans.values(), deployment.fingerprint
    approved = commands.approve_plan(deployment.stores.control, plans, plan_hash, fingerprint, deployment.clock)
    documents = sum(purge.documents for purge in approved.purge)
    number = counted(len(approved.purge), "purge")
    say(f"approved for 24 h: {approved.category}, {number}, {counted(documents, 'document')}")
    return OK


@policy_app.command("accept")
def policy_accept(context: typer.Context) -> int:
    """Accept this policy, so that it may delete.

    The command shows what is due under the policy now. It detaches the enforcer's own lifecycles that do not match
    the policy; the next cycle attaches the right ones.

    Exit code 4: a hold would cover less under this policy. Move or remove the hold first. Nothing is accepted.

    Exit code 1: the policy is accepted, but a lifecycle could not be detached from the named indices and may still
    delete them.
    """
    deployment = deployment_of(context)
    look = deployment.reading.reader.look(deployment.policy.categories)
    for found in look.plans.values():
        documents = sum(purge.documents for purge in found.purge)
        indices = counted(len(found.purge), "index", "indices")
        say(f"{found.category}: {documents:,} of {counted(found.documents, 'document')} are due, in {indices}")
        for wrong in about_ages(deployment.policy.category(found.category), look.facts[found.category]):
            complain(f"note: {deployment.hide(wrong.text)}; {deployment.hide(wrong.remedy)}")
    deployment.deciding.holding.raise_if_voided()
    commands.accept_policy(deployment.stores.control, deployment.fingerprint, deployment.clock)
    say(f"accepted: {deployment.fingerprint}")
    # Afterwards: a daemon that works under another policy attaches nothing any more.
    scope = replace(Scope.looking(deployment.policy, look.control), fingerprint=deployment.fingerprint)
    retired, failed = deployment.deciding.superseded_lifecycles.retire(scope, look.facts)
    if retired:
        indices = counted(retired, "index", "indices")
        say(
            f"lifecycles of another retention policy were detached from {indices}; "
            "the next cycle attaches those of this one"
        )
    for name, why in sorted(failed.items()):
        say(f"  LIFECYCLE NOT DETACHED {name}: {why}")
    return FAILED if failed else OK


@app.command()
def stop(context: typer.Context) -> int:
    """Stop every deletion now, by the daemon and by lifecycles.

    The command sets the stop flag, waits until the acting daemon has confirmed it, and then detaches the lifecycles
    of all governed indices, whoever attached them. `resume` undoes it.

    Exit code 4: the daemon has not confirmed the flag. Give the command again, or end the daemon.

    Exit code 1: the named indices may still be deleted by a lifecycle, or were deleted meanwhile.
    """
    deployment = deployment_of(context)
    try:
        say("stopped: " + commands.stop(deployment.stores.control, deployment.stores.state, deployment.clock))
    finally:  # whether or not the daemon has confirmed
        unprotected = deployment.deciding.lifecycle_switch.detach_all()
        for name, why in sorted(unprotected.items()):
            say(f"  NOT STOPPED {name}: {why}")
    if deployment.connection.capabilities.has_lifecycles() and not unprotected:
        say("no governed index has a lifecycle now")
    return FAILED if unprotected else OK


@app.command()
def resume(context: typer.Context) -> int:
    """Undo `stop`: the next cycle deletes again.

    The command first puts back the lifecycles of others that `stop` had detached. The next cycle attaches the
    enforcer's own.

    Exit code 1: deletion is resumed, but the lifecycles of the named indices could not be put back.
    """
    deployment = deployment_of(context)
    control = replace(deployment.stores.control_reader.read(), stopped_at=None)
    # Before the flag goes: an index without any lifecycle would get one of the enforcer's.
    put_back = deployment.deciding.lifecycle_switch.put_back(lambda: deployment.deciding.holding.held(control), control)
    commands.resume(deployment.stores.control, deployment.clock)
    say("resumed: the next cycle acts again")
    return tell_put_back(put_back)
