"""A register of terminations answers by subject what a look at all of them would."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from retention_enforcer.domain.subjects.identity import Subject, SubjectKind
from retention_enforcer.domain.terminations.register import Register
from statuses import termination

SUBJECTS = [Subject(kind=SubjectKind.ACCOUNT, id=id_) for id_ in "abc"]
STEPS = st.lists(st.tuples(st.sampled_from("klmn"), st.sampled_from([*SUBJECTS, None]), st.booleans()), max_size=20)


@given(STEPS)
def test_what_is_found_by_subject_is_what_a_look_at_all_finds(steps: list[tuple[str, Subject | None, bool]]) -> None:
    register = Register()
    for key, subject, removed in steps:
        if removed and key in register:
            del register[key]
        else:
            register[key] = replace(termination(), key=key, subject=subject)
        for one in SUBJECTS:
            found = {termination.key for termination in register.of(one)}
            assert found == {key for key, termination in register.items() if termination.subject == one}
            assert all(register[key] in register.of(one) for key in found)
