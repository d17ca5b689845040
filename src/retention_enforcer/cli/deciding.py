"""The commands by which an operator decides: accept, approve, stop, hold, erase."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from retention_enforcer.cli.console import app, complain, deployment_of, plan_app, policy_app, say
from retention_enforcer.cli.holds import tell_put_back
from retention_enforcer.daemon.exit_codes import FAILED, OK
from retention_enforcer.domain.expiry.proof import about_ages
from retention_enforcer.enforcement.operator import commands
from retention_enforcer.enforcement.scope import Scope


@plan_app.command("approve")
def plan_approve(context: typer.Context, plan_hash: Annotated[str, typer.Argument(metavar="HASH")]) -> int:
    """Release the purges of the plan with this hash, each once, for 24 hours."""
    deployment = deployment_of(context)
    look = deployment.reader.look(deployment.policy.categories)
    plans, fingerprint = look.plans.values(), deployment.fingerprint
    approved = commands.approve_plan(deployment.control, plans, plan_hash, fingerprint, deployment.clock)
    documents = sum(purge.documents for purge in approved.purge)
    say(f"approved for 24 h: {approved.category}, {len(approved.purge)} purges, {documents:,} documents")
    return OK


@policy_app.command("accept")
def policy_accept(context: typer.Context) -> int:
    """Accept the policy as it is here: show what it would purge now, and let it act.

    Refused (exit 4) where a hold covers less under it than before, until that hold is moved or removed. Lifecycles
    of the enforcer's that do something else than it says are taken off; the next cycle attaches what is right. Exit 1
    names what one may delete all the same.
    """
    deployment = deployment_of(context)
    look = deployment.reader.look(deployment.policy.categories)
    for found in look.plans.values():
        documents = sum(purge.documents for purge in found.purge)
        say(f"{found.category}: {len(found.purge)} indices, {documents:,} of {found.documents:,} documents are due")
        for wrong in about_ages(deployment.policy.category(found.category), look.facts[found.category]):
            complain(f"note: {deployment.hide(wrong.text)}; {deployment.hide(wrong.remedy)}")
    deployment.holding.raise_if_voided()
    commands.accept_policy(deployment.control, deployment.fingerprint, deployment.clock)
    say(f"accepted: {deployment.fingerprint}")
    # Afterwards: a daemon that works under another policy attaches nothing any more.
    scope = replace(Scope.looking(deployment.policy, look.control), fingerprint=deployment.fingerprint)
    retired, failed = deployment.superseded_lifecycles.retire(scope, look.facts)
    if retired:
        say(f"{retired:,} indices had lifecycles that do something else: taken off, until the next cycle")
    for name, why in sorted(failed.items()):
        say(f"  NOT UNDER THIS POLICY {name}: {why}")
    return FAILED if failed else OK


@app.command()
def stop(context: typer.Context) -> int:
    """Stop every deletion now, the daemon's and the lifecycles'. Exit 1 names what may go all the same.

    Sets the flag, waits until the acting daemon has confirmed it, then keeps lifecycles from every governed index.
    """
    deployment = deployment_of(context)
    try:
        say("stopped: " + commands.stop(deployment.control, deployment.state, deployment.clock))
    finally:  # whether or not the daemon has confirmed
        unprotected = deployment.lifecycle_switch.detach_all()
        for name, why in sorted(unprotected.items()):
            say(f"  NOT STOPPED {name}: {why}")
    if deployment.capabilities.has_lifecycles() and not unprotected:
        say("no governed index has a lifecycle any more")
    return FAILED if unprotected else OK


@app.command()
def resume(context: typer.Context) -> int:
    """Undo `stop`: the next cycle acts again, and attaches lifecycles. Exit 1 names what is not as before."""
    deployment = deployment_of(context)
    control = replace(deployment.control_reader.read(), stopped_at=None)
    # Before the flag goes: an index without any lifecycle would get one of the enforcer's.
    put_back = deployment.lifecycle_switch.put_back(lambda: deployment.holding.held(control), control)
    commands.resume(deployment.control, deployment.clock)
    say("resumed: the next cycle acts again")
    return tell_put_back(put_back)
