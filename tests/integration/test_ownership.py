"""Whose an application is, by the documents on a real server that name it: certain, reported or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from elastic_transport import Urllib3HttpNode
from elasticsearch import BadRequestError, Elasticsearch
from elasticsearch.helpers import bulk

from naming import named
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.ownership import PAGE, applications_of, owners_of
from retention_enforcer.domain.errors import ClusterUnavailable, ConfigurationError, Refused
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, format_instant
from retention_enforcer.domain.policy.names import IndexPattern
from retention_enforcer.domain.policy.places import SubjectPlaces
from retention_enforcer.domain.policy.promises import EARLIEST, Category, Clause, Policy
from retention_enforcer.domain.subjects.identity import Ownership
from retention_enforcer.domain.timestamps import Timestamp

if TYPE_CHECKING:
    from conftest import Server

NOW = SystemClock().now()
CLAUSE = Clause(document="a module", section="6", item="console", updated="2022-08-11")
FIELDS = named(account="uin", application="app")
KEYWORD = {"type": "keyword"}
LONG = {"type": "long"}
DATE = {"type": "date"}


@pytest.fixture
def policy(prefix: str) -> Policy:
    """One category that says who owns what, in any number of indices, and one that says nothing."""

    def category(id_: str, pattern: str, owns: SubjectPlaces) -> Category:
        indices = (IndexPattern(prefix + pattern),)
        return Category(id=id_, clause=CLAUSE, indices=indices, subjects=FIELDS, owns=owns, after_termination=7 * DAY)

    return Policy(name="trtc", categories=(category("console", "console*", FIELDS), category("keys", "keys*", named())))


class Console:
    """The indices of one test, and the questions about them."""

    def __init__(self, es: Elasticsearch, prefix: str, policy: Policy) -> None:
        self.es = es
        self.prefix = prefix
        self.policy = policy

    def index(self, name: str, *documents: Mapping[str, Any], shards: int = 1, **fields: Mapping[str, Any]) -> None:
        """Create an index of documents; its fields are keywords and a date unless told otherwise."""
        properties = {"@timestamp": DATE, "uin": KEYWORD, "app": KEYWORD, **fields}
        settings = {"number_of_shards": shards, "number_of_replicas": 0, "refresh_interval": -1}
        try:
            self.es.indices.create(
                index=self.prefix + name, settings=settings, mappings={"dynamic": False, "properties": properties}
            )
        except BadRequestError as error:
            if "declared on field" in (reason := error.body["error"]["root_cause"][0]["reason"]):
                pytest.skip(f"this server: {reason}")
            raise
        # Not refreshed: to see everything is not left to the caller.
        bulk(self.es, ({"_index": self.prefix + name, "_source": document} for document in documents))

    def owners(self, *accounts: str) -> Ownership:
        return owners_of(self.es, self.policy, accounts, NOW)

    def owned(self, account: str) -> set[str]:
        decided = self.owners(account)
        assert decided.undecided == {}
        return set(decided.applications[account])

    def named(self, account: str) -> set[str]:
        return set(applications_of(self.es, self.policy, [account], NOW)[account])


@pytest.fixture
def console(es: Elasticsearch, prefix: str, policy: Policy) -> Console:
    return Console(es, prefix, policy)


def says(account: Any, application: Any, age: int = DAY, **more: Any) -> dict[str, Any]:
    return {"uin": account, "app": application, "@timestamp": NOW - age, **more}


# --- who owns what --------------------------------------------------------------------------------------


def test_an_account_owns_what_the_newest_documents_name_with_it(console: Console) -> None:
    console.index(
        "console",
        says("100", "14", 9 * DAY),
        says("200", "14", 2 * DAY),
        says("100", "14", DAY),
        says("100", "15", 9 * DAY),
        says("200", "15", 2 * DAY),
        says("200", "16"),
        shards=3,
    )
    decided = console.owners("100", "200", "300")
    assert decided.applications == {"100": {"14"}, "200": {"15", "16"}, "300": frozenset()}
    assert decided.undecided == {}


def test_every_application_that_was_ever_named_with_an_account_is_known(console: Console) -> None:
    console.index(
        "console", says("100", "14", 9 * DAY), says("200", "14"), says("100", "15"), {"uin": "100", "app": "16"}
    )
    named = applications_of(console.es, console.policy, ["100", "200", "300"], NOW)
    assert named == {"100": {"14", "15", "16"}, "200": {"14"}, "300": frozenset()}


def test_the_newest_document_may_be_in_another_index(console: Console) -> None:
    console.index("console-1", says("100", "14", 9 * DAY), says("100", "15", DAY))
    console.index("console-2", says("200", "14", DAY), says("200", "15", 9 * DAY))
    assert console.owned("100") == {"15"}
    assert console.owned("200") == {"14"}


def test_it_may_be_in_an_index_of_another_mapping(console: Console) -> None:
    console.index("console-1", says("100", "14", 9 * DAY), says("100", "15", DAY), says("100", "old", DAY))
    console.index("console-2", says(200, 14, DAY), says(200, 15, 9 * DAY), uin=LONG, app=LONG)
    text = {"type": "text", "fields": {"keyword": KEYWORD}}
    console.index("console-3", says("300", "old", HOUR), says("300", "new", DAY), uin=text, app=text)
    assert console.owned("100") == {"15"}
    assert console.owned("200") == {"14"}
    assert console.owned("300") == {"old", "new"}
    assert console.named("100") == {"14", "15", "old"}


def timed(policy: Policy, timestamp: Timestamp | None) -> Policy:
    first, *others = policy.categories
    return replace(policy, categories=(replace(first, timestamp=timestamp), *others))


def test_the_newest_may_be_told_by_a_number_or_by_digits(console: Console, policy: Policy) -> None:
    def day(days: int) -> str:
        return format_instant(NOW - days * DAY)[:10].replace("-", "")

    both = {"at": LONG, "day": KEYWORD}
    console.index(
        "console",
        {"uin": "100", "app": "14", "at": NOW * 1_000 - 2, "day": day(3)},
        {"uin": "200", "app": "14", "at": NOW * 1_000 - 2_000, "day": day(2)},
        {"uin": "100", "app": "15", "at": NOW * 1_000 - 9_000, "day": day(2)},
        {"uin": "200", "app": "15", "at": NOW * 1_000 - 8_999_000, "day": day(2)},
        {"uin": "200", "app": "15", "at": NOW, "day": "tomorrow"},
        **both,
    )
    console.policy = timed(policy, Timestamp("at", "us"))
    assert console.owners("100", "200").applications == {"100": {"14", "15"}, "200": frozenset()}
    console.policy = timed(policy, Timestamp("day", "yyyyMMdd"))
    decided = console.owners("100", "200")
    assert decided.applications == {"100": frozenset(), "200": {"14"}}
    assert set(decided.undecided) == {"15"}, "nobody can tell which was later on that day"
    console.policy = timed(policy, None)
    assert set(console.owners("100").undecided) == {"14", "15"}


def test_ids_are_numbers_where_the_index_has_numbers(console: Console) -> None:
    biggest = 2**64 - 1
    unsigned = {"type": "unsigned_long"}
    console.index("console", says(100, biggest), says(1000, biggest - 1), says(10, 5), uin=unsigned, app=unsigned)
    assert console.owned("100") == {str(biggest)}
    assert console.owned("1000") == {str(biggest - 1)}
    assert console.owned(str(biggest)) == set()


def test_indices_that_say_nothing_of_owners_are_not_read(console: Console) -> None:
    console.index("keys", says("100", "14"))
    console.index("other", says("100", "15"))
    assert console.owned("100") == set()
    assert console.named("100") == set()


def test_without_a_category_that_says_who_owns_what_nobody_owns_anything(es: Elasticsearch) -> None:
    policy = Policy(name="trtc", categories=())
    assert owners_of(es, policy, ["100"], NOW) == Ownership(applications={"100": frozenset()}, undecided={})
    assert applications_of(es, policy, ["100"], NOW) == {"100": frozenset()}


def test_documents_that_lack_one_of_the_two_say_nothing(console: Console) -> None:
    console.index("console-1", {"uin": "100", "@timestamp": NOW}, {"app": "14", "@timestamp": NOW}, says("100", "15"))
    assert console.owned("100") == {"15"}


def test_more_applications_than_one_answer_holds_are_all_found(console: Console) -> None:
    count = 2 * PAGE + 1
    console.index("console", *(says("100", f"app-{number}") for number in range(count)), says("200", "other"))
    everything = {f"app-{number}" for number in range(count)}
    assert console.named("100") == everything
    assert console.owned("100") == everything


# --- what cannot be told --------------------------------------------------------------------------------


def undecided(console: Console, account: str) -> str:
    """Return why the one application 14 is not decided; it is nobody's, but known to holds."""
    decided = console.owners(account)
    assert decided.applications == {account: frozenset()}
    assert decided.undecided.keys() == {"14"}
    assert console.named(account) == {"14"}
    return decided.undecided["14"]


def test_two_accounts_at_the_same_newest_instant_are_a_tie(console: Console) -> None:
    console.index("console-1", says("100", "14", DAY), says("100", "14", 2 * DAY))
    console.index("console-2", says("200", "14", DAY))
    assert "name 2 accounts" in undecided(console, "100")
    assert "name 2 accounts" in undecided(console, "200")


def test_a_document_that_names_two_accounts_is_a_tie(console: Console) -> None:
    console.index("console", says(["100", "200"], "14"))
    assert "name 2 accounts" in undecided(console, "100")
    assert applications_of(console.es, console.policy, ["100"], NOW) == {"100": {"14"}}


def test_only_what_is_named_with_the_account_is_reported(console: Console) -> None:
    console.index("console", says("100", "14"), {"uin": "200", "app": ["14", "16"]})
    assert console.owned("100") == {"14"}


def test_one_account_at_the_same_instant_twice_is_no_tie(console: Console) -> None:
    console.index("console", says("100", "14"), says("100", "14"))
    assert console.owned("100") == {"14"}


@pytest.mark.parametrize(
    "timestamp",
    [None, EARLIEST - 1, NOW // 1_000, NOW + HOUR + MINUTE],
    ids=["none", "too early", "in seconds", "far ahead"],
)
def test_a_timestamp_that_is_not_believed_decides_nothing(console: Console, timestamp: int | None) -> None:
    console.index("console", {"uin": "100", "app": "14", "@timestamp": timestamp}, says("300", "17"))
    assert "plausible timestamp" in undecided(console, "100")


@pytest.mark.parametrize("timestamp", [None, EARLIEST - 1, NOW + 2 * HOUR], ids=["none", "too early", "far ahead"])
def test_a_timestamp_that_is_not_believed_does_not_outdo_one_that_is(console: Console, timestamp: int | None) -> None:
    console.index("console", says("100", "14", 9 * DAY), {"uin": "200", "app": "14", "@timestamp": timestamp})
    assert console.owned("100") == {"14"}
    assert console.owned("200") == set()


@pytest.mark.parametrize("age", [-HOUR, NOW - EARLIEST], ids=["an hour ahead", "the earliest"])
def test_the_bounds_of_what_is_believed_are_believed(console: Console, age: int) -> None:
    console.index("console", says("100", "14", age))
    assert console.owned("100") == {"14"}


@pytest.mark.parametrize("type_", ["keyword", "long"])
def test_a_timestamp_that_is_no_date_decides_nothing(console: Console, type_: str) -> None:
    console.index("console-1", says("100", "14"), **{"@timestamp": {"type": type_}})
    console.index("console-2", says("300", "17"))
    assert "plausible timestamp" in undecided(console, "100")
    assert console.owned("300") == {"17"}


def test_nanoseconds_are_a_date(console: Console) -> None:
    console.index("console-1", says("100", "14", 2 * DAY), **{"@timestamp": {"type": "date_nanos"}})
    console.index("console-2", says("200", "14", 3 * DAY))
    assert console.owned("100") == {"14"}


def test_a_document_with_several_timestamps_decides_nothing(console: Console) -> None:
    console.index("console", {"uin": "100", "app": "14", "@timestamp": [NOW - 9 * DAY, NOW - DAY]})
    assert "several timestamps" in undecided(console, "100")


# --- hostile ids ----------------------------------------------------------------------------------------

FULL_WIDTH = "\uff11\uff10\uff10"
HOSTILE = ["-x", "_all", "..", ".", "a b", FULL_WIDTH, "100 OR 200", "/100/", "10?", "{}", "x" * 256]


@pytest.mark.parametrize(
    "mapping", [KEYWORD, {"type": "text", "fields": {"keyword": KEYWORD}}], ids=["keyword", "text"]
)
def test_a_strange_id_is_exactly_itself(console: Console, mapping: Mapping[str, Any]) -> None:
    documents = [says(id_, f"app-of-{number}") for number, id_ in enumerate(HOSTILE)]
    console.index("console", *documents, says("100", "14"), says("200", "15"), uin=mapping)
    decided = console.owners(*HOSTILE, "100")
    expected = {id_: {f"app-of-{number}"} for number, id_ in enumerate(HOSTILE)}
    assert decided.applications == {**expected, "100": {"14"}}
    assert console.named("a") == set()


def test_a_strange_id_is_in_no_number(console: Console) -> None:
    console.index("console", says(100, 14), says(200, 15), uin=LONG, app=LONG)
    strange = [*(id_ for id_ in HOSTILE if id_ != FULL_WIDTH), "9" * 30]
    assert console.owners(*strange).applications == dict.fromkeys(strange, frozenset())


@pytest.mark.parametrize("id_", ["0100", "100.0", "1e2", FULL_WIDTH])
def test_a_number_in_another_spelling_is_not_taken_for_nobody(console: Console, id_: str) -> None:
    console.index("console", says(100, 14), says(200, 15), uin=LONG, app=LONG)
    with pytest.raises(Refused, match="use that spelling"):
        console.owners(id_)


@pytest.mark.parametrize("id_", ["", "*", "1*", "a,b", "100,200", "<now>", "\\", '"100"', " 100", "100\n", "x" * 300])
def test_what_could_be_a_pattern_is_refused(console: Console, id_: str) -> None:
    console.index("console", says("100", "14"), says("200", "15"))
    for ask in (console.owners, console.named):
        with pytest.raises(ConfigurationError):
            ask(id_)


def test_an_application_with_a_malformed_id_is_reported_not_taken(console: Console) -> None:
    console.index("console", says("100", "*"), says("100", "a,b"), says("100", "14"), says("200", "15"))
    decided = console.owners("100")
    assert decided.applications == {"100": {"14"}}
    assert decided.undecided.keys() == {"*", "a,b"}
    assert console.named("100") == {"*", "a,b", "14"}


def test_an_application_that_another_index_cannot_be_asked_for_is_not_taken(console: Console) -> None:
    console.index("console-1", says("100", "fourteen"), says("100", "14"))
    console.index("console-2", says("200", "x"), app={"type": "keyword", "ignore_above": 4})
    decided = console.owners("100")
    assert decided.applications == {"100": {"14"}}
    assert "more than 4 characters" in decided.undecided["fourteen"]


def test_a_negative_number_is_no_id(console: Console) -> None:
    console.index("console", says(100, -14), says(100, 14), uin=LONG, app=LONG)
    decided = console.owners("100")
    assert decided.applications == {"100": {"14"}}
    assert decided.undecided.keys() == {"-14"}


# --- what cannot be read --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"uin": {"type": "double"}}, "uin is of type double"),
        ({"app": {"type": "text"}}, "app is of type text"),
        ({"app": {"type": "keyword", "ignore_above": 1}}, "1 document with a value in app that was not indexed"),
        ({"uin": {"type": "alias", "path": "app"}}, "uin is of type alias"),
    ],
)
def test_an_index_that_cannot_be_asked_exactly_is_refused(
    console: Console, fields: dict[str, Mapping[str, Any]], why: str
) -> None:
    document = says(100, "14")
    if fields.get("uin", {}).get("type") == "alias":
        del document["uin"]
    console.index("console-1", says("100", "14"))
    console.index("console-2", document, **fields)
    for ask in (console.owned, console.named):
        with pytest.raises(Refused, match=why) as refused:
            ask("100")
        assert f"{console.prefix}console-2" in str(refused.value)
        assert refused.value.remedy


def test_an_account_that_an_index_cannot_be_asked_for_is_refused_without_its_id(console: Console) -> None:
    console.index("console", says("1", "14"), uin={"type": "keyword", "ignore_above": 4})
    with pytest.raises(Refused, match="more than 4 characters") as refused:
        console.owners("secret-customer")
    assert "secret-customer" not in str(refused.value)


def test_an_empty_index_says_nothing_whatever_its_mapping(console: Console) -> None:
    console.index("console-1", says("100", "14"))
    console.index("console-2", uin={"type": "double"}, app={"type": "text"})
    assert console.owned("100") == {"14"}


def test_an_index_that_may_keep_the_fields_without_indexing_them_is_refused(console: Console) -> None:
    console.index("console-1", says("100", "14"))
    mappings = {"dynamic": False, "properties": {"@timestamp": DATE}}
    console.es.indices.create(index=f"{console.prefix}console-2", mappings=mappings)
    console.es.index(index=f"{console.prefix}console-2", document=says("200", "14", HOUR), refresh=True)
    with pytest.raises(Refused, match="is not indexed"):
        console.owners("100")


def test_an_index_without_the_fields_says_nothing(console: Console) -> None:
    console.index("console-1", says("100", "14"))
    mappings = {"dynamic": "strict", "properties": {"@timestamp": DATE}}
    console.es.indices.create(index=f"{console.prefix}console-2", mappings=mappings)
    console.es.index(index=f"{console.prefix}console-2", document={"@timestamp": NOW}, refresh=True)
    assert console.owned("100") == {"14"}


@pytest.mark.parametrize("what", ["closed", "unassigned", "index.blocks.read", "index.blocks.metadata"])
def test_an_index_that_cannot_be_read_is_refused_by_name(console: Console, what: str) -> None:
    console.index("console-1", says("100", "14"))
    name = f"{console.prefix}console-2"
    if what == "unassigned":
        nowhere = {"index.routing.allocation.require._name": "nobody"}
        console.es.indices.create(index=name, settings=nowhere, wait_for_active_shards=0)
    else:
        console.index("console-2", says("200", "14"))
    if what == "closed":
        console.es.indices.close(index=name)
    if what.startswith("index"):
        console.es.indices.put_settings(index=name, settings={what: True})
    try:
        for ask in (console.owned, console.named):
            with pytest.raises(Refused, match=f"{name} (is|has).*{'primary' if what == 'unassigned' else what}"):
                ask("100")
    finally:
        if what.startswith("index"):
            console.es.indices.put_settings(index=name, settings={what: None})


class ActingNode(Urllib3HttpNode):
    """Acts before one of the searches is sent."""

    searches = 0
    act: Callable[[int], None]

    def perform_request(self, method: str, target: str, *args: Any, **more: Any) -> Any:
        if "_msearch" in target:
            ActingNode.searches += 1
            ActingNode.act(ActingNode.searches)
        return super().perform_request(method, target, *args, **more)


@pytest.mark.parametrize("at", [2, 3, 4], ids=["left out", "named", "newest"])
@pytest.mark.parametrize("lost", ["deleted", "unassigned"])
def test_an_index_that_is_lost_while_it_is_read_leaves_nothing_told(
    server: Server, console: Console, at: int, lost: str
) -> None:
    console.index("console-1", says("100", "14", 2 * DAY))
    console.index("console-2", says("200", "14", DAY))

    def lose(search: int) -> None:
        if search == at:
            name = f"{console.prefix}console-2"
            console.es.indices.delete(index=name)
            if lost == "unassigned":
                nowhere = {"index.routing.allocation.require._name": "nobody"}
                console.es.indices.create(index=name, settings=nowhere, wait_for_active_shards=0)

    ActingNode.searches, ActingNode.act = 0, staticmethod(lose)
    login = (server.username, server.password)
    client = Elasticsearch(server.url, basic_auth=login, node_class=ActingNode)
    with closing(client), pytest.raises((ClusterUnavailable, Refused)):
        owners_of(client, console.policy, ["100"], NOW)
    assert ActingNode.searches >= at  # the search for what was left out is asked again by halves
