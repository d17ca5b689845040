"""Pseudonyms: the same for the same subject and key, and nothing without the key."""

from __future__ import annotations

import hashlib
import hmac
import re

import pytest

from builders import category
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor

KEY = b"k" * 32
NAMES = Pseudonyms(KEY)
APPLICATIONS = category("application-logs", indices=["other-*", "app-{application}-logs", "app-{application}-*"])


def test_a_pseudonym_is_a_keyed_hash_that_names_its_key() -> None:
    digest = hmac.new(KEY, b"1400000001", hashlib.sha256).hexdigest()
    assert NAMES.of("1400000001") == f"hmac-sha256:{hashlib.sha256(KEY).hexdigest()[:8]}:{digest}"


def test_the_same_subject_has_the_same_pseudonym() -> None:
    assert NAMES.of("ä") == Pseudonyms(KEY).of("ä")


def test_another_subject_or_another_key_gives_another_one() -> None:
    assert len({NAMES.of("1"), NAMES.of("2"), NAMES.of("01"), Pseudonyms(b"K" * 32).of("1")}) == 4


def test_the_key_is_never_shown() -> None:
    assert repr(NAMES) == "Pseudonyms(...)"
    assert KEY.decode() not in f"{NAMES!r} {NAMES} {NAMES.of('1')}"


def test_without_a_key_nobody_is_named() -> None:
    assert Pseudonyms(None).of("1400000001") == "unnamed"
    assert Redactor(Pseudonyms(None), APPLICATIONS.indices).index_name("app-1400000001-logs") == "app-unnamed-logs"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app-14-logs", f"app-{NAMES.of('14')}-logs"),
        ("app-14-2026.01.31", f"app-{NAMES.of('14')}-2026.01.31"),
        ("app-app-logs", f"app-{NAMES.of('app')}-logs"),
        (".ds-app-14-logs-2026.01.31-000001", f".ds-app-{NAMES.of('14')}-logs-2026.01.31-000001"),
        ("shrink-ab_1-app-14-logs", f"shrink-ab_1-app-{NAMES.of('14')}-logs"),
        (
            "partial-.ds-app-14-logs-2026.01.31-000001",
            f"partial-.ds-app-{NAMES.of('14')}-logs-2026.01.31-000001",
        ),
        ("other-14-logs", "other-14-logs"),
        ("unclaimed-14", "unclaimed-14"),
    ],
)
def test_only_the_application_in_the_name_of_an_index_is_replaced(name: str, expected: str) -> None:
    assert Redactor(NAMES, APPLICATIONS.indices).index_name(name) == expected
    assert Redactor(NAMES, APPLICATIONS.indices).index_name(expected) == expected, "what was replaced stays as it is"
    told = f"{expected}, 3 documents: by hmac"
    assert Redactor(NAMES, APPLICATIONS.indices).text(told, expected) == told


def test_a_category_without_applications_keeps_its_names() -> None:
    assert Redactor(NAMES, category().indices).index_name("logs-2026.01.31") == "logs-2026.01.31"


def test_in_a_text_the_application_is_replaced_wherever_it_stands_for_itself() -> None:
    text = "app-77-logs: the last index of the alias read-77; 177 documents, no such index [app-77-logs]"
    hidden = NAMES.of("77")
    assert Redactor(NAMES, APPLICATIONS.indices).text(text, "app-77-logs") == (
        f"app-{hidden}-logs: the last index of the alias read-{hidden}; "
        f"177 documents, no such index [app-{hidden}-logs]"
    )


# --- texts about any indices --------------------------------------------------------------------------

TENANTS = category("tenants", indices=["logs-*", "tenant-{application}-logs-*", "*keys-{application}-*"])
EVERYWHERE: list[tuple[str, str]] = [
    ("tenant-14-logs-a", "tenant-{14}-logs-a"),
    ("copy-of-tenant-14-logs-a", "copy-of-tenant-{14}-logs-a"),
    ("tenant-14-logs-a-restored and tenant-15-logs-b", "tenant-{14}-logs-a-restored and tenant-{15}-logs-b"),
    (".ds-tenant-14-logs-a-2026.01.31-000001", ".ds-tenant-{14}-logs-a-2026.01.31-000001"),
    ("keys-14-a, my-keys-15-b", "keys-{14}-a, my-keys-{15}-b"),
    ("tenant-14-keys-15-a", "tenant-14-keys-{15}-a"),
    ("logs-14, tenant-14, 14 documents", "logs-14, tenant-14, 14 documents"),
    ("", ""),
]


def expected(text: str) -> str:
    return re.sub(r"\{(.+?)\}", lambda found: NAMES.of(found[1]), text)


@pytest.mark.parametrize(("text", "hidden"), EVERYWHERE)
def test_in_any_text_the_application_is_replaced_in_what_looks_like_a_tenants_index(text: str, hidden: str) -> None:
    assert Redactor(NAMES, TENANTS.indices).text(text) == expected(hidden)


@pytest.mark.parametrize("text", [text for text, _ in EVERYWHERE])
def test_what_was_replaced_already_stays_as_it_is(text: str) -> None:
    once = Redactor(NAMES, TENANTS.indices).text(text)
    assert Redactor(NAMES, TENANTS.indices).text(once) == once


def test_a_name_that_was_replaced_alone_stays_as_it_is_in_a_text() -> None:
    name = Redactor(NAMES, TENANTS.indices).index_name("tenant-14-logs-a")
    assert Redactor(NAMES, TENANTS.indices).text(f"{name}, tenant-15-logs-a") == (
        f"{name}, tenant-{NAMES.of('15')}-logs-a"
    )


def test_in_a_text_without_a_key_nobody_is_named_either() -> None:
    hidden = Redactor(Pseudonyms(None), TENANTS.indices).text("copy-of-tenant-1400000001-logs-a")
    assert hidden == "copy-of-tenant-unnamed-logs-a"


def test_the_text_about_another_index_hides_the_names_of_tenants_indices_in_it() -> None:
    text = "app-14-logs is an alias of billing"
    assert (
        Redactor(NAMES, APPLICATIONS.indices).text(text, "billing")
        == f"app-{NAMES.of('14')}-logs is an alias of billing"
    )
