"""The commands by which an operator decides: accept, approve, stop, hold, erase."""

from __future__ import annotations

from typing import Annotated

import typer

from retention_enforcer.cli.console import app, deployment_of, plan_app, policy_app, say
from retention_enforcer.daemon.exit_codes import OK
from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.policy import Category, Policy
from retention_enforcer.enforcement import operator


@plan_app.command("approve")
def plan_approve(context: typer.Context, plan_hash: Annotated[str, typer.Argument(metavar="HASH")]) -> int:
    """Release the purges of the plan with this hash, each once, for 24 hours."""
    deployment = deployment_of(context)
    look = deployment.reader.look(deployment.policy.categories)
    approved = operator.approve_plan(deployment.control, look.plans.values(), plan_hash, deployment.clock)
    documents = sum(purge.documents for purge in approved.purge)
    say(f"approved for 24 h: {approved.category}, {len(approved.purge)} purges, {documents:,} documents")
    return OK


@policy_app.command("accept")
def policy_accept(context: typer.Context) -> int:
    """Accept the policy as it is here: show what it would purge now, and let it act."""
    deployment = deployment_of(context)
    look = deployment.reader.look(deployment.policy.categories)
    for found in look.plans.values():
        documents = sum(purge.documents for purge in found.purge)
        say(f"{found.category}: {len(found.purge)} indices, {documents:,} of {found.documents:,} documents are due")
    operator.accept_policy(deployment.control, deployment.fingerprint, deployment.clock)
    say(f"accepted: {deployment.fingerprint}")
    return OK


@app.command()
def stop(context: typer.Context) -> int:
    """Stop every deletion now: set the flag, and wait until the acting daemon has confirmed it."""
    deployment = deployment_of(context)
    say("stopped: " + operator.stop(deployment.control, deployment.state, deployment.clock))
    return OK


@app.command()
def resume(context: typer.Context) -> int:
    """Undo `stop`."""
    operator.resume(deployment_of(context).control)
    say("resumed: the next cycle acts again")
    return OK


@app.command()
def erase(
    context: typer.Context,
    category: Annotated[str, typer.Option("--category", help="A never-stored category, such as media-content.")],
    confirm: Annotated[bool, typer.Option("--confirm", help="Do it: what is shown without is ordered.")] = False,
) -> int:
    """Order that what must never be stored is erased in the next cycle: exactly what is there now."""
    deployment = deployment_of(context)
    policy = deployment.policy
    forbidding = _never_stored(policy, category)
    facts = deployment.reader.look(policy.categories).facts[category]
    if not confirm:
        would = operator.erasure_plan(forbidding, facts, policy.margin, deployment.clock.now())
        documents = sum(purge.documents for purge in would.purge)
        raise ConfigurationError(
            f"this would erase {documents:,} documents in {len(would.purge)} indices, without a way back",
            "look at `retention-enforcer report`, then give --confirm",
        )
    plan = operator.order_erasure(deployment.control, forbidding, facts, policy.margin, deployment.clock)
    for purge in plan.purge:
        what = "the index" if purge.action == "delete_index" else "of its documents"
        say(f"{purge.facts.name}: {purge.documents:,} documents, {what}")
    say("ordered: erased in the next cycle, and recorded in the ledger" if plan.purge else "there is nothing to erase")
    return OK


def _never_stored(policy: Policy, id_: str) -> Category:
    for category in policy.categories:
        if category.id == id_ and category.forbids_fields:
            return category
    mend = ", ".join(category.id for category in policy.categories if category.forbids_fields) or "there is none"
    raise ConfigurationError(f"{id_[:60]!r} is not a category of what must never be stored", f"name one: {mend}")
