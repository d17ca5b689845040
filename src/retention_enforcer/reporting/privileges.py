"""The table of privileges as a page, and the roles as files, for people who give them by hand."""

from __future__ import annotations

import json
from typing import Any

from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.privileges import AccessRole, Right, descriptor, rights_of, role_name

_GENERATED = "Generated from the table in the code by `make reference`: edit that."

_HEAD = f"""# Privileges

<!-- {_GENERATED} -->

There are four roles, each with what it needs and no more. `retention-enforcer setup` creates them; repeat it after the
policy's indices have changed. `setup --key ROLE` creates an API key with a role. `setup --print` prints the requests.
[deploy/roles](../deploy/roles) has the roles as files, for the policy in config/trtc.yaml. `check` and every start of
`run` ask the cluster for each privilege and name those that are missing.

| role | for |
|---|---|
| `retention-reader` | people who look: `plan`, `report`, `check`, `ledger show`, `terminations`; `run` in plan mode |
| `retention-registrar` | a program that writes requests into `retention-requests`, and does nothing else |
| `retention-operator` | operators: `accept`, `approve`, `hold`, `stop`, `resume`, `terminate`, `erase`, and looking |
| `retention-enforcer` | the daemon: `run`. It cannot accept, approve or release anything for itself |

No role can change or delete a record of the ledger. `setup` and `ledger adopt` need an administrator. A privilege
`indices:...` is the name of one action; it is used where the named privilege (`manage`) would allow far more.
"""

_TAIL = """## What to know about them

- In Elasticsearch, anyone who may create documents in an index (`create_doc`, `index`) may also add fields to its
  mapping. Existing fields and documents stay as they are.
- A role that reads all indices also reads `retention-requests`, and so the raw ids of those who are to be forgotten.
  Without the privileges on all indices the policy is still kept; the search for copies reports what it is not allowed
  to read.
- An API key can do no more than the user who created it: create keys as a user who has all of the privileges. The
  privileges of a key are a copy of those of the role; `setup` updates the keys that the same user created with it.
- If the failure store of a data stream is protected separately (8.19, 9.1 and newer), its indices also need the
  privileges `read_failure_store` and `manage_failure_store`, which older versions do not have: grant them manually.
- A request can also be a reinstatement: anyone who may write requests may also request that. Every request is recorded.
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
