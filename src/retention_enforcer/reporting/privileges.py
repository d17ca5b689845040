"""The table of privileges as a page, and the roles as files, for people who give them by hand."""

from __future__ import annotations

import json
from typing import Any

from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.privileges import AccessRole, Right, descriptor, rights_of, role_name

_GENERATED = "Generated from the table in the code by `make reference`: edit that."

_HEAD = f"""# Privileges

<!-- {_GENERATED} -->

Four roles, each with what it needs and no more. `retention-enforcer setup` makes them (again after the policy's
indices have changed), `setup --key ROLE` makes an API key with one, `setup --print` shows the requests, and
[deploy/roles](../deploy/roles) has them as files, for the policy in config/trtc.yaml. `check`, and every start of
`run`, asks the cluster for each and names what is missing.

| role | who has it |
|---|---|
| `retention-reader` | who looks: `plan`, `report`, `check`, `ledger show`, `terminations`; `run` in plan mode |
| `retention-registrar` | a program that writes requests into `retention-requests`, and does nothing else |
| `retention-operator` | who decides: `accept`, `approve`, `hold`, `stop`, `resume`, `terminate`, `erase`; and looks |
| `retention-enforcer` | the daemon: `run`. It cannot accept, approve or release anything for itself |

No role can change or delete a record of the ledger; `setup` and `ledger adopt` are for an administrator. A privilege
of the form `indices:...` is the name of one action, where the named privilege (`manage`) would allow far more.
"""

_TAIL = """## What to know of them

- Whoever may create documents in an index may also add fields to its mapping (`create_doc`, `index`): so it is in
  Elasticsearch. Fields and documents that are there stay as they are.
- To read all indices is to read `retention-requests` as well, and so the raw ids of those who are to be forgotten.
  Without the privileges on all indices the policy is kept all the same; the look past it finds what it may not read.
- An API key can do no more than who made it: make keys as a user who has all of the privileges. A key's privileges
  are a copy of the role's; `setup` brings the keys up to date that the same user made with it.
- Where streams have a failure store that is guarded apart (8.19, 9.1 and newer), its indices want the privileges
  `read_failure_store` and `manage_failure_store` besides, which older versions do not know: give them by hand.
- A request may be a reinstatement, too: who may ask may also ask for that. Every request is recorded.
"""


def privileges_page() -> str:
    """Return the table of privileges as Markdown."""
    return "\n".join([_HEAD, *(_section(role) for role in AccessRole), _TAIL])


def _section(role: AccessRole) -> str:
    head = [f"## {role_name(role)}\n", "| on | privilege | what needs it | why |", "|---|---|---|---|"]
    return "\n".join([*head, *(_row(right) for right in rights_of(role)), ""])


def _row(right: Right) -> str:
    return f"| {right.scope} | `{right.privilege}` | {right.feature} | {right.why} |"


def role_files(policy: Policy) -> dict[str, str]:
    """Return the roles for a policy as files: by name, the body of each `PUT _security/role`, and a roles.yml."""
    bodies = {role_name(role): descriptor(rights_of(role), policy) for role in AccessRole}
    files = {f"{name}.json": json.dumps(body, indent=2) + "\n" for name, body in bodies.items()}
    lines = (f"{name}:\n{_yaml(body)}" for name, body in bodies.items())
    return {**files, "roles.yml": f"# {_GENERATED}\n" + "".join(lines)}


def _yaml(body: dict[str, Any]) -> str:
    """Return a role as it stands in roles.yml: JSON is YAML, here with an entry a line."""
    entries = [f"    - {json.dumps(entry)}\n" for entry in body["indices"]]
    return f"  cluster: {json.dumps(body['cluster'])}\n  indices:\n" + "".join(entries)
