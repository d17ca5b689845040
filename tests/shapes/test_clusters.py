"""A few random clusters with every change; many of them in `make soak` (`tests/soak/soak_clusters.py`)."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from shapes.clusters import draw, play
from shapes.story import Story

pytestmark = pytest.mark.filterwarnings("ignore::elasticsearch.ElasticsearchWarning")
"""Names that begin with a dot are deprecated, and are what some shapes are about."""

SEEDS = [int(seed) for seed in os.environ.get("SHAPES_SEEDS", "1,2").split(",")]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_cluster_breaks_neither_sentence(stories: Callable[[], Story], seed: int) -> None:
    story = stories()
    drawn = draw(seed, story.world.able.names)
    found = play(story, drawn)
    assert found == [], "\n".join([str(drawn), *story.told])
