"""The connection to the cluster: one client, with the settings that deletion needs."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from elastic_transport import ConnectionError as ConnectionBroken
from elastic_transport import ConnectionTimeout, HttpHeaders, NodePool, TransportError, Urllib3HttpNode
from elastic_transport.client_utils import DEFAULT, DefaultType
from elasticsearch import Elasticsearch

from retention_enforcer.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from elastic_transport import BaseNode, NodeConfig
    from elastic_transport._node import NodeApiResponse

Client = Elasticsearch
"""The connection, for those who only hand it on."""

PRODUCT = "retention-enforcer"
READ_RETRIES = 2
"""How often a request that failed is sent again. Requests that destroy are sent `once`."""

_GREETING = 5.0
"""Seconds for which a node's first answer is waited for, where another can be asked."""

_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_DEFAULT_PORTS = {"https": 443, "http": 80}


class WholeAnswers(Urllib3HttpNode):
    """Takes an answer whose headers break off for no answer.

    Python reads headers up to the end of the connection, and takes what has no length for an empty answer: a deletion
    that was carried out could then look like one that was never sent, and facts like absent ones. Elasticsearch, and
    proxies that speak HTTP/1.1, always say how long an answer is.
    """

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self._last = threading.local()

    @property
    def is_well(self) -> bool:
        """Whether this thread's last request failed by what it is: refused for it, or given less time than others."""
        status = self._last.status
        refused = status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _BUSY
        return bool(refused or self._last.in_a_hurry)

    def perform_request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: DefaultType | float | None = DEFAULT,
    ) -> NodeApiResponse:
        """Send a request and return its whole answer. Raises ConnectionError where a part of it is missing."""
        self._last.status, self._last.in_a_hurry = None, False
        try:
            answer = super().perform_request(method, target, body, headers, request_timeout)
        except ConnectionTimeout:
            usual = self.config.request_timeout
            self._last.in_a_hurry = isinstance(request_timeout, float) and usual is not None and request_timeout < usual
            raise
        length, encoding = (answer.meta.headers.get(name) or "" for name in ("content-length", "transfer-encoding"))
        ends = length.strip().isdecimal() or encoding.strip().lower() == "chunked"
        if not ends and method != "HEAD" and answer.meta.status not in _WITHOUT_BODY:
            raise ConnectionBroken("the connection closed in the middle of the response headers")
        self._last.status = answer.meta.status
        return answer


class SameNode(NodePool):
    """Asks one node as long as it answers, and goes on to another when it does not.

    A node that is cut off from the others answers reads with what it last knew. What follows from a read goes through
    the node that was read from: there it fails, and the next look is at another node. Were the nodes asked in turn, a
    hold would be looked for on one, and the deletion sent to another.
    """

    _asked: BaseNode | None = None

    def get(self) -> BaseNode:
        """Return the node of the last time, or another one where that failed since."""
        asked = self._asked
        if asked is None:
            self._asked = asked = super().get()
        return asked

    def find_one_that_answers(self, within: float) -> None:
        """Ask each for a sign of life until one gives it, and ask that one from now on; any answer is one."""
        nodes = self.all()
        for node in nodes if len(nodes) > 1 else ():
            try:
                node.perform_request("GET", "/", request_timeout=within)
            except TransportError:
                continue
            self._asked = node
            return

    def mark_dead(self, node: BaseNode, _now: float | None = None) -> None:
        """Set a node aside, for good if another answers: also once it could be tried again.

        Not one that says no to a request that no node would carry out: the library takes a 405 or 413 for a failure.
        """
        if isinstance(node, WholeAnswers) and node.is_well:
            return
        super().mark_dead(node, _now)
        if node is self._asked:
            self._asked = None


def connect(
    urls: Sequence[str],
    *,
    api_key: str | None = None,
    basic_auth: tuple[str, str] | None = None,
    ca_certs: Path | None = None,
    ca_fingerprint: str | None = None,
    timeout: float = 30.0,
    opaque_id: str = PRODUCT,
) -> Elasticsearch:
    """Return a client for one cluster; nothing is sent yet. `timeout` in seconds, for each request.

    Certificates are always verified: against `ca_certs`, or by the fingerprint, or against the system's
    authorities. `opaque_id` stands in the cluster's slow and audit logs. A request whose answer did not come in
    time is never sent again. Raises ConfigurationError for an address or authority that cannot be used.
    """
    secure = any(url.startswith("https://") for url in urls)
    try:
        if ca_certs and secure:
            ssl.create_default_context(cafile=ca_certs)  # the client itself would read it at the first request only
        return Elasticsearch(
            [_with_port(url) for url in urls],
            api_key=api_key,
            basic_auth=basic_auth,
            ca_certs=str(ca_certs) if ca_certs and secure else DEFAULT,
            ssl_assert_fingerprint=ca_fingerprint if ca_fingerprint and secure else DEFAULT,
            headers={"user-agent": f"{PRODUCT}/{version(PRODUCT)}"},
            opaque_id=opaque_id,
            request_timeout=timeout,
            http_compress=False,  # it runs beside its cluster, where compressing takes a tenth of a purge's time
            node_class=WholeAnswers,
            node_pool_class=SameNode,
            max_retries=READ_RETRIES,
            retry_on_timeout=False,
        )
    except (ValueError, OSError) as error:
        remedy = "check ENFORCER_ELASTICSEARCH_URL, and _CA_CERTS or _CA_FINGERPRINT"
        raise ConfigurationError(f"the client cannot be configured with these settings: {error}", remedy) from error


def find_one_that_answers(client: Elasticsearch) -> None:
    """Have a node that answers be asked from now on, where there is a choice: one may take connections and be silent.

    What is said to a silent one is lost with the time that it is waited for, and what depends on it comes too late.
    Where none answers, the next request says why.
    """
    pool = client.transport.node_pool
    if isinstance(pool, SameNode):
        pool.find_one_that_answers(_GREETING)


def once(client: Elasticsearch) -> Elasticsearch:
    """Return the same connection, for what destroys: nothing is sent again.

    A DELETE that is repeated after a lost answer gets a 404 and hides its own success.
    """
    return client.options(max_retries=0, retry_on_timeout=False)


def patience(timeout: float) -> str:
    """Return how long the cluster may take over a request whose answer is waited for `timeout` seconds.

    It gives the request up before its answer would be lost here: nothing is carried out long afterwards.
    """
    return f"{int(timeout * 1_000 / 2)}ms"


def _with_port(url: str) -> str:
    """Return the address with the port that its scheme implies, as browsers read it; the client demands one."""
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError(f"an address must begin with http:// or https://, not with {parts.scheme or 'a name'}")
    if parts.port is not None:
        return url
    return urlunsplit(parts._replace(netloc=f"{parts.netloc}:{_DEFAULT_PORTS[parts.scheme]}"))


Permission = Callable[[], AbstractContextManager[None]]
