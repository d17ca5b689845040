"""Asks the daemon on this machine for its health, for the command `health` and for a container's health check."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

from retention_enforcer.domain.errors import ConfigurationError

_PATIENCE = 3.0
"""Seconds for an answer that is made without waiting for anything."""

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - who listens everywhere is asked on this machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The answers of /livez and /readyz."""

    alive: bool
    ready: bool
    text: str


def ask_health(address: tuple[str, int]) -> Health:
    """Ask whether the daemon that listens there is alive and ready. Raises ConfigurationError for port 0."""
    host, port = address
    if port == 0:
        raise ConfigurationError(
            "ENFORCER_HTTP_ADDRESS has port 0, so the port in use is unknown",
            "set it to the address that the daemon logged when it started",
        )
    host = _EVERYWHERE.get(host, host)
    try:
        alive, told = _ask(host, port, "/livez")
        ready, reasons = _ask(host, port, "/readyz")
    except (OSError, HTTPException) as error:
        text = f"no response from {host}:{port}: {type(error).__name__}"
        return Health(alive=False, ready=False, text=text)
    return Health(alive=alive, ready=ready, text=f"{told}\n{reasons}")


def _ask(host: str, port: int, path: str) -> tuple[bool, str]:
    with closing(HTTPConnection(host, port, timeout=_PATIENCE)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status == HTTPStatus.OK, answer.read().decode(errors="replace").strip()
