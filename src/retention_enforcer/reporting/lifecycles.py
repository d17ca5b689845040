"""The lifecycle policies that promises compile to, with their arithmetic: as JSON, and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from retention_enforcer.domain.instants import SECOND, describe_duration
from retention_enforcer.domain.lifecycles.compiler import LifecyclePolicy, Lifecycles, Unmeetable, Variant
from retention_enforcer.domain.lifecycles.streams import StreamRetention

Compiled = Mapping[str, Lifecycles | Unmeetable]
"""By category, its policies, or why there are none."""

Retentions = Mapping[str, StreamRetention | Unmeetable]
"""By category that adopts streams, the retention by which their own lifecycle keeps the promise, or why none does."""

_COUNTED = {
    Variant.ROLLED: "data streams and aliases that roll over",
    Variant.ROLLING: "write indices that may only be rolled over, not deleted as a whole",
    Variant.PLAIN: "other indices that may be deleted as a whole",
    Variant.ENDED: "indices of a terminated tenant",
}


def lifecycles_document(compiled: Compiled, retentions: Retentions, poll: int) -> dict[str, Any]:
    """Return what `policy show --lifecycles --output json` prints. The poll in seconds."""
    return {
        "poll": poll / SECOND if poll % SECOND else poll // SECOND,
        "categories": [
            {
                "id": id_,
                "lifecycles": [_document(policy) for policy in found.policies] if isinstance(found, Lifecycles) else [],
                "unmeetable": found.arithmetic if isinstance(found, Unmeetable) else None,
                "stream": _stream_document(retentions.get(id_)),
            }
            for id_, found in compiled.items()
        ],
    }


def _stream_document(found: StreamRetention | Unmeetable | None) -> dict[str, Any] | None:
    if found is None:
        return None
    retention = found.text if isinstance(found, StreamRetention) else None
    return {"data_retention": retention, "arithmetic": found.arithmetic}


def _document(policy: LifecyclePolicy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "for": _COUNTED[policy.variant],
        "arithmetic": policy.arithmetic,
        "policy": policy.body["policy"],
    }


def lifecycles_table(compiled: Compiled, retentions: Retentions) -> Table:
    """Return the lifecycle policies of each category, and the retention of its streams, or why there are none."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name in ("category", "lifecycle and its arithmetic", "deleted after"):
        table.add_column(name, overflow="fold")
    for id_, found in compiled.items():
        if isinstance(found, Unmeetable):
            text = Text.assemble(
                ("no lifecycle can keep the promise", "bold red"), f"\n{found.arithmetic}\n{found.remedy}"
            )
            table.add_row(Text(id_), text, "")
        elif not found.policies:
            table.add_row(Text(id_), "none: no index is deleted as a whole by age", "")
        else:
            for number, policy in enumerate(found.policies):
                table.add_row(Text(id_ if number == 0 else ""), _described(policy), _deleted_after(policy))
        if (stream := retentions.get(id_)) is not None:
            table.add_row(Text(""), *_of_streams(stream))
    return table


def _of_streams(found: StreamRetention | Unmeetable) -> tuple[Text, str]:
    what = "data streams whose own lifecycle manages their next index"
    if isinstance(found, Unmeetable):
        return Text.assemble(("no data_retention", "bold red"), f"\n{what}\n{found.arithmetic}\n{found.remedy}"), ""
    text = Text.assemble((f"data_retention {found.text}", "bold"), f"\n{what}\n{found.arithmetic}")
    return text, describe_duration(found.retention)


def _deleted_after(policy: LifecyclePolicy) -> str:
    if policy.min_age is None:
        return "never"
    return describe_duration(policy.min_age) if policy.min_age else "at once"


def _described(policy: LifecyclePolicy) -> Text:
    return Text.assemble((policy.name, "bold"), f"\n{_COUNTED[policy.variant]}\n{policy.arithmetic}")
