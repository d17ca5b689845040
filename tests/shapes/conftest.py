"""A story on the server of this run, whose cluster is taken away afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from shapes.promises import Promises, usual
from shapes.story import Story
from workbench import Workbench, bench, benches

__all__ = ["bench", "benches", "stories", "story"]


@pytest.fixture
def stories(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Callable[[str], Promises]], Story]]:
    """Begins a story under a policy of its own."""
    begun: list[Story] = []

    def begin(promises: Callable[[str], Promises] = usual) -> Story:
        begun.append(Story.on(bench, promises))
        return begun[-1]

    yield begin
    for one in begun:
        one.world.remove()


@pytest.fixture
def story(stories: Callable[[], Story]) -> Story:
    """A story under the usual policy."""
    return stories()
