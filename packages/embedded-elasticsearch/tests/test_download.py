from __future__ import annotations

import hashlib
import io
import os
import stat
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from embedded_elasticsearch import download
from embedded_elasticsearch.download import (
    DISTRIBUTIONS,
    Distribution,
    DownloadFailed,
    cache_folder,
    distribution_of,
    server_files,
)
from embedded_elasticsearch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = "1.2.3"


def packed(text: str = "a server") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"elasticsearch-{VERSION}/bin/elasticsearch", text)
        archive.writestr(f"elasticsearch-{VERSION}/lib/server.jar", "x" * 5000)
    return buffer.getvalue()


def pinned(content: bytes) -> Distribution:
    return Distribution(version=VERSION, sha256=hashlib.sha256(content).hexdigest(), whole_java=False)


@dataclass
class Repository:
    """A Maven repository on the loopback interface with one file in it."""

    content: bytes
    cut: int = 0
    """How many bytes are missing when the connection ends."""
    together: threading.Barrier | None = None
    """Answers nobody before as many have asked."""
    requests: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(repository: Repository) -> Iterator[Repository]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            repository.requests.append(self.path)
            if repository.together:
                repository.together.wait(timeout=60)
            if not self.path.endswith(f"/elasticsearch/{VERSION}/elasticsearch-{VERSION}.zip"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(repository.content)))
            self.end_headers()
            self.wfile.write(repository.content[: len(repository.content) - repository.cut])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        repository.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield repository
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_download_is_checked_unpacked_and_readable_by_all(cache: Path) -> None:
    content = packed()
    before = os.umask(0o077)
    try:
        with serving(Repository(content)) as repository:
            home = server_files(pinned(content), cache=cache, repository=repository.url)
    finally:
        os.umask(before)

    assert names(cache) == sorted([pinned(content).zip_name, pinned(content).folder_name])
    modes = {path.relative_to(home).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*")}
    assert modes == {
        "bin": 0o755,
        "bin/elasticsearch": 0o755,
        "lib": 0o755,
        "lib/server.jar": 0o644,
    }


def test_what_is_in_the_cache_is_not_downloaded_again(cache: Path) -> None:
    content = packed()
    with serving(Repository(content)) as repository:
        first = server_files(pinned(content), cache=cache, repository=repository.url)
        second = server_files(pinned(content), cache=cache, repository=repository.url)

    assert first == second
    assert len(repository.requests) == 1


def test_other_bytes_than_the_pinned_ones_are_refused_and_leave_nothing(cache: Path) -> None:
    with (
        serving(Repository(packed("another server"))) as repository,
        pytest.raises(DownloadFailed, match="SHA-256") as refusal,
    ):
        server_files(pinned(packed()), cache=cache, repository=repository.url)

    assert refusal.value.remedy
    assert names(cache) == []


@pytest.mark.parametrize("damage", [b"", b"flipped", None], ids=["emptied", "one byte changed", "cut"])
def test_a_damaged_file_in_the_cache_is_downloaded_anew(cache: Path, damage: bytes | None) -> None:
    content = packed()
    cache.mkdir()
    damaged = {b"": b"", b"flipped": content[:-1] + b"!", None: content[:-10]}[damage]
    (cache / pinned(content).zip_name).write_bytes(damaged)
    with serving(Repository(content)) as repository:
        server_files(pinned(content), cache=cache, repository=repository.url)

    assert (cache / pinned(content).zip_name).read_bytes() == content
    assert len(repository.requests) == 1


def test_a_connection_that_breaks_is_one_clear_error_and_leaves_nothing(cache: Path) -> None:
    content = packed()
    with serving(Repository(content, cut=3000)) as repository, pytest.raises(DownloadFailed) as failure:
        server_files(pinned(content), cache=cache, repository=repository.url)

    assert "cannot download" in failure.value.message
    assert str(cache / pinned(content).zip_name) in failure.value.remedy
    assert names(cache) == []


def test_a_repository_without_the_file_is_one_clear_error(cache: Path) -> None:
    other = Distribution(version="9.9.9", sha256="0" * 64, whole_java=False)
    with serving(Repository(b"")) as repository, pytest.raises(DownloadFailed, match="404") as failure:
        server_files(other, cache=cache, repository=repository.url)

    assert "proxy" in failure.value.remedy
    assert names(cache) == []


def test_no_network_is_one_clear_error(cache: Path) -> None:
    with serving(Repository(b"")) as repository:
        pass  # its port is closed from here on
    with pytest.raises(DownloadFailed, match="cannot download") as failure:
        server_files(pinned(packed()), cache=cache, repository=repository.url)

    assert failure.value.remedy
    assert names(cache) == []


def test_a_file_put_there_by_hand_needs_no_network(cache: Path) -> None:
    content = packed()
    cache.mkdir()
    (cache / pinned(content).zip_name).write_bytes(content)
    with serving(Repository(b"")) as repository:
        pass

    home = server_files(pinned(content), cache=cache, repository=repository.url)

    assert (home / "lib" / "server.jar").is_file()


WITHOUT_LOCKS = """
import fcntl
def refused(*_):
    raise OSError("no locks available")
fcntl.flock = refused
"""


@pytest.mark.parametrize(("before", "downloads"), [("", 1), (WITHOUT_LOCKS, 3)], ids=["locks", "no locks"])
def test_processes_that_start_at_once_download_once_and_do_not_harm_each_other(
    cache: Path, before: str, downloads: int
) -> None:
    content, processes = packed(), 3
    program = before + (
        "import sys; from pathlib import Path\n"
        "from embedded_elasticsearch.download import Distribution, server_files\n"
        "d = Distribution(version=sys.argv[1], sha256=sys.argv[2], whole_java=False)\n"
        "print(server_files(d, cache=Path(sys.argv[3]), repository=sys.argv[4]))\n"
    )
    with serving(Repository(content, together=threading.Barrier(downloads))) as repository:
        arguments = [VERSION, pinned(content).sha256, str(cache), repository.url]
        running = [
            subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        said = {process.communicate(timeout=90)[0].strip() for process in running}

    assert [process.returncode for process in running] == [0] * processes
    assert len(repository.requests) == downloads
    assert said == {str(cache / pinned(content).folder_name)}
    assert names(cache) == sorted([pinned(content).zip_name, pinned(content).folder_name])


def test_what_a_killed_process_left_is_removed_once_it_is_old(cache: Path) -> None:
    content = packed()
    cache.mkdir()
    old, fresh = cache / f".{pinned(content).zip_name}-old", cache / f".{pinned(content).zip_name}-fresh"
    old_folder = cache / f".{pinned(content).folder_name}-old"
    (cache / "mine").touch()
    old.touch()
    fresh.touch()
    (old_folder / "lib").mkdir(parents=True)
    long_ago = time.time() - download.ABANDONED_SECONDS - 60
    for path in (old, old_folder, cache / "mine"):
        os.utime(path, (long_ago, long_ago))
    with serving(Repository(content)) as repository:
        server_files(pinned(content), cache=cache, repository=repository.url)

    assert names(cache) == sorted([fresh.name, "mine", pinned(content).zip_name, pinned(content).folder_name])


def test_without_a_terminal_the_progress_is_one_line_on_stderr(cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = packed()
    with serving(Repository(content)) as repository:
        server_files(pinned(content), cache=cache, repository=repository.url)

    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"downloading Elasticsearch {VERSION}")
    assert captured.err.count("\n") == 1


def test_a_cache_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DownloadFailed, match="cannot be used") as failure:
        server_files(pinned(packed()), cache=tmp_path / "file" / "cache")

    assert "RETENTION_ENFORCER_CACHE" in failure.value.remedy


@pytest.mark.parametrize(
    ("chosen", "xdg", "expected"),
    [
        ("/a/cache", "/b", "/a/cache"),
        ("", "/b", "/b/retention-enforcer"),
        ("", "relative", "/home/somebody/.cache/retention-enforcer"),
        ("", "", "/home/somebody/.cache/retention-enforcer"),
    ],
)
def test_the_cache_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, chosen: str, xdg: str, expected: str
) -> None:
    monkeypatch.setenv("RETENTION_ENFORCER_CACHE", chosen)
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    monkeypatch.setenv("HOME", "/home/somebody")

    assert str(cache_folder()) == expected


def test_an_unknown_version_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        distribution_of("7.0.0")

    assert all(version in refusal.value.remedy for version in DISTRIBUTIONS)
