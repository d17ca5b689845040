"""Ids that are stored as numbers, in a spelling that is not the one that is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from customers import FIELDS, index, of
from workbench import Workbench

LONG = {"properties": {**FIELDS, "sdkappid": {"type": "long"}}}
HOLD = ("--owner", "me", "--reason", "court", "--until", "2099-01-01")


def certificate(bench: Workbench, application: str) -> dict[str, Any]:
    ran = bench.run("certificate", "--application", application, "--output", "json")
    assert ran.code == 3, "it is not final"
    return dict(ran.json[0])


def test_an_id_that_a_field_of_numbers_has_in_another_spelling_is_said_with_that_spelling(tenants: Workbench) -> None:
    index(tenants, "logs-b", {"sdkappid": "0042"}, mappings=LONG)

    asked = tenants.run("erase", "--application", "0042")
    assert "logs: an unknown number of documents now" in asked.out
    assert "stores 0042 as 42: request that spelling as well" in asked.err
    assert tenants.run("run", "--once").code == 0
    assert any("without sign, leading zeros" in i["text"] for i in certificate(tenants, "0042")["open_items"])

    assert "at least" not in tenants.run("erase", "--application", "42").out
    assert tenants.run("run", "--once").code == 0
    assert of(tenants, "logs-b") == []


def test_a_number_that_a_keyword_has_with_an_exponent_is_said_with_its_spellings(tenants: Workbench) -> None:
    documents = ({"sdkappid": value, "user_id": "u"} for value in (1.4e9, "1.4e9", "1400000000"))
    index(tenants, "logs-b", *documents)

    asked = tenants.run("erase", "--application", "1400000000")
    assert "logs: at least 1 document now" in asked.out
    assert "1400000000.0, 1.4e9" in asked.err
    assert tenants.run("run", "--once").code == 0
    assert len(of(tenants, "logs-b")) == 2
    texts = [item["text"] for item in certificate(tenants, "1400000000")["open_items"]]
    (text,) = [text for text in texts if "logs-b" in text and "segment files" not in text]
    assert "2 documents with this id as a number in another spelling" in text
    assert "1400000000" not in text

    for spelling in ("1.4e9", "1400000000.0"):
        assert tenants.run("erase", "--application", spelling).code == 0
    assert tenants.run("run", "--once").code == 0
    assert of(tenants, "logs-b") == []


@pytest.mark.parametrize("user", [(), ("--user", "7")])
def test_a_hold_spares_a_number_in_any_of_its_spellings(tenants: Workbench, user: tuple[str, ...]) -> None:
    index(tenants, "logs-b", {"sdkappid": "1.4e9", "user_id": "7.0"}, {"sdkappid": "1.4e9", "user_id": "8"})
    assert tenants.run("hold", "add", "--application", "1400000000", *user, *HOLD).code == 0
    assert tenants.run("erase", "--application", "1.4e9").code == 0
    assert tenants.run("run", "--once").code == 0
    assert of(tenants, "logs-b", "user_id") == (["7.0"] if user else ["7.0", "8"])


def test_a_copy_outside_the_policy_is_found_in_any_spelling(tenants: Workbench) -> None:
    index(tenants, "copy", {"sdkappid": 1.4e9})
    assert tenants.run("erase", "--application", "1400000000").code == 0
    assert tenants.run("run", "--once").code == 0
    texts = [item["text"] for item in certificate(tenants, "1400000000")["open_items"]]
    assert f"{tenants.prefix}copy, outside the policy, has 1 document of the subject" in texts
