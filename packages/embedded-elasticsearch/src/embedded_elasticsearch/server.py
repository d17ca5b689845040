"""A real Elasticsearch for tests and demonstrations: one node on the loopback interface, with security.

    with EmbeddedServer() as server:
        print(server.url, server.admin.username)

It ends with its caller, whatever happens to that one, and then leaves nothing behind; only a SIGKILL in
the second before the server's processes start leaves their temporary folder. `python -m
embedded_elasticsearch` runs one until Ctrl-C.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from embedded_elasticsearch import watchdog
from embedded_elasticsearch.configuration import (
    DATA,
    PORTS_FILE,
    SNAPSHOTS,
    Certificate,
    Installation,
    Login,
    ServerFailed,
    configure,
)
from embedded_elasticsearch.download import DEFAULT_VERSION, distribution_of, server_files
from embedded_elasticsearch.owner import NoPlace, Owner, memory_folder, server_owner, within_reach, work_folder
from embedded_elasticsearch.runtime import runtime_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ADMIN = "admin"
BOOT_SECONDS = 180.0  # measured on two cores: 6 s (8.17.4), 9 s (9.5.3); a busy machine takes many times that
LOOK_SECONDS = 0.05
ANSWER_SECONDS = 10.0
LOG_LINES, LINE_LENGTH = 15, 400  # of the server's log in an error


class EmbeddedServer:
    """One Elasticsearch, stopped and removed at the end of the `with` block, or with this process.

    `users` (name -> roles) and `roles` (name -> descriptor as in roles.yml) come on top of the superuser
    `admin`; all passwords are random. `settings` override those in `configuration.SETTINGS`; with a
    `certificate` for 127.0.0.1 it speaks TLS. `folder`, if given, holds the data and the snapshots and
    survives; else they go with the server, and with `in_memory` they are in memory where the system has room
    for them there: each change of an index waits for the disk several times. `kill()` and `stop()` may be
    followed by `start()`: same data, same address, same users. Raises `EmbeddedServerError` with its remedy
    where there is no server to be had here.
    """

    def __init__(
        self,
        *,
        version: str = DEFAULT_VERSION,
        heap: str = "512m",
        users: Mapping[str, Sequence[str]] | None = None,
        roles: Mapping[str, Mapping[str, object]] | None = None,
        settings: Mapping[str, str] | None = None,
        certificate: Certificate | None = None,
        folder: Path | None = None,
        in_memory: bool = False,
        boot_seconds: float = BOOT_SECONDS,
    ) -> None:
        self.version = version
        self.boot_seconds = boot_seconds
        self._heap = heap
        self._users = {ADMIN: ["superuser"], **(users or {})}
        self._roles = roles or {}
        self._settings = dict(settings or {})
        self._certificate = certificate
        self._folder = folder
        self._in_memory = in_memory
        self._distribution = distribution_of(version)
        self._installation: Installation | None = None
        self._logins: dict[str, Login] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._port: int | None = None
        self._served = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Address of the server, without credentials; the same after a restart."""
        self._started()
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self._port}"

    @property
    def admin(self) -> Login:
        """The superuser."""
        return self.user(ADMIN)

    def user(self, name: str) -> Login:
        """Return the login of one of the users; raises `KeyError` for a name not among them."""
        self._started()
        return self._logins[name]

    @property
    def data_folder(self) -> Path:
        """Where the server keeps its indices."""
        return self._started().storage / DATA

    @property
    def snapshots_folder(self) -> Path:
        """The one location that a snapshot repository of type `fs` may have."""
        return self._started().storage / SNAPSHOTS

    @property
    def log(self) -> Path:
        """All that the server printed since its first start."""
        return self._started().work / "console.log"

    @property
    def running(self) -> bool:
        """Whether the server's processes are there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it answers; else nothing of this attempt is left."""
        if self.running:
            return
        self.kill()  # what is left of one that ended by itself
        try:
            installation = self._prepared()
            (installation.logs / PORTS_FILE).unlink(missing_ok=True)
            self._process = self._spawn(installation)
            self._wait_until_ready(installation)
        except BaseException:  # Ctrl-C as well: the server must not outlive the attempt
            self.kill()
            if not self._served:
                self.close()
            raise
        self._served = True

    def stop(self) -> None:
        """Let the server end in order; what it holds is there at the next start."""
        self._end(b"stop\n")

    def kill(self) -> None:
        """End the server by SIGKILL, as a crash would; returns when its processes are gone."""
        self._end(b"kill\n")

    def close(self) -> None:
        """End the server and remove what it left, but for a folder that the caller gave."""
        if self._folder is None:
            self.kill()  # nothing will read what it could still write
        else:
            self.stop()
        if self._installation is not None:
            _remove(self._temporary(self._installation))
            self._installation = None

    def _temporary(self, installation: Installation) -> list[Path]:
        """Return the folders that go with the server."""
        return [installation.work] if self._folder is not None else [installation.work, installation.storage]

    def _started(self) -> Installation:
        if self._installation is None:
            raise ServerFailed("the embedded server is not started, or it is closed")
        return self._installation

    def _prepared(self) -> Installation:
        """Fetch, place and configure everything, once; users and passwords stay from then on."""
        if self._installation is None:
            self._port, self._served = None, False
            runtime = runtime_for(self._distribution)
            files, owner = server_files(self._distribution), server_owner()
            work, memory = work_folder(owner), None
            try:
                memory = memory_folder(owner) if self._in_memory and self._folder is None else None
                installation = Installation(
                    home=within_reach(files, owner, work / "server"),
                    runtime=replace(runtime, home=within_reach(runtime.home, owner, work / "java")),
                    work=work,
                    storage=_storage(self._folder or memory or work, owner),
                    owner=owner,
                )
                self._logins = configure(
                    installation,
                    heap=self._heap,
                    settings=self._settings,
                    roles=self._roles,
                    users=self._users,
                    certificate=self._certificate,
                )
            except BaseException:
                _remove([work, *([memory] if memory else [])])
                raise
            self._installation = installation
        return self._installation

    def _spawn(self, installation: Installation) -> subprocess.Popen[bytes]:
        # On the command line: the folder belongs to the server's user by now, and root writes nothing there.
        same_port = ["-E", f"http.port={self._port}"] if self._port else []
        specification = {
            "parent": os.getpid(),
            "command": [installation.script("elasticsearch"), *same_port],
            "environment": installation.environment,
            "identity": installation.owner.identity,
            "temporary": [str(folder) for folder in self._temporary(installation)],
        }
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - this Python, a file of this package
                [sys.executable, "-I", watchdog.__file__, json.dumps(specification)],
                bufsize=0,  # a word is on its way once it is written
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=installation.work,
                start_new_session=True,
            )

    def _wait_until_ready(self, installation: Installation) -> None:
        deadline = time.monotonic() + self.boot_seconds
        while not self._answers(installation):
            if not self.running:
                raise self._failure("ended during its start")
            if time.monotonic() > deadline:
                raise self._failure(f"did not answer within {self.boot_seconds:.0f} s")
            time.sleep(LOOK_SECONDS)

    def _answers(self, installation: Installation) -> bool:
        """Whether the server has bound its port and holds all its primary shards."""
        try:
            address = (installation.logs / PORTS_FILE).read_text(encoding="utf-8").split()[0]
        except FileNotFoundError:
            return False
        self._port = int(address.rpartition(":")[2])
        credentials = base64.b64encode(f"{ADMIN}:{self.admin.password}".encode()).decode()
        connection = self._connection(self._port)
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request(
                "GET",
                "/_cluster/health?wait_for_status=yellow&timeout=1s",
                headers={"Authorization": f"Basic {credentials}"},
            )
            return connection.getresponse().status == http.HTTPStatus.OK
        return False

    def _connection(self, port: int) -> http.client.HTTPConnection:
        if self._certificate is None:
            return http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
        context = ssl.create_default_context(cadata=self._certificate.authority)
        return http.client.HTTPSConnection("127.0.0.1", port, timeout=ANSWER_SECONDS, context=context)

    def _failure(self, what: str) -> ServerFailed:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        telling = [line for line in lines if line and not line.startswith("\tat ")]  # Java's stack traces
        said = "\n".join(f"    {line[:LINE_LENGTH]}" for line in telling[-LOG_LINES:])
        return ServerFailed(f"Elasticsearch {self.version} {what}. Its last lines:\n{said}")

    def _end(self, word: bytes) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            with suppress(BrokenPipeError), process.stdin:  # broken where it has ended by itself
                process.stdin.write(word)
        process.wait()


def _remove(folders: Sequence[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _storage(folder: Path, owner: Owner) -> Path:
    """Return `folder`, made if missing and checked to be open to the server's user."""
    storage = folder.absolute()
    storage.mkdir(parents=True, exist_ok=True)
    if not owner.reaches(storage):
        raise NoPlace(
            f"user {owner.name}, as which the embedded server runs, cannot read {storage}",
            "name a folder that other users can read, as well as its parents (mode 755), or name none",
        )
    return storage
