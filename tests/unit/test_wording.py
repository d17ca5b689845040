"""How numbers are put into sentences: a number goes with the right form of its noun and its verb."""

import pytest

from retention_enforcer.domain.wording import counted, verb


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0 documents are left"),
        (1, "1 document is left"),
        (2, "2 documents are left"),
        (2_000, "2,000 documents are left"),
    ],
)
def test_a_number_goes_with_its_noun_and_its_verb(number: int, said: str) -> None:
    assert f"{counted(number, 'document')} {verb(number, 'is', 'are')} left" == said


def test_a_plural_of_its_own_is_given() -> None:
    assert [counted(number, "index", "indices") for number in (1, 2)] == ["1 index", "2 indices"]
