"""One real Elasticsearch for the whole run, and what every test against it needs.

Looked for in this order: the cluster at TEST_ELASTICSEARCH_URL (credentials may stand in it), the embedded
server (its version from TEST_SERVER_VERSION, empty = the default), a container where Docker answers. Where
there is none, tests that need one skip with the reason; with REQUIRE_SERVER=1 they fail.
"""

from __future__ import annotations

import base64
import gc
import http.client
import os
import secrets
import time
import warnings
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote, urlsplit, urlunsplit

import pytest
from elasticsearch import ApiError, AuthorizationException, Elasticsearch
from hypothesis import HealthCheck, settings

from embedded_elasticsearch import DEFAULT_VERSION, EmbeddedServer, EmbeddedServerError
from embedded_elasticsearch.download import distribution_of, server_files
from embedded_elasticsearch.runtime import runtime_for
from workers import (
    DESCRIPTION,
    REASON,
    pytest_collection_modifyitems,
    pytest_runtest_protocol,
    pytest_runtestloop,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
    pytest_xdist_auto_num_workers,
)

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_runtest_protocol",
    "pytest_runtestloop",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
    "pytest_xdist_auto_num_workers",
]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A machine that is busy with something else is no defect of a strategy: a run must not be red by chance.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

CONTAINER_SECONDS = 300
DELETE_BATCH = 12  # of 255 bytes at most: a request line has 4,096
CONTAINER_IMAGE = "elasticsearch"


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A real Elasticsearch and its superuser; `embedded` and `data_folder` where it runs here."""

    url: str
    username: str
    password: str = field(repr=False)
    version: str
    kind: str
    embedded: EmbeddedServer | None = None
    data_folder: Path | None = None

    def client(self, username: str | None = None, password: str | None = None) -> Elasticsearch:
        """A new client that never retries, as this user, or else as the superuser."""
        login = (username or self.username, password or self.password)
        basic_auth = login if any(login) else None
        return Elasticsearch(self.url, basic_auth=basic_auth, max_retries=0, request_timeout=60)


class NoServer(Exception):
    """There is none to be had in this way; the message says why."""


# --- the server ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The real server of this run."""
    with ExitStack() as stack:
        try:
            found = _find_server(stack)
        except NoServer as error:
            request.config.stash[REASON] = str(error)
            _no_server(str(error))
        where = found.url if found.embedded is None else "embedded"
        request.config.stash[DESCRIPTION] = f"a real Elasticsearch {found.version} ({where})"
        yield found


@pytest.fixture(scope="session")
def es(server: Server) -> Iterator[Elasticsearch]:
    """A client as superuser, which never retries: a retried DELETE would hide its own success."""
    with closing(server.client()) as client:
        yield client


@pytest.fixture
def prefix(es: Elasticsearch) -> Iterator[str]:
    """A prefix for the names of one test's indices, which alone are removed after it."""
    with _prefix(es) as unique:
        yield unique


@pytest.fixture(scope="module")
def prefixes(es: Elasticsearch) -> Iterator[Callable[[], str]]:
    """Makes prefixes for what several tests of a module share; their indices are removed after the module."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(_prefix(es))


@contextmanager
def _prefix(es: Elasticsearch) -> Iterator[str]:
    unique = f"t{secrets.token_hex(3)}-"
    yield unique
    _remove(es, unique)
    _remove_lifecycles(es, unique)


@pytest.fixture(scope="session")
def embedded_version(request: pytest.FixtureRequest) -> str:
    """The version of the embedded server of this run, whose files and runtime are here."""
    version = _wanted_version()
    try:
        distribution = distribution_of(version)
        runtime_for(distribution)
        server_files(distribution)
    except EmbeddedServerError as error:
        request.config.stash[REASON] = str(error)
        _no_server(str(error))
    return version


@pytest.fixture(scope="module")
def own_server(request: pytest.FixtureRequest, embedded_version: str) -> Iterator[Callable[..., EmbeddedServer]]:
    """Starts embedded servers that a test may kill, or give users, roles and settings of its own.

    The arguments are those of `EmbeddedServer`. All are closed at the end of the module; a test that
    has no more use for its server closes it itself, as memory is short.
    """
    with ExitStack() as stack:

        def start(**arguments: Any) -> EmbeddedServer:
            embedded = stack.enter_context(
                EmbeddedServer(**{"version": embedded_version, "in_memory": True, **arguments})
            )
            request.config.stash.setdefault(DESCRIPTION, f"a real Elasticsearch {embedded.version} (embedded)")
            return embedded

        yield start


def _wanted_version() -> str:
    return os.environ.get("TEST_SERVER_VERSION") or DEFAULT_VERSION


def _find_server(stack: ExitStack) -> Server:
    if url := os.environ.get("TEST_ELASTICSEARCH_URL"):
        return _given(url)
    reasons = []
    for find in (_embedded, _container):
        try:
            return find(stack)
        except NoServer as error:
            reasons.append(str(error))
    raise NoServer("; ".join([*reasons, "TEST_ELASTICSEARCH_URL: not set"]))


def _no_server(reason: str) -> NoReturn:
    if os.environ.get("REQUIRE_SERVER", "0") not in {"", "0"}:
        pytest.fail(f"REQUIRE_SERVER is set, and there is no server: {reason}", pytrace=False)
    pytest.skip(f"no real Elasticsearch: {reason}")


def _given(url: str) -> Server:
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    found = Server(url=bare, username=username, password=password, version="?", kind="TEST_ELASTICSEARCH_URL")
    return replace(found, version=_version(found))


def _embedded(stack: ExitStack) -> Server:
    try:
        embedded = EmbeddedServer(version=_wanted_version(), heap="1g", in_memory=True)
        stack.enter_context(embedded)
    except EmbeddedServerError as error:
        raise NoServer(f"embedded: {error}") from error
    return Server(
        url=embedded.url,
        username=embedded.admin.username,
        password=embedded.admin.password,
        version=embedded.version,
        kind="embedded",
        embedded=embedded,
        data_folder=embedded.data_folder,
    )


def _container(stack: ExitStack) -> Server:
    version, password = _wanted_version(), secrets.token_urlsafe(18)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a library that is none of this suite's business
        if reason := _reason_against_docker():
            raise NoServer(f"Docker: {reason}")
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - slow, seldom needed

        container = DockerContainer(f"{CONTAINER_IMAGE}:{version}").with_exposed_ports(9200)
        settings = {
            "discovery.type": "single-node",
            "xpack.security.http.ssl.enabled": "false",
            "cluster.max_shards_per_node": "3000",
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            "path.repo": "/tmp/snapshots",  # noqa: S108 - inside the container
            "ELASTIC_PASSWORD": password,
            "ES_JAVA_OPTS": "-Xms512m -Xmx512m",
        }
        for name, value in settings.items():
            container.with_env(name, value)
        stack.enter_context(container)
        url = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(9200)}"
    found = Server(url=url, username="elastic", password=password, version=version, kind="container")
    _wait_until_healthy(found)
    return found


def _reason_against_docker() -> str:
    import docker  # type: ignore[import-untyped] # noqa: PLC0415 - slow to import, seldom needed

    try:
        with closing(docker.from_env(timeout=5)) as engine:
            engine.ping()
    except (docker.errors.DockerException, OSError) as error:
        reason = str(error)
    else:
        return ""
    gc.collect()  # the library leaves a socket open, whose warning would fail some test later
    return reason


def _wait_until_healthy(found: Server) -> None:
    parts = urlsplit(found.url)
    credentials = base64.b64encode(f"{found.username}:{found.password}".encode()).decode()
    headers, deadline = {"Authorization": f"Basic {credentials}"}, time.monotonic() + CONTAINER_SECONDS
    while time.monotonic() < deadline:
        with (
            suppress(OSError, http.client.HTTPException),
            closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)) as connection,
        ):
            connection.request("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s", headers=headers)
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        time.sleep(0.5)
    raise NoServer(f"Docker: the container did not answer within {CONTAINER_SECONDS} s")


def _version(found: Server) -> str:
    """`GET /` would be simpler, but the embedded server answers it with 405."""
    with closing(found.client()) as client:
        stats = client.cluster.stats(filter_path="nodes.versions")
    return "/".join(stats["nodes"]["versions"])


# --- cleaning up --------------------------------------------------------------------------------------


def _remove(es: Elasticsearch, prefix: str) -> None:
    """Delete streams and indices by their concrete names: a wildcard is refused, and never worth it."""
    found = es.indices.resolve_index(name=f"{prefix}*", expand_wildcards="all")
    for stream in found["data_streams"]:
        es.indices.delete_data_stream(name=stream["name"], expand_wildcards="all")
    names = [index["name"] for index in found["indices"] if "data_stream" not in index]
    assert all(name.startswith(prefix) for name in names)
    for start in range(0, len(names), DELETE_BATCH):
        batch = names[start : start + DELETE_BATCH]
        try:
            es.indices.delete(index=batch)
        except AuthorizationException:  # 403: a test left one of them read-only
            es.indices.put_settings(index=batch, settings={"index.blocks.read_only": None})
            es.indices.delete(index=batch)


def _remove_lifecycles(es: Elasticsearch, prefix: str) -> None:
    """Delete the lifecycle policies of enforcers whose policy has a name with the prefix; none where there are none."""
    try:
        stored = es.ilm.get_lifecycle().body
    except ApiError:
        return  # this server has no lifecycles
    for name in stored:
        if name.startswith(f"retention-{prefix}"):
            es.options(ignore_status=404).ilm.delete_lifecycle(name=name)
