"""Elasticsearch's errors as the domain's: by what is known after them, each with its remedy.

The client raises two families that are siblings: `ApiError` for an answer that says no, `TransportError` where
there was no answer. After a request that changes something the question is whether it may have been carried out;
only where that is certainly not so may the caller go on as if it had never been sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import urllib3.exceptions
from elastic_transport import ApiError, ConnectionTimeout, TlsError, TransportError
from elasticsearch import UnsupportedProductError

from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, RequestRejected, RetentionError

CLUSTER_BLOCK = "cluster_block_exception"
SECURITY = "security_exception"
GONE = frozenset({"index_not_found_exception", "index_closed_exception"})
"""Kinds of error that say that an index is there, or open, no more."""


_REJECTED_UNSENT = frozenset({CLUSTER_BLOCK, "es_rejected_execution_exception"})
"""Kinds of error that come before anything is done, whatever their status."""

_LONGEST = 300
_VALUES = (
    (re.compile(r"\.? ?Preview of field's value.*", re.DOTALL), ""),
    (re.compile(r'"[^"]*"'), '"…"'),
    (re.compile(r"(?<![A-Za-z0-9])'.*?'(?![A-Za-z0-9])"), "'…'"),
    (re.compile(r"(?i)\b((?:value|date field|_?id|string|term|number|token|input)s?):? \[[^\]]*\]"), r"\1 […]"),
    (re.compile(r"\[[^\]]*\](?=: version conflict)"), "[…]"),
)
"""What in a reason may be the content of a document, or somebody's id."""

_SETTING = re.compile(r"\[?\b((?:[a-z][a-z0-9_]*\.)+[a-z][a-z0-9_]*)\b\]?")
_ACTION = re.compile(r"action \[([^\]]+)\]")
_PRIVILEGES = re.compile(r"granted by the (index|cluster) privileges \[([^\]]+)\]")
_NODES_REMEDY = "check that the nodes run, that they are reachable, and that ENFORCER_ELASTICSEARCH_URL names them"
_LOAD_REMEDY = "check the cluster's health and load; the next cycle tries again"
_READ_BACK_REMEDY = "no action needed: the outcome is verified before continuing"
_BROKEN_REMEDY = "check the server's log; if it uses TLS, write https:// in ENFORCER_ELASTICSEARCH_URL"
_VERSION_REMEDY = "upgrade the cluster, or stop the proxy in front of it from changing the Accept header"
_SERVERLESS = "api_not_available_exception"
_SERVERLESS_REMEDY = (
    "use a hosted or self-managed deployment, because without the cluster state it is unknown which indices exist"
)
_NO_MEDIA_TYPE = "media_type_header_exception"
_UNKNOWN_AUTHORITY = (
    "the server's certificate is signed by an unknown authority",
    "name the authority in ENFORCER_ELASTICSEARCH_CA_CERTS or ENFORCER_ELASTICSEARCH_CA_FINGERPRINT",
)
_DISTRUST = {
    "has expired": ("the certificate of the server or of its authority has expired", "renew it on the server"),
    "not yet valid": ("the server's certificate is not valid yet", "compare the clocks of the server and of this host"),
    "self-signed certificate in": _UNKNOWN_AUTHORITY,
    "self-signed certificate": (
        "the server's certificate is self-signed",
        "if you trust it, name it in ENFORCER_ELASTICSEARCH_CA_CERTS",
    ),
}
"""What is said of a certificate that is not believed, by what OpenSSL says."""

_CREDENTIALS_REMEDY = (
    "check ENFORCER_ELASTICSEARCH_API_KEY, or ENFORCER_ELASTICSEARCH_USERNAME and ENFORCER_ELASTICSEARCH_PASSWORD"
)


@contextmanager
def translated(*, destructive: bool = False) -> Iterator[None]:
    """Raise the client's errors as the domain's; `destructive` is for requests that change anything.

    Raises ClusterUnavailable where nothing was learned, and nothing done; OutcomeUnknown where it may have been
    done; RequestRejected where the cluster said no, with Elasticsearch's kind of error and the HTTP status.
    """
    try:
        yield
    except UnsupportedProductError as error:
        raise _no_elasticsearch() from error
    except ApiError as error:
        raise answered(error, destructive=destructive) from error
    except TransportError as error:
        raise _unanswered(error, destructive=destructive) from error


def answered(error: ApiError, *, destructive: bool) -> RetentionError:
    """Return the domain's error for an answer that is an error."""
    return from_answer(int(error.meta.status), error.body, destructive=destructive)


def from_answer(status: int, body: object, *, destructive: bool = False) -> RetentionError:
    """Return the domain's error for an answer, or a part of one, by its HTTP status and its body."""
    kind, reason, said = kind_of(body), reason_of(body), cause_of(body) or f"no reason given (HTTP {status})"
    if status == HTTPStatus.UNAUTHORIZED:
        return RequestRejected("the cluster rejected the credentials", _CREDENTIALS_REMEDY, kind=kind, status=401)
    if status == HTTPStatus.FORBIDDEN and kind in (SECURITY, ""):  # the answer to a HEAD says nothing
        return _forbidden(reason)
    if kind == _SERVERLESS:
        message = "Elasticsearch Serverless is not supported, because it does not return the cluster state"
        return RequestRejected(message, _SERVERLESS_REMEDY, kind=kind, status=status)
    if status == HTTPStatus.NOT_ACCEPTABLE or kind == _NO_MEDIA_TYPE:
        message = f"the server rejected this client ({status}): Elasticsearch 8.2 or newer is required"
        return RequestRejected(message, _VERSION_REMEDY, kind=kind, status=status)
    if status == HTTPStatus.TOO_MANY_REQUESTS and (destructive or kind == CLUSTER_BLOCK) and kind in _REJECTED_UNSENT:
        return RequestRejected(f"the cluster refused: {said}", _remedy_of(kind), kind=kind, status=status)
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        if destructive and kind not in _REJECTED_UNSENT:
            return OutcomeUnknown(
                f"the cluster answered {status}, but may have carried out the request: {said}", _READ_BACK_REMEDY
            )
        return ClusterUnavailable(f"the cluster answered {status}: {said}", _LOAD_REMEDY)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        said = "the request is larger than http.max_content_length"
    return RequestRejected(f"the cluster refused ({status}): {said}", _remedy_of(kind), kind=kind, status=status)


def forbidden_in(part: object) -> RequestRejected | None:
    """Return the error of a part of an answer if it says that the enforcer may not do this, else None."""
    return _forbidden(reason_of(part)) if kind_of(part) == SECURITY else None


def kind_of(body: object) -> str:
    """Return Elasticsearch's type of the error in an answer, or nothing where it names none."""
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("type", "")) if isinstance(error, dict) else ""


def reason_of(body: object) -> str:
    """Return the reason in an answer in one short line, without any content of documents."""
    error = body.get("error") if isinstance(body, dict) else body
    if isinstance(error, dict):
        roots = error.get("root_cause") or [{}]
        error = error.get("reason") or roots[0].get("reason")
    return one_line(str(error or ""))


def cause_of(part: object) -> str:
    """Return what lies at the root of an error, its type and its reason, in one short line; empty where nothing does.

    Of an answer, or of one shard's failure. A search that failed as a whole says "all shards failed", and nothing
    else: why stands with its shards, or in what it was caused by.
    """
    error = part.get("error", part.get("reason", part)) if isinstance(part, dict) else part
    if not isinstance(error, dict):
        return one_line(str(error or ""))
    root = _deepest(error)
    kind, reason = root.get("type"), root.get("reason")
    return one_line(": ".join(str(one) for one in (kind, reason) if one))


def is_partial(answer: Mapping[str, Any]) -> bool:
    """Whether not every shard answered a search, or not in time: then nothing follows from what is not in it.

    Others are judged otherwise: those about many indices (`searches`), where what failed is told from what did not, and
    those to refreshes and flushes, which count the copies that are not there among all.
    """
    shards = answer["_shards"]
    return bool(shards["failed"] or shards["successful"] != shards["total"] or answer.get("timed_out"))


def raise_if_partial(answer: Mapping[str, Any]) -> None:
    """Raise ClusterUnavailable, with the cause where one is named, for an answer that is partial."""
    if not is_partial(answer):
        return
    shards = answer["_shards"]
    causes = [cause_of(failure) for failure in shards.get("failures", [])]
    late = ["the search took longer than search.default_search_timeout"] if answer.get("timed_out") else []
    message = f"only {shards['successful']} of {shards['total']} shards answered"
    raise ClusterUnavailable(": ".join([message, *[*causes, *late][:1]]), "check the cluster's health")


def _deepest(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the innermost error with a reason: of a shard that failed, else of the root, and below that its causes."""
    shards = [shard.get("reason") for shard in error.get("failed_shards") or ()]
    roots = [one for one in (*shards, *(error.get("root_cause") or ())) if isinstance(one, dict) and one is not error]
    found: Mapping[str, Any] = roots[0] if roots else error
    here = found if roots else error
    while isinstance(here.get("caused_by"), dict):
        here = here["caused_by"]
        if here.get("reason"):
            found = here
    return found


def one_line(text: str) -> str:
    """Return a text in one line of limited length, without the values that Elasticsearch quotes from documents.

    The name of a setting that it tells to change is kept, however far behind it stands.
    """
    line = " ".join(text.split())
    for pattern, instead in _VALUES:
        line = pattern.sub(instead, line)
    if len(line) <= _LONGEST:
        return line
    settings = [name for name in dict.fromkeys(_SETTING.findall(line)) if name not in line[: _LONGEST // 2]]
    end = f"… [{settings[-1]}]" if settings and len(settings[-1]) < _LONGEST // 2 else "…"
    return f"{line[: _LONGEST - len(end)]}{end}"


def _remedy_of(kind: str) -> str:
    if kind == CLUSTER_BLOCK:
        return "remove the block, or its cause (a full disk, a read-only setting)"
    return ""


def _forbidden(reason: str) -> RequestRejected:
    action, privileges = _ACTION.search(reason), _PRIVILEGES.search(reason)
    what = action[1] if action else "this request"
    remedy = (
        f"grant the enforcer's role one of the {privileges[1]} privileges {privileges[2].replace(',', ', ')}"
        if privileges
        else "grant the enforcer's role the privileges that `retention-enforcer setup --print` lists"
    )
    if "were not found" in reason:
        remedy = "define the roles that its user is assigned, because the cluster does not have them"
    message = f"the enforcer is not allowed to perform {what} on this cluster"
    return RequestRejected(message, remedy, kind="security_exception", status=HTTPStatus.FORBIDDEN)


def _no_elasticsearch() -> ClusterUnavailable:
    message = "the server is not Elasticsearch: the header X-Elastic-Product is missing in its response"
    return ClusterUnavailable(
        message, "check ENFORCER_ELASTICSEARCH_URL, and that no proxy removes the header X-Elastic-Product"
    )


def _unanswered(error: TransportError, *, destructive: bool) -> RetentionError:
    cause = error.__cause__ or error  # `errors` names those of the earlier attempts
    if _never_sent(cause) and all(_never_sent(earlier.__cause__) for earlier in error.errors):
        return ClusterUnavailable(f"no connection to the cluster: {_plain(cause)}", _NODES_REMEDY)
    if isinstance(error, TlsError) and (problem := _tls_problem(str(cause))):
        return ClusterUnavailable(*problem)
    if isinstance(error, ConnectionTimeout):
        remedy = "check its load, or raise ENFORCER_ELASTICSEARCH_TIMEOUT"
        message = "the cluster did not answer in time"
        return OutcomeUnknown(message, _READ_BACK_REMEDY if destructive else remedy)
    if destructive:
        return OutcomeUnknown(f"the connection broke before the response arrived: {_plain(cause)}", _READ_BACK_REMEDY)
    remedy = _BROKEN_REMEDY if "Connection aborted" in str(cause) else _NODES_REMEDY
    return ClusterUnavailable(f"the cluster returned no usable response: {_plain(cause)}", remedy)


def _never_sent(cause: BaseException | None) -> bool:
    """Whether no connection came about."""
    return isinstance(cause, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def _tls_problem(text: str) -> tuple[str, str] | None:
    """Return message and remedy for a handshake that failed before anything was sent; None where that is uncertain."""
    if "Hostname mismatch" in text or "IP address mismatch" in text or "doesn't match" in text:
        remedy = "use a host name of the certificate in ENFORCER_ELASTICSEARCH_URL, or set the fingerprint"
        return "the server's certificate is for another host name", remedy
    if "Fingerprints did not match" in text:
        remedy = (
            "check ENFORCER_ELASTICSEARCH_CA_FINGERPRINT, the SHA-256 that the server printed at its setup; for an "
            "authority whose certificate the server does not send, use ENFORCER_ELASTICSEARCH_CA_CERTS instead"
        )
        return "the server's certificate does not have the given fingerprint", remedy
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return next((problem for said, problem in _DISTRUST.items() if said in text), _UNKNOWN_AUTHORITY)
    if "CERTIFICATE_REQUIRED" in text or "HANDSHAKE_FAILURE" in text or "PROTOCOL_VERSION" in text:
        remedy = "enable TLS 1.2 or 1.3 on the server, and set xpack.security.http.ssl.client_authentication to none"
        return "TLS handshake failed: unsupported protocol version, or a client certificate is required", remedy
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text or "record layer failure" in text:
        return (
            "the server does not use TLS on this port",
            "write http:// in ENFORCER_ELASTICSEARCH_URL, or name the port that uses TLS",
        )
    return None


def _plain(cause: BaseException) -> str:
    """Return what a low-level error says, without the addresses of Python objects."""
    return one_line(re.sub(r"^.*?object at 0x[0-9a-f]+>: ", "", str(cause)) or type(cause).__name__)
