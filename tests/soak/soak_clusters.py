"""Many random clusters (SHAPES_COUNT, else 500) from SHAPES_SEED (1) on; one that breaks a sentence is made smaller.

It goes on after a violation: all of them are printed, each with its seed, and the test fails at its end.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import replace

import pytest

from shapes.clusters import Drawn, draw, play, shrunk
from shapes.story import Story
from workbench import Workbench

COUNT = int(os.environ.get("SHAPES_COUNT", "500"))
FIRST = int(os.environ.get("SHAPES_SEED", "1"))
SHRINK = os.environ.get("SHAPES_SHRINK", "1") not in {"", "0"}


@pytest.mark.timeout(COUNT * 900)
@pytest.mark.filterwarnings("ignore::elasticsearch.ElasticsearchWarning")
def test_many_random_clusters_break_neither_sentence(bench: Workbench) -> None:
    broken: dict[int, list[str]] = {}
    for seed in range(FIRST, FIRST + COUNT):
        began = time.monotonic()
        story = _story(bench)
        try:
            drawn = draw(seed, story.world.able.names)
            found = play(story, drawn)
        finally:
            story.world.remove()
        print(f"seed {seed}: {len(drawn.shapes)} shapes, {time.monotonic() - began:.0f} s, {len(found)} violations")
        if found:
            broken[seed] = found
            print("\n".join(["  " + line for line in (*found, *story.told)]), flush=True)
            if SHRINK:
                kinds = {line.partition("]")[0] for line in found}
                print(f"  smallest: {shrunk(drawn, lambda less, kinds=kinds: _breaks(bench, less, kinds))}", flush=True)
    assert broken == {}


def _story(bench: Workbench) -> Story:
    prefix = f"t{secrets.token_hex(3)}-"
    folder = bench.folder / prefix
    folder.mkdir()
    return Story.on(replace(bench, prefix=prefix, folder=folder, settings=dict(bench.settings), keys={}))


def _breaks(bench: Workbench, drawn: Drawn, kinds: set[str]) -> bool:
    """Whether a smaller cluster breaks in any of the same ways."""
    story = _story(bench)
    try:
        return bool(kinds & {line.partition("]")[0] for line in play(story, drawn)})
    finally:
        story.world.remove()
