"""The embedded server itself: who runs it, who may use it, and that it ends with its caller."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]
import pytest
from elasticsearch import AuthenticationException, AuthorizationException, Elasticsearch

from embedded_elasticsearch import EmbeddedServer, download, owner
from embedded_elasticsearch.configuration import Login, ServerFailed
from embedded_elasticsearch.download import DEFAULT_VERSION, DISTRIBUTIONS
from embedded_elasticsearch.owner import NoPlace, server_owner
from embedded_elasticsearch.runtime import runtime_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Server

SECONDS_TO_END = 10
AS_ROOT = os.geteuid() == 0
root_only = pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as somebody else")

READER = {"cluster": ["monitor"], "indices": [{"names": ["open-*"], "privileges": ["read", "view_index_metadata"]}]}


@contextmanager
def client_of(server: EmbeddedServer, login: Login | None = None) -> Iterator[Elasticsearch]:
    login = login or server.admin
    with closing(Elasticsearch(server.url, basic_auth=(login.username, login.password), max_retries=0)) as client:
        yield client


def processes_below(folder: Path) -> list[psutil.Process]:
    """All processes whose command line or environment names the work folder of a server."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(folder) in " ".join([*process.cmdline(), *process.environ().values()]):
                found.append(process)
    return found


def work_of(server: EmbeddedServer) -> Path:
    return server.log.parent


def until(condition: Callable[[], Any], what: str, seconds: float = SECONDS_TO_END) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def status(url: str, path: str = "/") -> int | None:
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return None


# --- the server of this run ---------------------------------------------------------------------------


@pytest.fixture
def embedded(server: Server) -> EmbeddedServer:
    if server.embedded is None:
        pytest.skip("the server of this run is not the embedded one")
    return server.embedded


def test_it_answers_its_superuser_and_nobody_without_a_password(embedded: EmbeddedServer) -> None:
    with client_of(embedded) as client:
        assert client.cluster.health()["status"] in {"green", "yellow"}
        versions = client.cluster.stats(filter_path="nodes.versions")["nodes"]["versions"]
    assert versions == [embedded.version]
    assert status(embedded.url, "/_cluster/health") == http.HTTPStatus.UNAUTHORIZED
    stranger = Login(username="admin", password="wrong")
    with client_of(embedded, stranger) as client, pytest.raises(AuthenticationException):
        client.cluster.health()


def test_it_has_room_for_three_thousand_shards(embedded: EmbeddedServer) -> None:
    with client_of(embedded) as client:
        settings = client.cluster.get_settings(include_defaults=True, flat_settings=True)
    effective = {**settings["defaults"], **settings["persistent"]}
    assert effective["cluster.max_shards_per_node"] == "3000"
    assert effective["cluster.routing.allocation.disk.threshold_enabled"] == "false"


def test_it_never_runs_as_root_and_listens_on_the_loopback_interface_alone(embedded: EmbeddedServer) -> None:
    servers = [process for process in processes_below(work_of(embedded)) if process.name() == "java"]

    assert servers
    assert all(process.uids().effective != 0 for process in servers)
    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in servers
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_its_password_is_on_no_command_line_and_in_no_environment_or_repr(embedded: EmbeddedServer) -> None:
    password = embedded.admin.password

    for process in psutil.process_iter():
        with suppress(psutil.Error):
            assert password not in " ".join([*process.cmdline(), *process.environ().values()])
    assert password not in repr(embedded.admin)
    assert password not in embedded.log.read_text()


def test_its_private_folders_are_closed_to_others(embedded: EmbeddedServer) -> None:
    work = work_of(embedded)

    for folder in (work / "config", work / "logs", embedded.data_folder, embedded.snapshots_folder):
        assert folder.stat().st_mode & 0o077 == 0, folder


def test_snapshots_have_a_place(embedded: EmbeddedServer) -> None:
    with client_of(embedded) as client:
        location = str(embedded.snapshots_folder)
        client.snapshot.create_repository(name="own", repository={"type": "fs", "settings": {"location": location}})
        client.snapshot.delete_repository(name="own")


# --- users, restarts, ends ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(own_server: Callable[..., EmbeddedServer]) -> EmbeddedServer:
    return own_server(users={"reader": ["reading"]}, roles={"reading": READER})


def test_a_user_may_do_what_its_role_says_and_no_more(guarded: EmbeddedServer) -> None:
    with client_of(guarded) as admin, client_of(guarded, guarded.user("reader")) as reader:
        admin.index(index="open-a", document={"a": 1}, refresh=True)
        assert reader.count(index="open-a")["count"] == 1
        with pytest.raises(AuthorizationException):
            reader.indices.delete(index="open-a")
        assert admin.indices.exists(index="open-a")


@pytest.mark.parametrize("end", [EmbeddedServer.kill, EmbeddedServer.stop])
def test_after_its_end_it_starts_again_with_the_same_data_address_and_users(
    guarded: EmbeddedServer, end: Callable[[EmbeddedServer], None]
) -> None:
    url, logins = guarded.url, (guarded.admin, guarded.user("reader"))
    index = f"open-{end.__name__}"
    with client_of(guarded) as admin:
        admin.index(index=index, id="1", document={"a": 1})

    end(guarded)
    assert not guarded.running
    assert processes_below(work_of(guarded)) == []
    assert status(url) is None
    guarded.start()

    assert guarded.url == url
    assert (guarded.admin, guarded.user("reader")) == logins
    with client_of(guarded, guarded.user("reader")) as reader:
        assert reader.get(index=index, id="1")["_source"] == {"a": 1}


def test_a_server_that_was_killed_by_somebody_else_is_seen_as_ended(guarded: EmbeddedServer) -> None:
    victims = [process for process in processes_below(work_of(guarded)) if process.name() == "java"]
    max(victims, key=lambda process: process.memory_info().rss).kill()

    until(lambda: not guarded.running, "the server is seen as ended")
    until(lambda: not processes_below(work_of(guarded)), "its launcher has gone, too")
    guarded.start()
    assert status(guarded.url) is not None


@pytest.fixture
def own_folder(shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where servers make their folders in this test, those in memory too, and nobody else does."""
    monkeypatch.setattr(tempfile, "tempdir", str(shared_folder))
    monkeypatch.setattr(owner, "MEMORY", shared_folder)
    monkeypatch.setattr(owner, "MEMORY_ROOM", 0)
    return shared_folder


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(embedded_version: str, own_folder: Path) -> None:
    with pytest.raises(ServerFailed, match=r"unknown setting \[no.such.setting\]") as failure:
        EmbeddedServer(version=embedded_version, settings={"no.such.setting": "1"}, in_memory=True).start()

    assert "\tat " not in failure.value.message
    assert list(own_folder.iterdir()) == []


def test_a_server_that_is_too_slow_is_given_up_and_leaves_nothing(embedded_version: str, own_folder: Path) -> None:
    with pytest.raises(ServerFailed, match="did not answer within 0 s"):
        EmbeddedServer(version=embedded_version, boot_seconds=0.2, in_memory=True).start()

    assert list(own_folder.iterdir()) == []


def test_data_in_memory_goes_with_the_server(embedded_version: str, own_folder: Path) -> None:
    with EmbeddedServer(version=embedded_version, in_memory=True) as server:
        data = server.data_folder
        assert data.is_relative_to(own_folder)
        assert not data.is_relative_to(work_of(server))

    assert list(own_folder.iterdir()) == []


def test_where_memory_has_no_room_the_data_is_beside_the_rest(
    embedded_version: str, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "MEMORY_ROOM", 1 << 60)
    with EmbeddedServer(version=embedded_version, in_memory=True) as server:
        assert server.data_folder.is_relative_to(work_of(server))

    assert list(own_folder.iterdir()) == []


def test_a_given_folder_survives_and_serves_the_next_server(shared_folder: Path, embedded_version: str) -> None:
    with EmbeddedServer(version=embedded_version, folder=shared_folder) as first, client_of(first) as client:
        client.index(index="kept", id="1", document={"a": 1})
        work = work_of(first)
    assert not work.exists()

    with EmbeddedServer(version=embedded_version, folder=shared_folder) as second, client_of(second) as client:
        assert client.get(index="kept", id="1")["_source"] == {"a": 1}


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder whose parents are open to the server's user, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="shared-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


# --- the caller ---------------------------------------------------------------------------------------

CALLER = """
import signal, sys, time
from embedded_elasticsearch import EmbeddedServer

def asked(*_):
    print("asked to end, and going on", flush=True)

with EmbeddedServer(version=sys.argv[1], in_memory=True) as server:
    signal.signal(signal.SIGINT, asked)
    print(server.url, server.log.parent, server.data_folder.parent, flush=True)
    while True:
        time.sleep(60)
"""


@contextmanager
def caller(*command: str, **arguments: Any) -> Iterator[subprocess.Popen[str]]:
    """A process of its own process group, as a command in a terminal is, which starts a server."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0, **arguments
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str], containing: str) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if containing in line:
            return line
    raise AssertionError("".join(lines))


@pytest.mark.slow
def test_ctrl_c_reaches_the_caller_alone_and_its_sigkill_ends_the_server(embedded_version: str) -> None:
    with caller(sys.executable, "-c", CALLER, embedded_version) as process:
        url, folder, data = line_of(process, "http").split()
        os.killpg(process.pid, signal.SIGINT)
        assert "going on" in line_of(process, "asked")
        assert status(url) is not None
        assert len([found for found in processes_below(Path(folder)) if found.name() == "java"]) > 0

        process.kill()

        until(lambda: status(url) is None, "the server has gone")
        until(lambda: not processes_below(Path(folder)), "all its processes have gone")
        until(lambda: not Path(folder).exists(), "its folder has gone")
        until(lambda: not Path(data).exists(), "its data has gone")


@pytest.mark.slow
def test_the_developers_command_serves_until_it_is_told_to_end(embedded_version: str) -> None:
    command = [sys.executable, "-m", "embedded_elasticsearch", "--version", embedded_version]
    with caller(*command) as process:
        url = line_of(process, "http").split()[-1]
        assert "password" in line_of(process, "user")
        os.killpg(process.pid, signal.SIGTERM)

        assert process.wait(timeout=SECONDS_TO_END) == 0
        assert status(url) is None


@root_only
@pytest.mark.slow
def test_it_starts_where_everything_stands_below_a_folder_that_only_root_may_enter(
    tmp_path: Path, embedded_version: str
) -> None:
    """The package, the Java runtime, the cache, the temporary folder and the working directory."""
    if embedded_version != DEFAULT_VERSION:
        pytest.skip("other versions have no Java runtime of their own that could be moved there")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    packages = Path(download.__file__).parents[1]
    shutil.copytree(packages / "embedded_elasticsearch", closed / "packages" / "embedded_elasticsearch")
    java = runtime_for(DISTRIBUTIONS[DEFAULT_VERSION]).home
    shutil.copytree(java.parent, closed / "packages" / java.parent.name)
    for name in ("cache", "tmp", "home"):
        (closed / name).mkdir(mode=0o700)
    zip_name = DISTRIBUTIONS[DEFAULT_VERSION].zip_name
    server_zip = download.cache_folder() / zip_name
    if server_zip.exists():  # else it is downloaded, which takes longer and does no harm
        shutil.copyfile(server_zip, closed / "cache" / zip_name)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(closed / "home"),
        "TMPDIR": str(closed / "tmp"),
        "PYTHONPATH": str(closed / "packages"),
        "RETENTION_ENFORCER_CACHE": str(closed / "cache"),
    }
    with caller(sys.executable, "-c", CALLER, DEFAULT_VERSION, cwd=closed, env=environment, umask=0o077) as process:
        url, folder, _ = line_of(process, "http").split()
        servers = [found for found in processes_below(Path(folder)) if found.name() == "java"]

        assert status(url, "/_cluster/health") == http.HTTPStatus.UNAUTHORIZED
        assert closed not in Path(folder).parents
        assert {found.uids().effective for found in servers} == {server_owner().uid}
        assert all(Path(found.exe()).is_relative_to(folder) for found in servers)
        process.kill()
        until(lambda: not Path(folder).exists(), "its folder has gone")


@root_only
def test_a_given_folder_that_its_user_cannot_get_to_is_refused(tmp_path: Path, embedded_version: str) -> None:
    tmp_path.chmod(0o700)

    with pytest.raises(NoPlace, match="cannot read") as refusal:
        EmbeddedServer(version=embedded_version, folder=tmp_path / "data").start()

    assert refusal.value.remedy


# --- the fixtures that the other tests stand on -------------------------------------------------------


@pytest.fixture(scope="module")
def left_behind(es: Elasticsearch) -> Iterator[list[str]]:
    """Names of indices made below a prefix; and a neighbour that no test may remove."""
    made: list[str] = []
    yield made
    es.indices.delete(index="neighbour-of-tests", ignore_unavailable=True)


def test_a_prefix_may_be_used_for_hidden_and_for_read_only_indices(
    es: Elasticsearch, prefix: str, left_behind: list[str]
) -> None:
    for name, settings in {"a": {}, "b": {"index.hidden": True}, "c": {"index.blocks.read_only": True}}.items():
        es.indices.create(index=f"{prefix}{name}", settings=settings)
        left_behind.append(f"{prefix}{name}")
    es.indices.create(index="neighbour-of-tests")


def test_after_a_test_its_indices_are_gone_and_no_others(es: Elasticsearch, left_behind: list[str]) -> None:
    if not left_behind:
        pytest.skip("looks at what the test before this one left")
    assert [name for name in left_behind if es.indices.exists(index=name)] == []
    assert es.indices.exists(index="neighbour-of-tests")


def test_no_client_of_the_tests_retries(es: Elasticsearch) -> None:
    assert es.options()._max_retries == 0
