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
        "which cluster it is, its clock, and each index's uuid, blocks and shards; how far a force merge is",
    ),
    Right(
        GrantedOn.CLUSTER, "monitor_snapshot", _LOOKING, "snapshots past a limit", "repositories and their snapshots"
    ),
    Right(
        GrantedOn.CLUSTER,
        "read_slm",
        _LOOKING,
        "snapshot policies past a limit",
        "how long snapshots are kept; whether the cluster deletes by lifecycles of its own",
    ),
    Right(
        GrantedOn.CLUSTER,
        DANGLING,
        _LOOKING,
        "deleted indices that a node brings back",
        "which indices are on disks and in no list; whether a certificate may be final",
    ),
    Right(GrantedOn.CLUSTER, "manage_ilm", _ACTING, "lifecycles", "reads and puts the compiled lifecycle policies"),
    Right(GrantedOn.GOVERNED, "read", _LOOKING, "plan and proof", "counts documents, and finds the oldest"),
    Right(
        GrantedOn.GOVERNED,
        "view_index_metadata",
        _LOOKING,
        "plan and proof",
        "streams, aliases, types of fields, and how far a lifecycle is",
    ),
    Right(
        GrantedOn.GOVERNED,
        "monitor",
        _LOOKING,
        "plan and proof",
        "sequence numbers, by which an index is known again before it is deleted; segments and copies of shards",
    ),
    Right(
        GrantedOn.GOVERNED, REFRESH, _PEOPLE, "plan and proof", "makes what was written visible before it is counted"
    ),
    Right(
        GrantedOn.GOVERNED,
        "maintenance",
        _ACTING,
        "proof and erasure",
        "refreshes before it counts; flushes, and merges deleted documents away",
    ),
    Right(GrantedOn.GOVERNED, "delete", _ACTING, "deletion of documents", "trims, terminations and requests"),
    Right(GrantedOn.GOVERNED, "delete_index", _ACTING, "deletion of indices", "indices that may go whole"),
    Right(
        GrantedOn.GOVERNED,
        ROLLOVER,
        _ACTING,
        "deletion of indices",
        "a write index is rolled over in time, and before it goes",
    ),
    Right(
        GrantedOn.GOVERNED,
        BLOCK,
        _ACTING,
        "deletion of indices",
        "stops writes before the last look, so that none is lost",
    ),
    Right(
        GrantedOn.GOVERNED,
        CHANGE_SETTINGS,
        frozenset({AccessRole.OPERATOR, AccessRole.ENFORCER}),
        "erasure and lifecycles",
        "lifts a write block to erase and puts it back, lets merges erase; attaches a lifecycle, puts it back, or "
        "keeps that of a stream from an index",
    ),
    Right(
        GrantedOn.GOVERNED,
        "manage_ilm",
        frozenset({AccessRole.OPERATOR, AccessRole.ENFORCER}),
        "holds against lifecycles",
        "detaches the lifecycle of what is held or stopped",
    ),
    Right(
        GrantedOn.GOVERNED,
        CHANGE_STREAM_LIFECYCLE,
        frozenset({AccessRole.OPERATOR, AccessRole.ENFORCER}),
        "lifecycles of streams",
        "switches the lifecycle of a stream off for `stop`, and on again; gives an adopted one its retention (8.11 and "
        "newer)",
    ),
    Right(
        GrantedOn.EVERYTHING,
        "read",
        _LOOKING,
        "the look past the policy",
        "what an index that seems to be a copy holds",
    ),
    Right(
        GrantedOn.EVERYTHING,
        "view_index_metadata",
        _LOOKING,
        "the look past the policy",
        "streams, and types of fields, by which a copy is known",
    ),
    Right(
        GrantedOn.EVERYTHING,
        REFRESH,
        _LOOKING,
        "certificates",
        "makes visible what was just written to an index outside the policy that has a subject's field",
    ),
    Right(
        GrantedOn.SEARCHES,
        "read",
        _LOOKING,
        "certificates",
        "which stored async searches there are, and until when: their results may hold what was deleted since",
    ),
    Right(GrantedOn.LEDGER, "read", _LOOKING, "ledger", "the chain, and its head before a record is appended"),
    Right(GrantedOn.LEDGER, "view_index_metadata", _PEOPLE, "ledger", "the uuid, by which it is known again"),
    Right(GrantedOn.LEDGER, REFRESH, _LOOKING, "ledger", "makes the last record visible"),
    Right(
        GrantedOn.LEDGER,
        "monitor",
        _ACTING,
        "ledger",
        "the uuid, by which it is known again; whether a record whose answer was lost is on every copy",
    ),
    Right(GrantedOn.LEDGER, "create_doc", _ACTING, "ledger", "appends records; no role can change or delete one"),
    Right(
        GrantedOn.LEDGER, CHANGE_SETTINGS, _ACTING, "a full disk", "lifts the flood stage's block, to go on recording"
    ),
    Right(GrantedOn.CONTROL, "read", _LOOKING, "the operator's word", "acceptance, approvals, holds, stop"),
    Right(GrantedOn.CONTROL, "monitor", _ACTING, "the operator's word", "how far it goes: an older one is not obeyed"),
    Right(GrantedOn.CONTROL, REFRESH, _ACTING, "the operator's word", "makes visible what was just said"),
    Right(GrantedOn.CONTROL, "index", _DECIDING, "the operator's word", "accepts, approves, holds and stops"),
    Right(GrantedOn.CONTROL, "delete", _DECIDING, "the operator's word", "resumes, and removes holds"),
    Right(GrantedOn.CONTROL, "view_index_metadata", _DECIDING, "the operator's word", "whether the index is there"),
    Right(
        GrantedOn.CONTROL, CHANGE_SETTINGS, _DECIDING, "a full disk", "lifts the flood stage's block, to stop even then"
    ),
    Right(GrantedOn.STATE, "read", _LOOKING, "memory", "lease, evidence, findings, the head of the ledger"),
    Right(GrantedOn.STATE, "monitor", _ACTING, "memory", "how far it goes: an older one is not gone on from"),
    Right(GrantedOn.STATE, REFRESH, _ACTING, "memory", "as above"),
    Right(GrantedOn.STATE, "index", _ACTING, "memory", "lease, evidence, findings, the head of the ledger"),
    Right(GrantedOn.STATE, "view_index_metadata", _ACTING, "memory", "whether the index is there"),
    Right(GrantedOn.STATE, CHANGE_SETTINGS, _ACTING, "a full disk", "lifts the flood stage's block, to keep the lease"),
    Right(
        GrantedOn.REQUESTS,
        "create_doc",
        frozenset({AccessRole.REGISTRAR, AccessRole.OPERATOR}),
        "requests",
        "asks for terminations, reinstatements and erasures; whoever may only do this reads and changes nothing",
    ),
    Right(GrantedOn.REQUESTS, "view_index_metadata", _DECIDING, "requests", "whether the index is there"),
    Right(GrantedOn.REQUESTS, CHANGE_SETTINGS, _DECIDING | _ACTING, "a full disk and erasure", "as above"),
    Right(GrantedOn.REQUESTS, "read", _DECIDING | _ACTING, "requests", "what is asked for, and not carried out yet"),
    Right(GrantedOn.REQUESTS, "monitor", _ACTING, "requests", "up to where all requests are visible; copies of shards"),
    Right(GrantedOn.REQUESTS, "maintenance", _ACTING, "requests", "refreshes; merges forgotten ids away"),
    Right(GrantedOn.REQUESTS, "delete", _ACTING, "forgetting", "forgets the ids of what is erased"),
    Right(GrantedOn.TERMINATIONS, "read", _LOOKING, "terminations", "what became of the requests"),
    Right(GrantedOn.TERMINATIONS, "index", _ACTING, "terminations", "what became of the requests"),
    Right(GrantedOn.TERMINATIONS, "view_index_metadata", _ACTING, "terminations", "whether the index is there"),
    Right(GrantedOn.TERMINATIONS, "delete", _ACTING, "forgetting", "closes an erasure that has ended"),
    Right(
        GrantedOn.TERMINATIONS, "monitor", _ACTING, "forgetting", "copies of shards, for the proof that ids are erased"
    ),
    Right(GrantedOn.TERMINATIONS, "maintenance", _ACTING, "forgetting", "merges forgotten ids away"),
    Right(GrantedOn.TERMINATIONS, CHANGE_SETTINGS, _ACTING, "a full disk and erasure", "as above"),
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
