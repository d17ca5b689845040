"""The kinds of findings and of open items as a page, for whoever has to act on one."""

from __future__ import annotations

from retention_enforcer.domain.findings import FindingKind
from retention_enforcer.domain.terminations.states import OpenItemKind

_HEAD = """# Findings

<!-- Generated from the kinds in the code by `make reference`: edit those. -->

A finding tells a person that something is not as it should be. It is in the report, on the status page and in
`/api/status`. The metric `retention_findings` counts it under its kind. The ledger records when it opens and when it
closes. An error means: a promise is broken, or cannot be proven. A warning means: a promise will be broken unless
somebody acts. Each finding names its own remedy. The last column gives a general remedy, if there is one.

| kind | severity | what is wrong | what helps |
|---|---|---|---|
"""

_HELPS = {
    FindingKind.OVERDUE: "check the other findings about the index and its line in `retention-enforcer plan`",
    FindingKind.NEVER_STORED: "stop what writes them, then run `retention-enforcer erase`",
    FindingKind.FORBIDDEN_FIELD: "stop what writes it, run `retention-enforcer erase`, and reindex without the field",
    FindingKind.UNDATED: "correct the timestamp at the producer, and delete or reindex these documents",
    FindingKind.TIMESTAMP_ABSENT: "name the right field in the policy, or have the producer write it",
    FindingKind.TIMESTAMP_TYPE: "set its unit in the policy, or map it as date and reindex",
    FindingKind.CLOSED: "open the index, or delete it",
    FindingKind.UNASSIGNED: "assign its shards",
    FindingKind.PARTIAL_ANSWER: "check the cluster's health and the enforcer's privileges",
    FindingKind.INVISIBLE_DOCUMENTS: "give the enforcer's role access without field and document level security",
    FindingKind.CLAIMED_TWICE: "change the patterns so that each index belongs to one category only",
    FindingKind.HELD: "run `retention-enforcer hold remove` when the hold is no longer needed",
    FindingKind.FOREIGN_LIFECYCLE: "detach that lifecycle, or set `foreign_lifecycle: adopt` for the category",
    FindingKind.BLOCKED: "remove the block",
    FindingKind.UNSAFE_PLAN: "check `retention-enforcer plan`; if it is right, run `retention-enforcer plan approve`",
    FindingKind.DELETED_BY_OTHERS: "find out from the cluster's audit log who deleted it",
    FindingKind.LIFECYCLES_STOPPED: "start ILM (`POST _ilm/start`)",
    FindingKind.LIFECYCLE_ACTS: "run `retention-enforcer stop` to detach lifecycles from every governed index",
    FindingKind.UNCLAIMED: "add them to a category, or list them under `ignore`",
    FindingKind.SUSPECTED_COPY: "delete them, add them to a category, or list them under `ignore` if they "
    "contain something else",
    FindingKind.MATCHES_NOTHING: "correct `indices` of the category, or remove it",
    FindingKind.SNAPSHOT_EXPIRED: "delete the snapshots, or shorten `expire_after` of their snapshot policy",
    FindingKind.HOLD_ENDS: "none needed; to keep the data, run `retention-enforcer hold add` with a later end",
    FindingKind.TERMINATION_WAITING: "check them, then run `retention-enforcer terminations approve`",
    FindingKind.TERMINATION_LATE: "fix the causes, which its open items name",
}

_ITEMS = """
## Open items

A termination and its certificate name each thing that contains data of the subject, or may contain it, and when that
ends, if it ends without action. The certificate is not final while an item is open. While an item of the first two
kinds is open, not even the purge is proven.

| kind | why |
|---|---|
"""


def findings_page() -> str:
    """Return the kinds of findings and of open items as Markdown."""
    kinds = (f"| `{k}` | {k.severity} | {k.meaning} | {_HELPS.get(k, '')} |\n" for k in FindingKind)
    items = (f"| `{k}` | {k.meaning} |\n" for k in OpenItemKind)
    return "".join([_HEAD, *kinds, _ITEMS, *items])
