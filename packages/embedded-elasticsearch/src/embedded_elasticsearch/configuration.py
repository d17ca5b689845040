"""The configuration folder of the embedded server: settings, Java options, roles and users, all by file."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from embedded_elasticsearch.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from embedded_elasticsearch.owner import Owner
    from embedded_elasticsearch.runtime import Runtime

TOOL_SECONDS = 120
DATA, SNAPSHOTS = "data", "snapshots"
PORTS_FILE = "http.ports"  # the server's own name for it, below its log folder

SETTINGS: Mapping[str, str] = {
    "cluster.name": "embedded",
    "node.name": "embedded",
    "discovery.type": "single-node",
    "network.host": "127.0.0.1",
    # Port 0: the system picks a free one while binding, so nobody can take it in between ...
    "http.port": "0",
    "transport.port": "0",
    # ... and the server tells which one it was in `PORTS_FILE`.
    "node.portsfile": "true",
    "xpack.security.enabled": "true",
    "xpack.security.autoconfiguration.enabled": "false",
    "cluster.max_shards_per_node": "3000",
    # A full disk of the host is not what demonstrations or tests are about.
    "cluster.routing.allocation.disk.threshold_enabled": "false",
}

DROPPED_OPTIONS = ("GC", "-Xlog:gc", "HeapDump", "-XX:ErrorFile")
"""Parts of lines of the distribution's jvm.options: another collector, files written beside the server."""

LAUNCHER_OPTIONS = "-XX:TieredStopAtLevel=1"  # short-lived processes: measured 1.4 s -> 0.9 s for a tool


class ServerFailed(EmbeddedServerError):
    """The embedded server did not start, or ended by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """A user of the server; the password never shows in a repr."""

    username: str
    password: str = field(repr=False)

    @classmethod
    def random(cls, username: str) -> Login:
        """Return a login with a new password."""
        return cls(username=username, password=secrets.token_urlsafe(18))


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """What a server needs to speak TLS, and who talks to it to believe it; all in PEM."""

    key: str = field(repr=False)
    chain: str
    authority: str

    @property
    def settings(self) -> dict[str, str]:
        """The settings that name its files."""
        prefix = "xpack.security.http.ssl"
        return {f"{prefix}.enabled": "true", f"{prefix}.key": "http.key", f"{prefix}.certificate": "http.crt"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """Where one server finds what it needs: `work` is for this run alone, `storage` may survive it."""

    home: Path
    runtime: Runtime
    work: Path
    storage: Path
    owner: Owner

    @property
    def config(self) -> Path:
        """The configuration folder."""
        return self.work / "config"

    @property
    def logs(self) -> Path:
        """The log folder."""
        return self.work / "logs"

    @property
    def temporary(self) -> Path:
        """The folder for temporary files."""
        return self.work / "tmp"

    @property
    def environment(self) -> dict[str, str]:
        """All that the server's scripts see of an environment: none of the caller's Java options."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.temporary),
            "ES_JAVA_HOME": str(self.runtime.home),
            "ES_PATH_CONF": str(self.config),
            "ES_TMPDIR": str(self.temporary),
            "CLI_JAVA_OPTS": LAUNCHER_OPTIONS,
        }

    def script(self, name: str) -> str:
        """Path of one of the server's own scripts."""
        return str(self.home / "bin" / name)


def configure(
    installation: Installation,
    *,
    heap: str,
    settings: Mapping[str, str],
    roles: Mapping[str, Mapping[str, object]],
    users: Mapping[str, Sequence[str]],
    certificate: Certificate | None = None,
) -> dict[str, Login]:
    """Make the folders of the server; returns a login with a new password for each user (name -> roles)."""
    owner, config, storage = installation.owner, installation.config, installation.storage
    for folder in (installation.logs, installation.temporary, storage / DATA, storage / SNAPSHOTS):
        owner.private_folder(folder)
    shutil.copytree(installation.home / "config", config)
    config.chmod(0o700)
    secured = certificate.settings if certificate else {}
    files = {
        "elasticsearch.yml": _settings(installation, {**secured, **settings}),
        "jvm.options": _java_options(installation, heap),
        # One role a line: Elasticsearch cuts the file at line starts before it reads it as YAML.
        "roles.yml": "".join(f"{name}: {json.dumps(role)}\n" for name, role in roles.items()),
    }
    if certificate is not None:
        files |= {"http.key": certificate.key, "http.crt": certificate.chain}
    for name, text in files.items():
        (config / name).write_text(text, encoding="utf-8")
    owner.give(config)
    logins = {name: Login.random(name) for name in users}
    for name, login in logins.items():
        _add_user(installation, login, users[name])
    return logins


def _settings(installation: Installation, settings: Mapping[str, str]) -> str:
    paths = {
        "path.data": str(installation.storage / DATA),
        "path.logs": str(installation.logs),
        "path.repo": str(installation.storage / SNAPSHOTS),
    }
    merged = {**SETTINGS, **paths, **settings}
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in merged.items())


def _java_options(installation: Installation, heap: str) -> str:
    original = (installation.home / "config" / "jvm.options").read_text(encoding="utf-8")
    dropped = list(DROPPED_OPTIONS)
    if "jdk.incubator.vector" not in installation.runtime.modules:
        dropped.append("jdk.incubator.vector")
    kept = [line for line in original.splitlines() if not any(part in line for part in dropped)]
    small = [
        f"-Xms{heap}",
        f"-Xmx{heap}",
        "-XX:-AlwaysPreTouch",  # memory that is never used is never taken
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",  # short-lived: compile fast rather than well
    ]
    return "\n".join([*kept, *small]) + "\n"


def _add_user(installation: Installation, login: Login, roles: Sequence[str]) -> None:
    """Add a user by Elasticsearch's own tool; the password goes by its input: command lines are public."""
    try:
        tool = subprocess.run(  # noqa: S603 - the server's own script
            [installation.script("elasticsearch-users"), "useradd", login.username, "-r", ",".join(roles)],
            input=f"{login.password}\n{login.password}\n",
            env=installation.environment,
            capture_output=True,
            text=True,
            timeout=TOOL_SECONDS,
            check=False,
            **installation.owner.identity,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerFailed(f"user {login.username} could not be added to the embedded server: {error}") from error
    if tool.returncode != 0:
        said = (tool.stderr or tool.stdout).strip()
        raise ServerFailed(f"user {login.username} could not be added to the embedded server: {said}")
