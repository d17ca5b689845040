"""The whole on a server with TLS whose users have the shipped roles, from the shipped file, and nothing more."""

from __future__ import annotations

import hashlib
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from elasticsearch import ApiError, Elasticsearch
from elasticsearch.helpers import bulk

from embedded_elasticsearch import Certificate, EmbeddedServer
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY, format_instant
from retention_enforcer.domain.policy.names import OWN
from retention_enforcer.domain.privileges import AccessRole, role_name
from workbench import KEY, Ran, Workbench

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "config" / "trtc.yaml"
ROLES = ROOT / "deploy" / "roles" / "roles.yml"
RELOAD_SECONDS = 60.0  # the server looks at the file every five seconds
OLD, CANARY = "trtc-backend-logs-2020.01.01", "canary-4711"
SPOKEN = "canary in what somebody wrote"


@dataclass(frozen=True)
class Site:
    """A server, its superuser, and a folder with what its clients need. Its runs do not wait for erasures."""

    server: EmbeddedServer
    es: Elasticsearch
    folder: Path

    def run(self, role: AccessRole | None, *arguments: str, **settings: str) -> Ran:
        """Run a command as the user who has this role alone, or as the superuser."""
        login = self.server.user(role.value) if role else self.server.admin
        environ = {
            "ENFORCER_MODE": "enforce",
            "ENFORCER_POLICY_FILE": str(POLICY),
            "ENFORCER_PSEUDONYM_KEY": KEY,
            "ENFORCER_GRACE": "0s",
            "ENFORCER_ELASTICSEARCH_URL": self.server.url,
            "ENFORCER_ELASTICSEARCH_CA_CERTS": str(self.folder / "ca.pem"),
            "ENFORCER_ELASTICSEARCH_USERNAME": login.username,
            "ENFORCER_ELASTICSEARCH_PASSWORD": login.password,
            **settings,
        }
        bench = Workbench(es=self.es, url="", username="", password="", prefix="", folder=self.folder)
        bench.erases_for = 0
        return bench.run(*arguments, environ=environ)

    def client(self, role: AccessRole) -> Elasticsearch:
        login = self.server.user(role.value)
        ca = str(self.folder / "ca.pem")
        return Elasticsearch(self.server.url, basic_auth=(login.username, login.password), ca_certs=ca, max_retries=0)


@pytest.fixture(scope="module")
def site(own_server: Callable[..., EmbeddedServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, ca = tmp_path_factory.mktemp("site"), trustme.CA()
    issued = ca.issue_cert("127.0.0.1")
    certificate = Certificate(
        key=issued.private_key_pem.bytes().decode(),
        # With the authority, as a server that set itself up sends it: its fingerprint is what such a server shows.
        chain="".join(pem.bytes().decode() for pem in (*issued.cert_chain_pems, ca.cert_pem)),
        authority=ca.cert_pem.bytes().decode(),
    )
    (folder / "ca.pem").write_text(certificate.authority)
    server = own_server(certificate=certificate, users={role.value: [role_name(role)] for role in AccessRole})
    admin = (server.admin.username, server.admin.password)
    with closing(Elasticsearch(server.url, basic_auth=admin, ca_certs=str(folder / "ca.pem"), max_retries=0)) as es:
        found = Site(server, es, folder)
        # As an administrator would: the shipped file, letter by letter, in the place of the server's own.
        (server.log.parent / "config" / "roles.yml").write_text(ROLES.read_text())
        _wait_for_roles(found)
        yield found
    server.close()


def _wait_for_roles(site: Site) -> None:
    deadline = time.monotonic() + RELOAD_SECONDS
    with closing(site.client(AccessRole.ENFORCER)) as client:
        while not client.security.has_privileges(cluster=["manage_ilm"])["has_all_requested"]:
            assert time.monotonic() < deadline, "the server does not take up deploy/roles/roles.yml"
            time.sleep(0.2)


def _fill(site: Site) -> None:
    now = SystemClock().now()
    fields = {"@timestamp": {"type": "date"}, **{n: {"type": "keyword"} for n in ("sdkappid", "uin", "user_id")}}
    for name in (OLD, "trtc-backend-logs-young", "trtc-sdkappid", "trtc-console-configuration", "elsewhere"):
        site.es.indices.create(index=name, settings={"number_of_replicas": 0}, mappings={"properties": fields})
    documents: list[dict[str, Any]] = [
        *({"_index": OLD, "@timestamp": now - 20 * DAY, "sdkappid": str(n)} for n in range(50)),
        *({"_index": "trtc-backend-logs-young", "@timestamp": now - DAY, "sdkappid": str(n)} for n in range(50)),
        {"_index": "trtc-sdkappid", "@timestamp": now - 20 * DAY, "sdkappid": "1"},
        {"_index": "trtc-sdkappid", "@timestamp": now - DAY, "sdkappid": CANARY},
        {"_index": "trtc-console-configuration", "@timestamp": now - DAY, "uin": CANARY, "sdkappid": CANARY},
        {"_index": "elsewhere", "@timestamp": now - DAY, "sdkappid": "1", "user_id": "u"},
    ]
    bulk(site.es, documents, refresh=True)


def _left(site: Site, index: str) -> int:
    return int(site.es.count(index=index)["count"])


def test_each_role_does_its_part_and_no_log_line_holds_a_secret_or_a_subject(
    site: Site,
) -> None:
    _fill(site)
    said: list[Ran] = []

    def ran(role: AccessRole | None, *arguments: str, code: int = 0, **settings: str) -> Ran:
        said.append(site.run(role, *arguments, **settings))
        assert said[-1].code == code, (arguments, said[-1].out, said[-1].err)
        return said[-1]

    setup = ran(None, "setup")
    assert "note: no roles were created:" in setup.err  # this server keeps no roles of its own; the file has them
    ran(AccessRole.READER, "plan")
    assert "is not allowed to" in ran(AccessRole.READER, "policy", "accept", code=1).err
    ran(AccessRole.OPERATOR, "policy", "accept")
    ran(AccessRole.ENFORCER, "check")
    with closing(site.client(AccessRole.REGISTRAR)) as registrar:
        asked = {"kind": "account", "id": CANARY, "action": "erase", "requested_by": "console", "reason": SPOKEN}
        registrar.create(index=OWN.requests, id="one", document=asked)
    first = ran(AccessRole.ENFORCER, "run", "--once", ENFORCER_LOG_LEVEL="debug")
    assert not site.es.indices.exists(index=OLD)
    assert _left(site, "trtc-backend-logs-young") == 50
    assert _left(site, "trtc-sdkappid") == 0
    assert _left(site, "trtc-console-configuration") == 0
    assert "elsewhere" in first.err  # found outside the policy
    ran(AccessRole.ENFORCER, "run", "--once")
    ran(AccessRole.READER, "report")
    ran(AccessRole.READER, "terminations", "--output", "json")
    ran(AccessRole.READER, "ledger", "verify")
    ran(AccessRole.OPERATOR, "stop")
    old = format_instant(SystemClock().now() - 20 * DAY)
    site.es.index(index=OLD, document={"@timestamp": old}, refresh=True)
    said.append(site.run(AccessRole.ENFORCER, "run", "--once"))
    assert site.es.indices.exists(index=OLD)
    ran(AccessRole.OPERATOR, "resume")
    ran(AccessRole.ENFORCER, "run", "--once")
    assert not site.es.indices.exists(index=OLD)
    ran(
        AccessRole.OPERATOR,
        "hold",
        "add",
        "--category",
        "sdk-logs",
        "--owner",
        "legal",
        "--reason",
        "x",
        "--until",
        "2099-01-01",
    )
    ran(AccessRole.ENFORCER, "run", "--once", ENFORCER_LOG_LEVEL="debug")

    secrets = [KEY, site.server.admin.password, *(site.server.user(role.value).password for role in AccessRole)]
    for command in said:
        for secret in secrets:
            assert secret not in command.out + command.err
        for line in command.err.splitlines():
            assert CANARY not in line
            assert SPOKEN not in line
    records = [hit["_source"] for hit in site.es.search(index=OWN.ledger, size=1_000)["hits"]["hits"]]
    assert records
    assert CANARY not in json.dumps(records)
    assert SPOKEN not in json.dumps(records)


def test_the_reader_deletes_nothing_and_the_registrar_reads_nothing(site: Site) -> None:
    with closing(site.client(AccessRole.READER)) as reader, closing(site.client(AccessRole.REGISTRAR)) as registrar:
        for attempt in (
            lambda: reader.indices.delete(index="trtc-backend-logs-young"),
            lambda: reader.index(index="trtc-backend-logs-young", document={}),
            lambda: reader.delete(index=OWN.ledger_index, id="000000000001"),
            lambda: registrar.search(index=OWN.requests),
            lambda: registrar.search(index="trtc-backend-logs-young"),
            lambda: registrar.delete(index=OWN.requests, id="one"),
        ):
            with pytest.raises(ApiError) as refused:
                attempt()
            assert refused.value.meta.status == 403


def test_a_certificate_by_its_fingerprint_is_enough(site: Site) -> None:
    pem = (site.folder / "ca.pem").read_text()
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    trust = {"ENFORCER_ELASTICSEARCH_CA_CERTS": "", "ENFORCER_ELASTICSEARCH_CA_FINGERPRINT": fingerprint}
    assert site.run(AccessRole.READER, "plan", **trust).code == 0
    wrong = site.run(AccessRole.READER, "plan", **{**trust, "ENFORCER_ELASTICSEARCH_CA_FINGERPRINT": "0" * 64})
    assert wrong.code == 1
    assert "given fingerprint" in wrong.err


def test_without_security_there_is_nothing_to_check_and_that_is_said_once(
    own_server: Callable[..., EmbeddedServer], tmp_path: Path
) -> None:
    with own_server(settings={"xpack.security.enabled": "false"}) as server, closing(Elasticsearch(server.url)) as es:
        bench = Workbench(es=es, url=server.url, username="", password="", prefix="open-", folder=tmp_path)
        assert "no roles were created, because the security of the cluster is off" in bench.run("setup").out
        refused = bench.run("setup", "--key", "reader")
        assert (refused.code, "remove --key" in refused.err) == (2, True)
        assert bench.run("policy", "accept").code == 0
        shown = bench.run("check")
        assert (shown.code, "the security of the cluster is off" in shown.out) == (0, True)
        assert bench.run("run", "--once").err.count("the security of the cluster is off") == 1
