"""Who may do what on the cluster: four roles, each privilege with the feature that needs it.

The privileges are those of Elasticsearch, by their documented names, or by the name of an action where the named
privilege would allow far more: `manage`, which alone has the change of a setting, creates and closes indices, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from retention_enforcer.domain.policy.names import OWN, OwnIndices
from retention_enforcer.domain.policy.promises import Policy


class AccessRole(StrEnum):
    """Whose the privileges are."""

    READER = "reader"
    REGISTRAR = "registrar"
    OPERATOR = "operator"
    ENFORCER = "enforcer"


class GrantedOn(StrEnum):
    """On what a privilege is given."""

    CLUSTER = "the cluster"
    GOVERNED = "the policy's indices"
    EVERYTHING = "all indices"
    SEARCHES = ".async-search"
    LEDGER = "retention-ledger"
    CONTROL = "retention-control"
    STATE = "retention-state"
    REQUESTS = "retention-requests"
    TERMINATIONS = "retention-terminations"


REFRESH = "indices:admin/refresh"
BLOCK = "indices:admin/block/add*"
ROLLOVER = "indices:admin/rollover"
CHANGE_SETTINGS = "indices:admin/settings/update"
CHANGE_STREAM_LIFECYCLE = "indices:admin/data_stream/lifecycle/put"
DANGLING = "cluster:admin/indices/dangling/list"


@dataclass(frozen=True, slots=True)
class Right:
    """One privilege, for whom, and why."""

    scope: GrantedOn
    privilege: str
    roles: frozenset[AccessRole]
    feature: str
    """What does not work without it, in a few words."""
    why: str


_LOOKING = frozenset({AccessRole.READER, AccessRole.OPERATOR, AccessRole.ENFORCER})
_PEOPLE = frozenset({AccessRole.READER, AccessRole.OPERATOR})
_DECIDING = frozenset({AccessRole.OPERATOR})
_ACTING = frozenset({AccessRole.ENFORCER})

RIGHTS = (
    Right(
        GrantedOn.CLUSTER,
        "monitor",
        _LOOKING,
        "everything",
        "reads the cluster's identity and clock, each index's uuid, blocks and shards, and the progress of "
        "force merges",
    ),
    Right(
        GrantedOn.CLUSTER,
        "monitor_snapshot",
        _LOOKING,
        "snapshots past a limit",
        "lists repositories and their snapshots",
    ),
    Right(
        GrantedOn.CLUSTER,
        "read_slm",
        _LOOKING,
        "snapshot policies past a limit",
        "reads how long snapshots are kept, and whether ILM is running",
    ),
    Right(
        GrantedOn.CLUSTER,
        DANGLING,
        _LOOKING,
        "deleted indices that return with a node",
        "lists dangling indices, which decide whether a certificate may be final",
    ),
    Right(GrantedOn.CLUSTER, "manage_ilm", _ACTING, "lifecycles", "reads and writes the compiled lifecycle policies"),
    Right(GrantedOn.GOVERNED, "read", _LOOKING, "plan and proof", "counts documents and finds the oldest"),
    Right(
        GrantedOn.GOVERNED,
        "view_index_metadata",
        _LOOKING,
        "plan and proof",
        "reads data streams, aliases, field types and the progress of lifecycles",
    ),
    Right(
        GrantedOn.GOVERNED,
        "monitor",
        _LOOKING,
        "plan and proof",
        "reads sequence numbers, which identify an index before it is deleted, and segments and shard copies",
    ),
    Right(GrantedOn.GOVERNED, REFRESH, _PEOPLE, "plan and proof", "refreshes, so that recent documents are counted"),
    Right(
        GrantedOn.GOVERNED,
        "maintenance",
        _ACTING,
        "proof and erasure",
        "refreshes before counting, flushes, and force merges to erase deleted documents",
    ),
    Right(
        GrantedOn.GOVERNED,
        "delete",
        _ACTING,
        "deletion of documents",
        "deletes documents by age and for terminations and erasure requests",
    ),
    Right(GrantedOn.GOVERNED, "delete_index", _ACTING, "deletion of indices", "deletes indices as a whole"),
    Right(
        GrantedOn.GOVERNED,
        ROLLOVER,
        _ACTING,
        "deletion of indices",
        "rolls over a write index in time, and before it is deleted",
    ),
    Right(
        GrantedOn.GOVERNED,
        BLOCK,
        _ACTING,
        "deletion of indices",
        "blocks writes before the last check, so that no new document is deleted",
    ),
    Right(
        GrantedOn.GOVERNED,
        CHANGE_SETTINGS,
        frozenset({AccessRole.OPERATOR, AccessRole.ENFORCER}),
        "erasure and lifecycles",
        "removes and restores a write block, and changes merge settings, to erase; attaches and restores lifecycles; "
        "exempts an index from the lifecycle of its data stream",
    ),
    Right(
        GrantedOn.GOVERNED,
        "manage_ilm",
        frozenset({AccessRole.OPERATOR, AccessRole.ENFORCER}),
        "holds against lifecycles",
        "detaches lifecycles from what is held or stopped",
    ),
    Right(
        GrantedOn.GOVERNED,
        CHANGE_STREAM_LIFECYCLE,
        frozenset({AccessRole.OPERATOR, AccessRole.ENFORCER}),
        "lifecycles of data streams",
        "disables the lifecycle of a data stream for `stop` and enables it again; sets the retention of an adopted one "
        "(8.11 and newer)",
    ),
    Right(
        GrantedOn.EVERYTHING,
        "read",
        _LOOKING,
        "search for copies outside the policy",
        "searches an index that may be a copy",
    ),
    Right(
        GrantedOn.EVERYTHING,
        "view_index_metadata",
        _LOOKING,
        "search for copies outside the policy",
        "reads data streams and field types, which identify a copy",
    ),
    Right(
        GrantedOn.EVERYTHING,
        REFRESH,
        _LOOKING,
        "certificates",
        "refreshes an index outside the policy that has a subject's field",
    ),
    Right(
        GrantedOn.SEARCHES,
        "read",
        _LOOKING,
        "certificates",
        "lists stored async searches and when they expire, because their results may contain data deleted since",
    ),
    Right(GrantedOn.LEDGER, "read", _LOOKING, "ledger", "reads the chain, and its head before a record is appended"),
    Right(GrantedOn.LEDGER, "view_index_metadata", _PEOPLE, "ledger", "reads the uuid, which identifies the index"),
    Right(GrantedOn.LEDGER, REFRESH, _LOOKING, "ledger", "makes the last record visible"),
    Right(
        GrantedOn.LEDGER,
        "monitor",
        _ACTING,
        "ledger",
        "reads the uuid, which identifies the index, and whether a record is on every shard copy",
    ),
    Right(GrantedOn.LEDGER, "create_doc", _ACTING, "ledger", "appends records; no role can change or delete one"),
    Right(
        GrantedOn.LEDGER, CHANGE_SETTINGS, _ACTING, "a full disk", "removes the flood-stage block, to keep recording"
    ),
    Right(GrantedOn.CONTROL, "read", _LOOKING, "operator decisions", "reads acceptance, approvals, holds and stop"),
    Right(
        GrantedOn.CONTROL,
        "monitor",
        _ACTING,
        "operator decisions",
        "reads its sequence numbers, to notice an older state of it",
    ),
    Right(GrantedOn.CONTROL, REFRESH, _ACTING, "operator decisions", "refreshes, so that recent decisions are read"),
    Right(GrantedOn.CONTROL, "index", _DECIDING, "operator decisions", "accepts, approves, holds and stops"),
    Right(GrantedOn.CONTROL, "delete", _DECIDING, "operator decisions", "resumes, and removes holds"),
    Right(GrantedOn.CONTROL, "view_index_metadata", _DECIDING, "operator decisions", "checks that the index exists"),
    Right(
        GrantedOn.CONTROL,
        CHANGE_SETTINGS,
        _DECIDING,
        "a full disk",
        "removes the flood-stage block, so that stop works even then",
    ),
    Right(GrantedOn.STATE, "read", _LOOKING, "memory", "reads lease, evidence, findings and the head of the ledger"),
    Right(GrantedOn.STATE, "monitor", _ACTING, "memory", "reads its sequence numbers, to notice an older state of it"),
    Right(GrantedOn.STATE, REFRESH, _ACTING, "memory", "refreshes, so that recent documents are read"),
    Right(GrantedOn.STATE, "index", _ACTING, "memory", "writes lease, evidence, findings and the head of the ledger"),
    Right(GrantedOn.STATE, "view_index_metadata", _ACTING, "memory", "checks that the index exists"),
    Right(GrantedOn.STATE, CHANGE_SETTINGS, _ACTING, "a full disk", "removes the flood-stage block, to keep the lease"),
    Right(
        GrantedOn.REQUESTS,
        "create_doc",
        frozenset({AccessRole.REGISTRAR, AccessRole.OPERATOR}),
        "requests",
        "requests terminations, reinstatements and erasures; alone it allows no reading and no change",
    ),
    Right(GrantedOn.REQUESTS, "view_index_metadata", _DECIDING, "requests", "checks that the index exists"),
    Right(
        GrantedOn.REQUESTS,
        CHANGE_SETTINGS,
        _DECIDING | _ACTING,
        "a full disk and erasure",
        "removes the flood-stage block; changes merge settings, to erase",
    ),
    Right(GrantedOn.REQUESTS, "read", _DECIDING | _ACTING, "requests", "reads requests that are not carried out yet"),
    Right(
        GrantedOn.REQUESTS,
        "monitor",
        _ACTING,
        "requests",
        "reads the sequence number up to which all requests are visible, and shard copies",
    ),
    Right(GrantedOn.REQUESTS, "maintenance", _ACTING, "requests", "refreshes, and force merges to erase forgotten ids"),
    Right(GrantedOn.REQUESTS, "delete", _ACTING, "forgetting", "deletes the ids of erased subjects"),
    Right(GrantedOn.TERMINATIONS, "read", _LOOKING, "terminations", "reads the state of requests"),
    Right(GrantedOn.TERMINATIONS, "index", _ACTING, "terminations", "writes the state of requests"),
    Right(GrantedOn.TERMINATIONS, "view_index_metadata", _ACTING, "terminations", "checks that the index exists"),
    Right(GrantedOn.TERMINATIONS, "delete", _ACTING, "forgetting", "closes a completed erasure"),
    Right(GrantedOn.TERMINATIONS, "monitor", _ACTING, "forgetting", "reads shard copies, to prove that ids are erased"),
    Right(GrantedOn.TERMINATIONS, "maintenance", _ACTING, "forgetting", "force merges to erase forgotten ids"),
    Right(
        GrantedOn.TERMINATIONS,
        CHANGE_SETTINGS,
        _ACTING,
        "a full disk and erasure",
        "removes the flood-stage block; changes merge settings, to erase",
    ),
)
"""All privileges that anybody needs. Each was taken away alone, and what it is said to be for did not work then."""

_RESTRICTED: Mapping[GrantedOn, Mapping[str, bool]] = {GrantedOn.SEARCHES: {"allow_restricted_indices": True}}
"""What a grant on Elasticsearch's own indices says besides."""

_LOOKS = frozenset({"read", "view_index_metadata", "monitor", "maintenance", REFRESH})
_FAR_TOO_MANY = ("all",)
_CHANGES = ("index", "delete", "delete_index")
"""What would change or delete a record of the ledger."""


def rights_of(role: AccessRole) -> tuple[Right, ...]:
    """Return the privileges of a role."""
    return tuple(right for right in RIGHTS if role in right.roles)


def names_in(scope: GrantedOn, policy: Policy, own: OwnIndices = OWN) -> tuple[str, ...]:
    """Return the names and patterns on which the privileges of a scope are given; none for the cluster's own."""
    match scope:
        case GrantedOn.CLUSTER:
            return ()
        case GrantedOn.GOVERNED:
            return tuple(sorted({name for pattern in policy.patterns for name in _names_of(pattern.expression)}))
        case GrantedOn.EVERYTHING:
            return ("*",)
        case GrantedOn.SEARCHES:
            return (scope.value,)
    return {
        GrantedOn.LEDGER: (own.ledger, own.ledger_index),
        GrantedOn.CONTROL: (own.control,),
        GrantedOn.STATE: (own.state,),
        GrantedOn.REQUESTS: (own.requests,),
        GrantedOn.TERMINATIONS: (own.terminations,),
    }[scope]


def _names_of(expression: str) -> tuple[str, ...]:
    """Return under which names there can be indices of a policy's entry: a privilege on a stream ends where it does.

    An index that left its stream, and what a lifecycle makes from one, are governed under these.
    """
    behind = expression if expression.endswith("*") else f"{expression}-*"
    made = ("shrink-*-", "restored-", "partial-", "downsample-*-")
    return (expression, f".ds-{behind}", f".fs-{behind}", *(f"{before}{expression}" for before in made))


def descriptor(rights: Iterable[Right], policy: Policy, own: OwnIndices = OWN) -> dict[str, Any]:
    """Return the body of a role, or of an API key's role descriptor, with exactly these privileges."""
    by_scope: dict[GrantedOn, list[str]] = {}
    for right in rights:
        by_scope.setdefault(right.scope, []).append(right.privilege)
    return {
        "cluster": by_scope.pop(GrantedOn.CLUSTER, []),
        "indices": [
            {"names": list(names_in(scope, policy, own)), "privileges": privileges, **_RESTRICTED.get(scope, {})}
            for scope, privileges in by_scope.items()
        ],
    }


def role_name(role: AccessRole, own: OwnIndices = OWN) -> str:
    """Return the name of a role on the cluster, which is that of its API keys as well."""
    return f"{own.prefix}retention-{role}"


def question(rights: Sequence[Right], policy: Policy, own: OwnIndices = OWN) -> dict[str, Any]:
    """Return the body of `_security/user/_has_privileges` that asks for these privileges, and for far too many."""
    asked = descriptor(rights, policy, own)
    return {
        "cluster": [*asked["cluster"], *_FAR_TOO_MANY],
        "index": [*asked["indices"], {"names": [own.ledger_index], "privileges": list(_CHANGES)}],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A privilege that is needed and not there."""

    right: Right
    names: tuple[str, ...]
    """On which of the names it is missing; none for the cluster's own."""

    @property
    def blinds(self) -> bool:
        """Whether facts could be missing without a word: a wildcard passes over what may not be looked at."""
        return self.right.scope is GrantedOn.GOVERNED and self.right.privilege in _LOOKS


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedPrivileges:
    """What somebody may do, compared with what is needed."""

    user: str
    needed: int
    missing: tuple[Missing, ...]
    superuser: bool
    """Whether everything is allowed: far too much."""
    may_change_ledger: bool
    """Whether records of the ledger could be changed or deleted."""


def compared(rights: Sequence[Right], policy: Policy, own: OwnIndices, answer: Mapping[str, Any]) -> GrantedPrivileges:
    """Return what an answer of `_security/user/_has_privileges` says; what it does not mention is missing."""
    cluster, index = answer.get("cluster", {}), answer.get("index", {})
    missing = []
    for right in rights:
        names = names_in(right.scope, policy, own)
        lacking = tuple(name for name in names if index.get(name, {}).get(right.privilege) is not True)
        if lacking or (not names and cluster.get(right.privilege) is not True):
            missing.append(Missing(right=right, names=lacking))
    ledger = index.get(own.ledger_index, {})
    return GrantedPrivileges(
        user=str(answer.get("username", "")),
        needed=len(rights),
        missing=tuple(missing),
        superuser=any(cluster.get(privilege) is True for privilege in _FAR_TOO_MANY),
        may_change_ledger=any(ledger.get(privilege) is True for privilege in _CHANGES),
    )
