"""`erase --category`: an operator's order to erase what must never be stored."""

from __future__ import annotations

from retention_enforcer.bootstrap import Deployment
from retention_enforcer.cli.console import say
from retention_enforcer.daemon.exit_codes import OK
from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.wording import counted
from retention_enforcer.enforcement.operator import commands


def erase_never_stored(deployment: Deployment, category: str, *, confirm: bool) -> int:
    """Order that what must never be stored is erased in the next cycle: exactly what is there now."""
    policy = deployment.policy
    forbidding = _never_stored(policy, category)
    facts = deployment.reading.reader.look(policy.categories).facts[category]
    if not confirm:
        would = commands.erasure_plan(forbidding, facts, policy.margin, deployment.clock.now())
        documents = sum(purge.documents for purge in would.purge)
        raise ConfigurationError(
            f"this would irreversibly erase {counted(documents, 'document')} in "
            f"{counted(len(would.purge), 'index', 'indices')}",
            "check `retention-enforcer report`, then add --confirm",
        )
    margin, fingerprint = policy.margin, deployment.fingerprint
    plan = commands.order_erasure(deployment.stores.control, forbidding, facts, margin, fingerprint, deployment.clock)
    for purge in plan.purge:
        what = "the index is deleted as a whole" if purge.action == "delete_index" else "the index is kept"
        say(f"{purge.facts.name}: {counted(purge.documents, 'document')}, {what}")
    say("ordered: the next cycle erases and records them" if plan.purge else "there is nothing to erase")
    return OK


def _never_stored(policy: Policy, id_: str) -> Category:
    for category in policy.categories:
        if category.id == id_ and category.forbids_fields:
            return category
    remedy = ", ".join(category.id for category in policy.categories if category.forbids_fields) or "none"
    raise ConfigurationError(f"{id_[:60]!r} is not a category with forbidden data", f"use one of: {remedy}")
