"""The kinds of findings and of open items as a page, for whoever has to act on one."""

from __future__ import annotations

from retention_enforcer.domain.findings import FindingKind
from retention_enforcer.domain.terminations.states import OpenItemKind

_HEAD = """# Findings

<!-- Generated from the kinds in the code by `make reference`: edit those. -->

A finding tells a person that something is not as it should be. It is in the report, on the status page and in
`/api/status`. The metric `retention_findings` counts it under its kind. The ledger records when it opens and when it
closes. An error means: a promise is broken, or cannot be proven. A warning means: a promise will be broken unless
somebody acts. Each finding names its own remedy. The last column says what helps in general, if there is such a thing.

| kind | severity | what is wrong | what helps |
|---|---|---|---|
"""

_HELPS = {
    FindingKind.OVERDUE: "the other findings about the index, and its line in `retention-enforcer plan`, say why",
    FindingKind.NEVER_STORED: "stop what writes them, then `retention-enforcer erase`",
    FindingKind.FORBIDDEN_FIELD: "stop what writes it, `retention-enforcer erase`, and re-index without the field",
    FindingKind.UNDATED: "correct the timestamp at its producer; delete or re-index these documents",
    FindingKind.TIMESTAMP_ABSENT: "name the right field in the policy, or have it written",
    FindingKind.TIMESTAMP_TYPE: "say its unit in the policy, or map it as date and re-index",
    FindingKind.CLOSED: "open the index, or delete it",
    FindingKind.UNASSIGNED: "bring its shards back",
    FindingKind.PARTIAL_ANSWER: "look at the cluster's health, and at the enforcer's privileges",
    FindingKind.INVISIBLE_DOCUMENTS: "give the enforcer's role access without field and document level security",
    FindingKind.CLAIMED_TWICE: "make the patterns of the categories disjoint",
    FindingKind.HELD: "`retention-enforcer hold remove` when it is no longer needed",
    FindingKind.FOREIGN_LIFECYCLE: "detach that lifecycle, or set `foreign_lifecycle: adopt` in the category",
    FindingKind.BLOCKED: "remove the block",
    FindingKind.UNSAFE_PLAN: "look at `retention-enforcer plan`; if it is meant, `retention-enforcer plan approve`",
    FindingKind.DELETED_BY_OTHERS: "the cluster's audit log says who deleted it",
    FindingKind.LIFECYCLES_STOPPED: "`POST _ilm/start`",
    FindingKind.LIFECYCLE_ACTS: "`retention-enforcer stop` takes lifecycles from every governed index",
    FindingKind.UNCLAIMED: "add them to a category, or under `ignore`",
    FindingKind.SUSPECTED_COPY: "delete them, or have a category claim them; under `ignore` if they are something else",
    FindingKind.MATCHES_NOTHING: "correct `indices` of the category, or remove it",
    FindingKind.SNAPSHOT_EXPIRED: "delete the snapshots; shorten `expire_after` of what takes them",
    FindingKind.HOLD_ENDS: "nothing, or `retention-enforcer hold add` with a later end",
    FindingKind.TERMINATION_WAITING: "`retention-enforcer terminations approve` once they have been looked at",
    FindingKind.TERMINATION_LATE: "remedy what stands in the way: its open items say it",
}

_ITEMS = """
## Open items

A termination and its certificate name each thing that still holds data of the subject, or may hold it, and when that
ends if it ends without action. The certificate is not final while one is open. While one of the first two kinds is
open, not even the purge is proven.

| kind | why |
|---|---|
"""


def findings_page() -> str:
    """Return the kinds of findings and of open items as Markdown."""
    kinds = (f"| `{k}` | {k.severity} | {k.meaning} | {_HELPS.get(k, '')} |\n" for k in FindingKind)
    items = (f"| `{k}` | {k.meaning} |\n" for k in OpenItemKind)
    return "".join([_HEAD, *kinds, _ITEMS, *items])
