"""The workbench, for every test here, and one on a server that may be killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from embedded_elasticsearch import EmbeddedServer
from workbench import Workbench, bench

__all__ = ["away", "bench", "mortal"]


@pytest.fixture(scope="module")
def mortal(own_server: Callable[..., EmbeddedServer]) -> EmbeddedServer:
    """A server that may be killed or stopped, and comes back with its data."""
    return own_server()


@pytest.fixture
def away(mortal: EmbeddedServer, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workbench]:
    """A workbench on that server."""
    login, prefix = mortal.admin, f"a{abs(hash(request.node.name)) % 10_000}-"
    with Elasticsearch(mortal.url, basic_auth=(login.username, login.password), request_timeout=60) as es:
        yield Workbench(
            es=es, url=mortal.url, username=login.username, password=login.password, prefix=prefix, folder=tmp_path
        )
