"""Serves the application from a thread of its own, which nothing else in the process waits for."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from types import TracebackType
from typing import Self

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.web.own_names import OwnNames

_log = structlog.get_logger()

_GOODBYE = 1.0
"""Seconds that answers under way get when the server is told to end."""

_MOST_AT_ONCE = 64
"""Connections. A further one takes the place of the oldest that waits; where all are being answered it gets 503."""

_ANSWERED_WITHIN = 10.0
"""Seconds from a connection's beginning, or its last answer, to its next answer; later it is cut off."""


class PageServer:
    """The server, from the moment in which it has its address.

    The address is taken at once, so that one that cannot be had stops the start. What fails later is logged and ends
    the server alone: the daemon's work goes on, and whoever watches `/livez` sees that nothing answers.
    """

    def __init__(self, application: ASGIApp, host: str, port: int) -> None:
        self._socket = _listen(host, port)
        found = self._socket.getsockname()
        self.port: int = found[1]
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self.port}/"
        """Where it answers; a port 0 is replaced by the one in use."""
        config = uvicorn.Config(
            OwnNames(application, host) if _is_loopback(host) else application,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            http=_Connection,
            loop="asyncio",
            limit_concurrency=_MOST_AT_ONCE,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        _log.info(f"status page at {self.address}", **{"event.action": "listen", "url.full": self.address})
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join(_GOODBYE + 0.5)
        self._socket.close()

    def _serve(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except Exception as error:  # noqa: BLE001 - a page that cannot be served must not end the work
            text = f"internal error in the status page: {type(error).__name__}; the work continues without it"
            _log.error(text, exc_info=error, **{"event.action": "defect", "event.outcome": "failure"})


class _Connection(H11Protocol):
    """One connection. It has a time for its request, and gives its place to a newer one where it has not sent it yet.

    Else whoever opens connections and sends nothing would keep the health from being asked for.
    """

    _cut_off: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, of which there is always one as long as any connection waits."""
        if len(self.connections) >= _MOST_AT_ONCE - 1:
            waiting = [one for one in self.connections if isinstance(one, _Connection) and one.is_waiting]
            for oldest in sorted(waiting, key=lambda one: one._cut_off.when())[:1]:
                oldest.transport.abort()
                self.connections.discard(oldest)
        super().connection_made(transport)
        self._cut_off = self.loop.call_later(_ANSWERED_WITHIN, transport.abort)

    @property
    def is_waiting(self) -> bool:
        """Whether nothing is being answered on it."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request, whatever its type says
        return cycle is None or cycle.response_complete

    def on_response_complete(self) -> None:
        """Begin the time anew."""
        self._cut_off.cancel()
        self._cut_off = self.loop.call_later(_ANSWERED_WITHIN, self.transport.abort)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._cut_off.cancel()
        super().connection_lost(exc)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises ConfigurationError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
    except OSError as error:
        listening.close()
        reason = (error.strerror or str(error)).lower()
        raise ConfigurationError(
            f"ENFORCER_HTTP_ADDRESS: cannot listen on {host}:{port}: {reason}",
            "stop what listens there, or set another address; port 0 takes any free port",
        ) from None
    return listening
