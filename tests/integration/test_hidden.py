"""What the cluster's security hides from the enforcer: it looks like what is not there, and is not taken for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from elasticsearch import ApiError

from customers import index, now
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.privileges import AccessRole, descriptor, rights_of
from retention_enforcer.policy_file import load_policy
from workbench import Workbench

NESTED = {
    "properties": {
        "@timestamp": {"type": "date"},
        "sdkappid": {"type": "keyword"},
        "user_id": {"type": "keyword"},
        "parts": {"type": "nested"},
    }
}


def seen_through(bench: Workbench, **hiding: Any) -> dict[str, str]:
    """Return the environment with an API key from which something of governed indices is hidden; skip without keys."""
    body = descriptor(rights_of(AccessRole.ENFORCER), load_policy(bench.policy_path), bench.own)
    logs = bench.prefix + "logs-*"
    # One entry that hides nothing would outweigh the others.
    body["indices"] = [{**entry, **hiding} if {logs, "*"} & set(entry["names"]) else entry for entry in body["indices"]]
    body["cluster"] = ["all"]
    try:
        return bench.environ_with(body)
    except ApiError as error:
        pytest.skip(f"this server has no API keys: {error.message}")


@pytest.mark.parametrize(
    ("hiding", "what"),
    [
        ({"field_security": {"grant": ["*"], "except": ["sdkappid"]}}, "fields"),
        ({"field_security": {"grant": ["*"], "except": ["@timestamp"]}}, "fields"),
        ({"query": {"term": {"sdkappid": "32"}}}, "documents"),
    ],
    ids=["the subject", "the timestamp", "documents"],
)
def test_an_index_of_which_security_hides_something_is_in_doubt(
    tenants: Workbench, hiding: dict[str, Any], what: str
) -> None:
    document = {"sdkappid": "31", "user_id": "u", "@timestamp": now() - 20 * DAY, "parts": [{"a": 1}, {"a": 2}]}
    index(tenants, "logs-b", document, mappings=NESTED)
    environ = seen_through(tenants, **hiding)

    found = json.loads(tenants.run("report", "--output", "json", environ=environ).out)
    (row,) = [category for category in found["categories"] if category["id"] == "logs"]
    assert not row["kept"]
    texts = [f["text"] for f in found["findings"] if f["id"] in row["findings"]]
    assert f"security hides {what} of {tenants.prefix}logs-b from the enforcer" in texts

    assert tenants.run("erase", "--application", "31").code == 0
    assert tenants.run("run", "--once", environ=environ).code == 3
    assert tenants.count("logs-b") == 1
    certificate = tenants.run("certificate", "--application", "31", "--output", "json", environ=environ)
    assert certificate.code == 3, "it is not final"
    assert any(f"security hides {what} of" in item["text"] for item in certificate.json[0]["open_items"])


def test_nothing_is_in_doubt_where_nothing_is_hidden(tenants: Workbench) -> None:
    environ = seen_through(tenants, field_security={"grant": ["*"]})
    index(tenants, "logs-b", {"sdkappid": "31"}, mappings=NESTED)
    found = json.loads(tenants.run("report", "--output", "json", environ=environ).out)
    assert [c["kept"] for c in found["categories"] if c["id"] == "logs"] == [True]
