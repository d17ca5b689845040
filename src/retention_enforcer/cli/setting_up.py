"""`setup`: the enforcer's own indices, its roles, and API keys with these roles."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from retention_enforcer.bootstrap import Configuration
from retention_enforcer.cli.console import app, complain, deployment_of, print_json, say
from retention_enforcer.cluster.own.indices import create_own_indices, creation_bodies
from retention_enforcer.cluster.privileges import Access
from retention_enforcer.daemon.exit_codes import OK
from retention_enforcer.domain.errors import ConfigurationError, RequestRejected
from retention_enforcer.domain.own.position import RESTORE
from retention_enforcer.domain.policy.names import OwnIndices
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.privileges import AccessRole, descriptor, rights_of, role_name

_BY_HAND = (
    "have an administrator create the roles that `retention-enforcer setup --print` or deploy/roles/roles.yml shows"
)


@app.command()
def setup(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--print", help="Print all requests instead of sending them.")] = False,
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="ROLE[=FILE]",
            help="Create an API key with this role. It is printed once, or written to FILE unless FILE exists.",
        ),
    ] = None,
    indices_only: Annotated[bool, typer.Option("--indices-only", help="Create the indices only, no roles.")] = False,
) -> int:
    """Create the enforcer's own indices and roles.

    Roles are created only if the cluster's security is on. The command is safe to repeat. Repeat it after the indices
    in the policy have changed: it updates the roles and the API keys that the same user made with it.
    """
    deployment = deployment_of(context)
    if indices_only and keys:
        raise ConfigurationError("--key and --indices-only exclude each other", "remove one of the two")
    wanted = [_wanted_key(text) for text in keys or []]
    policy = None if indices_only else _policy(deployment, keys=bool(keys))
    if show:
        print_json(_requests(deployment.own, policy))
        return OK
    done = create_own_indices(deployment.connection.client, deployment.own)
    for name, what in done.items():
        say(f"{what}: {name}")
    if "created" in done.values() and set(done.values()) != {"created"}:
        complain(f"note: some of the enforcer's own indices were missing; {RESTORE}")
    if policy is not None:
        _secure(deployment.connection.access, deployment.own, policy, wanted)
    return OK


def _wanted_key(text: str) -> tuple[AccessRole, Path | None]:
    name, _, file = text.partition("=")
    try:
        return AccessRole(name), Path(file) if file else None
    except ValueError:
        raise ConfigurationError(f"{name[:60]!r} is not a role", f"use one of: {', '.join(AccessRole)}") from None


def _policy(config: Configuration, *, keys: bool) -> Policy | None:
    """Return the policy, whose indices the roles name; None if none is configured and no key was requested."""
    if config.settings.policy_file is None and not keys:
        complain("note: no roles were created, because they need the indices of ENFORCER_POLICY_FILE, which is not set")
        return None
    return config.policy


def _requests(own: OwnIndices, policy: Policy | None) -> list[dict[str, Any]]:
    """Return everything that `setup` would send, for people who send it themselves."""
    found = [{"method": "PUT", "path": f"/{name}", "body": body} for name, body in creation_bodies(own).items()]
    if policy is None:
        return found
    bodies = {role_name(role, own): descriptor(rights_of(role), policy, own) for role in AccessRole}
    found += [{"method": "PUT", "path": f"/_security/role/{name}", "body": body} for name, body in bodies.items()]
    for name, body in bodies.items():
        key = {"name": name, "role_descriptors": {name: body}}
        found.append({"method": "POST", "path": "/_security/api_key", "body": key})
    return found


def _secure(access: Access, own: OwnIndices, policy: Policy, keys: list[tuple[AccessRole, Path | None]]) -> None:
    if access.user() is None:
        if keys:
            raise ConfigurationError("the security of the cluster is off, so it has no API keys", "remove --key")
        say("no roles were created, because the security of the cluster is off")
        return
    try:
        for role in AccessRole:
            say(f"{'created' if access.put_role(role, policy) else 'up to date'}: role {role_name(role, own)}")
    except RequestRejected as error:
        if keys:
            raise
        complain(f"note: no roles were created: {error.message}; {_BY_HAND}")
        return
    for role in AccessRole:
        _follow(access, own, policy, role)
    for role, path in keys:
        _make_key(access, own, policy, role, path)


def _follow(access: Access, own: OwnIndices, policy: Policy, role: AccessRole) -> None:
    """Let the API keys of a role follow the policy: their privileges are a copy of the role's."""
    for id_ in access.keys(role):
        try:
            changed = access.follow_policy(role, policy, id_)
        except RequestRejected as error:
            complain(f"note: API key {id_} was not updated: {error.message}; create a new one with --key {role}")
        else:
            say(f"{'updated' if changed else 'up to date'}: API key {id_} of {role_name(role, own)}")


def _make_key(access: Access, own: OwnIndices, policy: Policy, role: AccessRole, path: Path | None) -> None:
    name = role_name(role, own)
    if path is None:
        key = access.make_key(role, policy)
        say(f"created: API key {key.id} of {name}, shown only once:\n{key.encoded}")
        return
    try:
        # Before the key is made: a file that cannot be written must not cost one.
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        say(f"exists already: {path}")
        return
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", "name a file in a folder that you may write"
        ) from None
    try:
        with os.fdopen(file, "w", encoding="ascii") as opened:
            key = access.make_key(role, policy)
            opened.write(key.encoded + "\n")
    except BaseException:
        path.unlink()
        raise
    say(f"created: API key {key.id} of {name}, in {path}")
