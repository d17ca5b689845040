"""What the operator's commands write is read as what was meant, whatever it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from builders import index
from retention_enforcer.domain.control import Approval, Control, DetachedLifecycle, Order, Shown
from retention_enforcer.domain.holds.hold import CoveredIndex, Hold
from retention_enforcer.domain.own import control_documents as documents
from retention_enforcer.domain.plan import Action, Plan, Purge
from retention_enforcer.domain.subjects.identity import Subject, subject_of

TEXTS = st.text(max_size=12)
INSTANTS = st.integers(0, 2**53)
COUNTS = st.integers(0, 10**9)
UUIDS = st.text("abcdef-_0123456789", min_size=1, max_size=22)
IDS = st.text("abc019.-_@", min_size=1, max_size=12)
SUBJECTS: st.SearchStrategy[Subject] = st.one_of(
    st.builds(lambda id_: subject_of(account=id_), IDS),
    st.builds(lambda id_: subject_of(application=id_), IDS),
    st.builds(lambda application, id_: subject_of(application=application, user=id_), IDS, IDS),
)
TARGETS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(lambda name: {"category": name}, TEXTS),
    st.builds(lambda name: {"index": name}, TEXTS),
    st.builds(
        lambda subject, applications: {"subject": subject, "applications": tuple(applications)},
        SUBJECTS,
        st.lists(IDS, max_size=3),
    ),
)
HOLDS = st.builds(
    lambda id_, owner, reason, until, target: Hold(id=id_, owner=owner, reason=reason, until=until, **target),
    UUIDS,
    TEXTS,
    TEXTS,
    INSTANTS,
    TARGETS,
)
COVERED = st.dictionaries(
    UUIDS, st.builds(CoveredIndex, created=COUNTS, fields=st.lists(TEXTS, max_size=3).map(tuple)), max_size=4
)
DETACHED = st.builds(
    DetachedLifecycle,
    index=TEXTS,
    policy=TEXTS,
    origination=st.none() | INSTANTS,
    rollover_alias=st.none() | TEXTS,
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A plan that purges something of each of some indices."""
    purge = tuple(
        Purge(
            facts=index(uuid, uuid=uuid),
            action=draw(st.sampled_from(Action)),
            documents=draw(COUNTS),
            foreseen=draw(COUNTS),
            due=0,
            reason="",
            cut=0,
        )
        for uuid in draw(st.lists(UUIDS, min_size=1, max_size=4, unique=True))
    )
    return Plan(category=draw(UUIDS), as_of=0, limit=None, documents=0, purge=purge)


def stored(body: Mapping[str, Any]) -> dict[str, Any]:
    """A document as it comes back from the index."""
    found: dict[str, Any] = json.loads(json.dumps(body))
    return found


@given(plans(), TEXTS, INSTANTS, INSTANTS)
def test_an_approval_and_an_order_release_exactly_the_pairs_of_the_plan(
    plan: Plan, fingerprint: str, now: int, until: int
) -> None:
    pairs = frozenset(p.pair for p in plan.purge)
    key, body = documents.approval_document(plan, fingerprint, now, until)
    shown = {p.pair: Shown(documents=p.documents, foreseen=p.foreseen) for p in plan.purge}
    approval = Approval(key=key, pairs=pairs, until=until, policy=fingerprint, shown=shown)
    order_key, order_body = documents.order_document(plan, fingerprint, now, until)
    order = Order(key=order_key, pairs=pairs, until=until, policy=fingerprint, category=plan.category)
    read = documents.control_of({key: stored(body), order_key: stored(order_body)})
    assert read == Control(approvals=(approval,), orders=(order,))


@given(st.lists(HOLDS, max_size=3, unique_by=lambda hold: hold.id), st.sets(UUIDS, max_size=3), INSTANTS)
def test_holds_and_the_traces_of_those_that_were_removed(holds: list[Hold], removed: set[str], at: int) -> None:
    there = {f"{documents.HOLD}{hold.id}": stored(documents.hold_body(hold)) for hold in holds}
    traces = {f"{documents.REMOVED}{id_}": stored(documents.at_body(at)) for id_ in removed}
    assert documents.control_of({**there, **traces}) == Control(holds=tuple(holds), removed=frozenset(removed))


@given(COVERED)
def test_what_a_hold_was_seen_to_cover(covered: dict[str, CoveredIndex]) -> None:
    assert documents.covered_in(stored(documents.covered_body(covered))) == covered


@given(TEXTS, INSTANTS, INSTANTS, INSTANTS, INSTANTS, st.dictionaries(UUIDS, INSTANTS, max_size=3))
def test_acceptance_stop_resume_and_what_was_said_of_terminations(
    fingerprint: str, accepted: int, stopped: int, resumed: int, approved: int, confirmed: dict[str, int]
) -> None:
    said = {
        documents.ACCEPTED: documents.accepted_body(fingerprint, accepted),
        documents.STOP: documents.at_body(stopped),
        documents.RESUMED: documents.at_body(resumed),
        documents.TERMINATIONS_APPROVED: documents.terminations_approved_body(approved, fingerprint),
        **{f"{documents.CONFIRMED}{id_}": documents.confirmed_body(accepted, at) for id_, at in confirmed.items()},
    }
    read = documents.control_of({key: stored(body) for key, body in said.items()})
    assert read == Control(
        accepted=fingerprint,
        accepted_at=accepted,
        stopped_at=stopped,
        resumed_at=resumed,
        terminations_approved_at=approved,
        terminations_approved_under=fingerprint,
        confirmed=confirmed,
    )
    assert documents.stopped_at(stored(said[documents.STOP])) == stopped
    assert documents.resumed_at(stored(said[documents.RESUMED])) == resumed


@given(st.dictionaries(UUIDS, DETACHED, max_size=3), st.dictionaries(TEXTS, st.dictionaries(TEXTS, TEXTS), max_size=3))
def test_lifecycles_that_were_taken_off(
    detached: dict[str, DetachedLifecycle], streams: dict[str, dict[str, str]]
) -> None:
    assert documents.detached_in(stored(documents.detached_body(detached))) == detached
    assert documents.streams_stopped(stored(documents.streams_stopped(streams))) == streams
