"""The client as it is on the wire, and what becomes of each way in which a request can fail."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from elasticsearch import ApiError, Elasticsearch

from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster import client as client_module
from retention_enforcer.cluster.client import READ_RETRIES, connect, find_one_that_answers
from retention_enforcer.cluster.errors import from_answer, one_line, translated
from retention_enforcer.cluster.preflight import cluster_facts
from retention_enforcer.domain.errors import (
    ClusterUnavailable,
    ConfigurationError,
    OutcomeUnknown,
    Refused,
    RequestRejected,
    RetentionError,
)
from retention_enforcer.domain.instants import DAY
from workbench import Workbench

if TYPE_CHECKING:
    from conftest import Server

ELASTICSEARCH = {"X-Elastic-Product": "Elasticsearch", "Content-Type": "application/json"}

# A key that guards nothing, and its certificate: for the name localhost and no address, valid from 2015 to 2125.
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgiNvNDuMnkHF5DHq/
8N3IT3P4yXSn+KL5YSOk0s+qIpihRANCAATddTl2bppLMgMSWBHQIxiKDbKCiqTA
Se26KFJhnqC/IsNe+DIClOpxHXNXZXFc5xRSKqNbE66qiKa0qFOWBp3t
-----END PRIVATE KEY-----
"""
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBcjCCARegAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMTUwMTAxMDAwMDAwWhgPMjEyNTAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABN11OXZumksyAxJY
EdAjGIoNsoKKpMBJ7booUmGeoL8iw174MgKU6nEdc1dlcVznFFIqo1sTrqqIprSo
U5YGne2jWDBWMBQGA1UdEQQNMAuCCWxvY2FsaG9zdDAOBgNVHQ8BAf8EBAMCAoQw
DwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQUGIxvW37Wla3H/OJxM8hz6Lz86Mow
CgYIKoZIzj0EAwIDSQAwRgIhALCDUK+08+SpHfTksKXZo13+dR+sXvi5M/50v6KV
gaxHAiEA4mKU87dAbV9o7ig8DROBDJg5QWS7i+t/2t6g208dQV8=
-----END CERTIFICATE-----
"""


@dataclass
class Peer:
    """Something that listens, and remembers what it was sent."""

    port: int = 0
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    def client(self, **more: Any) -> Elasticsearch:
        return connect([self.url], **{"timeout": 10, **more})


@contextmanager
def listening(
    answer: Callable[[BaseHTTPRequestHandler], None], tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[Peer]:
    peer = Peer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            peer.requests.append((f"{self.command} {self.path}", {k.lower(): v for k, v in self.headers.items()}, body))
            answer(self)

        do_GET = do_POST = do_DELETE = do_PUT = handle_any  # noqa: N815 - the names that the library calls

        def log_message(self, *_: Any) -> None: ...

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None: ...  # a handshake that the client breaks off is no news

    server = Quiet(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    peer.port = server.server_address[1]
    peer.url = f"{'https' if tls else 'http'}://{host}:{peer.port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answering(
    status: int, body: Any, headers: dict[str, str] = ELASTICSEARCH
) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        content = json.dumps(body).encode()
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def silent_until(released: threading.Event) -> Callable[[BaseHTTPRequestHandler], None]:
    def wait(_: BaseHTTPRequestHandler) -> None:
        released.wait(20)

    return wait


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    with suppress(OSError):
        handler.connection.shutdown(socket.SHUT_RDWR)


def failure_of(client: Elasticsearch, *, destructive: bool) -> RetentionError:
    once = client.options(max_retries=0)
    request = partial(once.indices.delete, index="a") if destructive else client.cluster.health
    with closing(client), pytest.raises(RetentionError) as failed, translated(destructive=destructive):
        request()
    assert "\n" not in failed.value.message
    assert len(failed.value.message) < 400
    assert failed.value.remedy
    return failed.value


# --- on the wire --------------------------------------------------------------------------------------


def test_requests_say_who_sends_them_and_are_not_compressed() -> None:
    with listening(answering(200, {})) as peer, closing(peer.client(opaque_id="retention-enforcer/cycle-1")) as client:
        client.search(index="a", query={"match_all": {}})
    ((request, headers, body),) = peer.requests
    assert request == "POST /a/_search"
    assert headers["user-agent"].startswith("retention-enforcer/")
    assert headers["x-opaque-id"] == "retention-enforcer/cycle-1"
    assert "content-encoding" not in headers
    assert json.loads(body) == {"query": {"match_all": {}}}


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [({"api_key": "secret-key"}, "ApiKey secret-key"), ({"basic_auth": ("me", "secret")}, "Basic bWU6c2VjcmV0")],
)
def test_credentials_are_sent_and_not_shown(credentials: dict[str, Any], expected: str) -> None:
    with listening(answering(401, {"error": {"type": "security_exception", "reason": "no"}})) as peer:
        client = peer.client(**credentials)
        failed = failure_of(client, destructive=False)
    assert peer.requests[0][1]["authorization"] == expected
    assert "secret" not in repr(client) + str(failed) + repr(failed)


def test_reads_are_repeated_and_deletions_are_not() -> None:
    with listening(answering(503, {})) as peer:
        failure_of(peer.client(), destructive=False)
        reads = len(peer.requests)
        failure_of(peer.client(), destructive=True)
    assert (reads, len(peer.requests) - reads) == (1 + READ_RETRIES, 1)


def test_a_read_that_timed_out_is_not_repeated() -> None:
    released = threading.Event()
    with listening(silent_until(released)) as peer:
        failure_of(peer.client(timeout=0.3), destructive=False)
        released.set()
    assert len(peer.requests) == 1


def test_a_node_that_answers_is_asked_and_one_that_is_silent_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_GREETING", 0.3)
    released, silent = threading.Event(), list[int]()
    speak, say_nothing = answering(200, {}), silent_until(released)

    def first_is_silent(handler: BaseHTTPRequestHandler) -> None:
        port = handler.connection.getsockname()[1]
        if not silent:
            silent.append(port)
        (say_nothing if port in silent else speak)(handler)

    with (
        listening(first_is_silent) as one,
        listening(first_is_silent) as other,
        closing(connect([one.url, other.url], timeout=30)) as client,
    ):
        began = time.monotonic()
        find_one_that_answers(client)
        for _ in range(3):
            time.sleep(0.6)  # a node that failed is set aside by the library for a second
            client.cluster.health()
        assert time.monotonic() - began < 10
        released.set()
    assert sorted([len(one.requests), len(other.requests)]) == [1, 4]


def test_one_that_refuses_a_login_has_answered_and_where_none_answers_the_next_request_says_so() -> None:
    refusal = {"error": {"type": "security_exception", "reason": "no"}}
    with (
        listening(answering(401, refusal)) as one,
        listening(answering(401, refusal)) as other,
        closing(connect([one.url, other.url])) as client,
    ):
        find_one_that_answers(client)
    assert len(one.requests) + len(other.requests) == 1
    with closing(connect(["http://127.0.0.1:9", "http://127.0.0.1:10"])) as client:
        find_one_that_answers(client)
        with pytest.raises(ClusterUnavailable), translated():
            client.cluster.health()


@pytest.mark.parametrize(("status", "goes_on"), [(405, False), (413, False), (404, False), (500, True), (503, True)])
def test_a_node_that_says_no_is_asked_again_and_one_that_fails_is_not(status: int, *, goes_on: bool) -> None:
    with (
        listening(answering(status, {})) as one,
        listening(answering(status, {})) as other,
        closing(connect([one.url, other.url])) as client,
    ):
        for _ in range(2):
            with pytest.raises(ApiError):
                client.options(max_retries=0).cluster.health()
    assert (len(one.requests) == len(other.requests) == 1) is goes_on


def test_where_there_is_no_choice_nothing_is_asked() -> None:
    with listening(answering(200, {})) as alone, closing(connect([alone.url])) as client:
        find_one_that_answers(client)
    assert alone.requests == []


def test_a_run_is_not_kept_by_nodes_that_take_connections_and_say_nothing(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_GREETING", 1.0)
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    bench.ready()
    with ExitStack() as stack:
        silent = [stack.enter_context(closing(socket.create_server(("127.0.0.1", 0)))) for _ in range(3)]
        urls = [f"http://127.0.0.1:{one.getsockname()[1]}" for one in silent]
        began = time.monotonic()
        ran = replace(bench, url=",".join([*urls, bench.url])).run("run", "--once")
    assert (ran.code, bench.is_gone("logs-a")) == (0, True), ran.err
    assert time.monotonic() - began < 30, "as long as one request to one of them would be waited for"


@pytest.mark.parametrize("url", ["localhost:9200", "ftp://localhost:9200", "http://localhost:port"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="the client cannot be configured"):
        connect([url])


@pytest.mark.parametrize(
    ("url", "port"), [("http://h", 80), ("https://h", 443), ("https://h/path", 443), ("http://h:9200", 9200)]
)
def test_an_address_without_a_port_means_that_of_its_scheme(url: str, port: int) -> None:
    with closing(connect([url])) as client:
        (node,) = client.transport.node_pool.all()
        assert node.config.port == port


def test_an_authority_that_cannot_be_read_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        connect(["https://localhost:9200"], ca_certs=tmp_path / "absent.pem")
    (tmp_path / "empty.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError):
        connect(["https://localhost:9200"], ca_certs=tmp_path / "empty.pem")
    with pytest.raises(ConfigurationError, match="ingerprint"):
        connect(["https://localhost:9200"], ca_fingerprint="abc")


# --- no answer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("destructive", [False, True])
def test_a_refused_connection_means_that_nothing_was_done(*, destructive: bool) -> None:
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        failed = failure_of(connect([f"http://127.0.0.1:{taken.getsockname()[1]}"]), destructive=destructive)
    assert type(failed) is ClusterUnavailable
    assert "refused" in failed.message


@pytest.mark.parametrize(("destructive", "expected"), [(False, ClusterUnavailable), (True, OutcomeUnknown)])
def test_a_connection_that_breaks_after_the_request_may_have_carried_it_out(
    *, destructive: bool, expected: type[RetentionError]
) -> None:
    with listening(hang_up) as peer:
        assert type(failure_of(peer.client(), destructive=destructive)) is expected
    assert peer.requests


ANSWER = (
    b"HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\ncontent-type: application/json\r\n"
    b'content-length: 21\r\n\r\n{"acknowledged":true}'
)


def cut_after(size: int) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(ANSWER[:size])
        hang_up(handler)

    return answer


def test_an_answer_that_is_cut_anywhere_is_none() -> None:
    with listening(cut_after(len(ANSWER))) as peer, closing(peer.client()) as client:
        assert client.indices.delete(index="a")["acknowledged"] is True
    for size in range(1, len(ANSWER)):
        with listening(cut_after(size)) as peer:
            failed = failure_of(peer.client(), destructive=True)
        assert type(failed) is OutcomeUnknown, f"cut after {ANSWER[:size]!r}: {failed}"


@pytest.mark.parametrize("destructive", [False, True])
def test_an_answer_that_does_not_come_in_time_leaves_the_outcome_unknown(*, destructive: bool) -> None:
    released = threading.Event()
    with listening(silent_until(released)) as peer:
        assert type(failure_of(peer.client(timeout=0.3), destructive=destructive)) is OutcomeUnknown
        released.set()


@pytest.mark.parametrize("destructive", [False, True])
def test_what_is_not_elasticsearch_is_told_apart(*, destructive: bool) -> None:
    with listening(answering(200, {}, {"Content-Type": "application/json"})) as peer:
        failed = failure_of(peer.client(), destructive=destructive)
    assert type(failed) is ClusterUnavailable
    assert "not Elasticsearch" in failed.message


# --- TLS ----------------------------------------------------------------------------------------------


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    (tmp_path / "cert.pem").write_text(CERTIFICATE)
    (tmp_path / "key.pem").write_text(KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


def fingerprint() -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(CERTIFICATE)).hexdigest()


def test_a_certificate_is_believed_by_its_authority_or_by_its_fingerprint(tls: ssl.SSLContext, tmp_path: Path) -> None:
    for trust in ({"ca_certs": tmp_path / "cert.pem"}, {"ca_fingerprint": fingerprint()}):
        with (
            listening(answering(200, {"status": "green"}), tls, "localhost") as peer,
            closing(peer.client(**trust)) as es,
        ):
            assert es.cluster.health()["status"] == "green"


@pytest.mark.parametrize("destructive", [False, True])
@pytest.mark.parametrize(
    ("host", "trust", "expected"),
    [
        ("localhost", "nobody", "self-signed"),
        ("127.0.0.1", "authority", "for another host name"),
        ("localhost", "fingerprint", "given fingerprint"),
    ],
)
def test_a_certificate_that_is_not_believed_says_why(
    tls: ssl.SSLContext, tmp_path: Path, host: str, trust: str, expected: str, *, destructive: bool
) -> None:
    trusts: dict[str, dict[str, Any]] = {
        "nobody": {},
        "authority": {"ca_certs": tmp_path / "cert.pem"},
        "fingerprint": {"ca_fingerprint": "0" * 64},
    }
    with listening(answering(200, {}), tls, host) as peer:
        failed = failure_of(peer.client(**trusts[trust]), destructive=destructive)
    assert type(failed) is ClusterUnavailable
    assert expected in failed.message
    assert not peer.requests


@dataclass(frozen=True)
class Authority:
    """Makes certificates for localhost, as they are wanted."""

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)

    @property
    def file(self) -> Path:
        self.ca.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        return self.folder / "ca.pem"

    def context(self, **about: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert("localhost", **about).configure_cert(context)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


BEFORE, EARLIER = datetime(2024, 1, 1, tzinfo=UTC), datetime(2023, 1, 1, tzinfo=UTC)
AHEAD, LATER = datetime(2090, 1, 1, tzinfo=UTC), datetime(2095, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("about", "expected", "remedy"),
    [
        ({"not_before": EARLIER, "not_after": BEFORE}, "has expired", "renew it"),
        ({"not_before": AHEAD, "not_after": LATER}, "not valid yet", "compare the clocks"),
    ],
)
def test_a_certificate_out_of_its_time_says_so(
    authority: Authority, about: dict[str, Any], expected: str, remedy: str
) -> None:
    with listening(answering(200, {}), authority.context(**about), "localhost") as peer:
        failed = failure_of(peer.client(ca_certs=authority.file), destructive=False)
    assert expected in failed.message
    assert remedy in failed.remedy


def test_a_certificate_of_an_unknown_authority_names_the_setting_that_is_missing(authority: Authority) -> None:
    with listening(answering(200, {}), authority.context(), "localhost") as peer:
        failed = failure_of(peer.client(), destructive=False)
    assert "signed by an unknown authority" in failed.message
    assert "ENFORCER_ELASTICSEARCH_CA_CERTS" in failed.remedy


def test_a_certificate_that_signed_itself_says_so(tls: ssl.SSLContext) -> None:
    with listening(answering(200, {}), tls, "localhost") as peer:
        failed = failure_of(peer.client(), destructive=False)
    assert "self-signed" in failed.message
    assert "ENFORCER_ELASTICSEARCH_CA_CERTS" in failed.remedy


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_certificate_of_the_client_says_so(authority: Authority, version: ssl.TLSVersion) -> None:
    context = authority.context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    context.maximum_version = version
    with listening(answering(200, {}), context, "localhost") as peer:
        # What a server says as it ends a connection of TLS 1.3 is lost where the client's words cross it: a few tries.
        said = {failure_of(peer.client(ca_certs=authority.file), destructive=False).message for _ in range(5)}
    assert any("a client certificate is required" in message for message in said), said


def test_a_server_with_tls_that_is_asked_without_it_gets_a_hint(tls: ssl.SSLContext) -> None:
    with listening(answering(200, {}), tls, "localhost") as peer:
        peer.url = peer.url.replace("https:", "http:")
        failed = failure_of(peer.client(), destructive=False)
    assert "write https:// in ENFORCER_ELASTICSEARCH_URL" in failed.remedy


# --- versions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (
            406,
            {"error": "Content-Type header [application/vnd.elasticsearch+json] is not supported"},
        ),
        (400, {"error": {"type": "media_type_header_exception", "reason": "Invalid media-type value on headers"}}),
    ],
)
def test_a_server_of_another_version_says_so_in_one_line(status: int, body: Any) -> None:
    with listening(answering(status, body)) as peer:
        failed = failure_of(peer.client(), destructive=False)
    assert "rejected this client" in failed.message
    assert "Elasticsearch 8.2 or newer" in failed.message


@pytest.mark.parametrize(("version", "fits"), [("7.17.29", False), ("8.1.3", False), ("8.2.0", True), ("9.0.0", True)])
def test_a_version_that_is_too_old_is_refused_before_anything_else(version: str, *, fits: bool) -> None:
    stats = {"cluster_uuid": "u", "cluster_name": "c", "timestamp": 1, "nodes": {"versions": ["9.0.0", version]}}
    with listening(answering(200, stats)) as peer, closing(peer.client()) as client:
        if fits:
            assert version in cluster_facts(client).version
        else:
            with pytest.raises(Refused, match=f"a node runs Elasticsearch {version}, "):
                cluster_facts(client)


def test_a_server_without_tls_says_so() -> None:
    with listening(answering(200, {})) as peer:
        peer.url = peer.url.replace("http:", "https:")
        failed = failure_of(peer.client(), destructive=False)
    assert "does not use TLS" in failed.message


# --- answers that say no ------------------------------------------------------------------------------


BLOCK, REJECTED, BREAKER = "cluster_block_exception", "es_rejected_execution_exception", "circuit_breaking_exception"


@pytest.mark.parametrize(
    ("status", "kind", "reading", "destroying"),
    [
        (400, "illegal_argument_exception", RequestRejected, RequestRejected),
        (404, "index_not_found_exception", RequestRejected, RequestRejected),
        (409, "version_conflict_engine_exception", RequestRejected, RequestRejected),
        (429, BLOCK, RequestRejected, RequestRejected),
        (429, REJECTED, ClusterUnavailable, RequestRejected),
        (429, BREAKER, ClusterUnavailable, OutcomeUnknown),
        (500, "null_pointer_exception", ClusterUnavailable, OutcomeUnknown),
        (502, "", ClusterUnavailable, OutcomeUnknown),
        (503, "master_not_discovered_exception", ClusterUnavailable, OutcomeUnknown),
        (503, BLOCK, ClusterUnavailable, ClusterUnavailable),
        (503, "process_cluster_event_timeout_exception", ClusterUnavailable, OutcomeUnknown),
        (504, "", ClusterUnavailable, OutcomeUnknown),
    ],
)
def test_what_is_known_after_an_answer_depends_on_what_was_asked(
    status: int, kind: str, reading: type[RetentionError], destroying: type[RetentionError]
) -> None:
    body = {"error": {"type": kind, "reason": "why"}, "status": status} if kind else "<html>Bad gateway</html>"
    assert type(from_answer(status, body)) is reading
    assert type(from_answer(status, body, destructive=True)) is destroying
    error = from_answer(status, body, destructive=True)
    if isinstance(error, RequestRejected):
        assert (error.kind, error.status) == (kind, status)


def rejected(request: Callable[[], object]) -> RequestRejected:
    with pytest.raises(RequestRejected) as refused, translated(destructive=True):
        request()
    assert "\n" not in refused.value.message
    return refused.value


def test_a_refusal_of_the_real_server_keeps_kind_and_status(es: Elasticsearch, prefix: str) -> None:
    name = f"{prefix}a"
    assert rejected(lambda: es.indices.delete(index=name)).kind == "index_not_found_exception"
    es.indices.create(index=name, settings={"number_of_replicas": 0})
    assert rejected(lambda: es.indices.create(index=name)).kind == "resource_already_exists_exception"
    es.create(index=name, id="1", document={})
    conflict = rejected(lambda: es.create(index=name, id="1", document={}))
    assert (conflict.status, conflict.kind) == (409, "version_conflict_engine_exception")


@pytest.mark.parametrize(("block", "status"), [("write", 403), ("read_only", 403), ("read_only_allow_delete", 429)])
def test_a_block_of_the_real_server_is_named(es: Elasticsearch, prefix: str, block: str, status: int) -> None:
    name = f"{prefix}a"
    es.indices.create(index=name, settings={"number_of_replicas": 0, f"blocks.{block}": True})
    refused = rejected(lambda: es.options(max_retries=0).create(index=name, id="1", document={}))
    assert (refused.status, refused.kind) == (status, BLOCK)
    assert "block" in refused.remedy


def test_a_message_holds_nothing_of_a_document(es: Elasticsearch, prefix: str) -> None:
    es.indices.create(index=f"{prefix}a", mappings={"properties": {"at": {"type": "date"}}})
    refused = rejected(lambda: es.create(index=f"{prefix}a", id="1", document={"at": "confidential-value"}))
    assert refused.kind == "document_parsing_exception"
    assert "confidential" not in str(refused)
    assert "[at]" in refused.message


def test_wrong_credentials_are_named_without_being_shown(server: Server) -> None:
    if not server.username:
        pytest.skip("security is off on this server")
    with closing(server.client("somebody", "wrong-password")) as client:
        refused = rejected(client.cluster.health)
    assert (refused.status, refused.kind) == (401, "security_exception")
    assert "somebody" not in str(refused)


def test_a_long_text_becomes_one_short_line() -> None:
    assert one_line("a\n  b") == "a b"
    assert len(one_line("x" * 1_000)) == 300


def test_one_node_of_several_is_asked_until_it_cannot_answer() -> None:
    """What is read on one node is acted on through the same, which may be cut off from the others."""
    cut_off = [False]

    def one(handler: BaseHTTPRequestHandler) -> None:
        answering(503 if cut_off[0] else 200, {})(handler)

    with listening(one) as first, listening(one) as second, closing(connect([first.url, second.url])) as client:
        for _ in range(6):
            client.indices.refresh(index="a")
        assert {len(first.requests), len(second.requests)} == {0, 6}
        before = {peer.url: len(peer.requests) for peer in (first, second)}
        cut_off[0] = True
        with pytest.raises(ApiError):
            client.options(max_retries=0).indices.refresh(index="a")
        cut_off[0] = False
        client.indices.refresh(index="a")
        assert sorted(len(peer.requests) - before[peer.url] for peer in (first, second)) == [1, 1]
