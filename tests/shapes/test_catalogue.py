"""Every shape in every state: made, and carried through a run, a report and an erasure, alone with its oracle."""

from __future__ import annotations

import pytest

from shapes.catalogue import CATALOGUE
from shapes.story import Story

pytestmark = pytest.mark.filterwarnings("ignore::elasticsearch.ElasticsearchWarning")
"""Names that begin with a dot are deprecated, and are what some shapes are about."""

EVERY = [(name, state) for name, shape in CATALOGUE.items() for state in shape.states]


def test_there_are_at_least_sixty_shapes() -> None:
    assert len(CATALOGUE) >= 60


def carried_through(story: Story) -> list[str]:
    """What every cluster goes through."""
    story.ready()
    story.command("plan", "--output", "json")
    story.ask("erase", story.world.gone)
    story.command("run", "--once")
    story.report()
    story.certificate(story.world.gone)
    story.command("run", "--once")
    story.report()
    story.end()
    return story.verdict()


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_a_shape_in_all_its_states(story: Story, name: str) -> None:
    """One cluster a shape: all its states beside each other."""
    shape = CATALOGUE[name]
    if lacks := story.world.able.lacks(shape.needs):
        pytest.skip(f"this server makes no {', '.join(lacks)}")
    story.build(*[(name, state) for state in shape.states[: 1 if shape.once else None]])
    assert carried_through(story) == [], story.told
