"""Answers where it is asked by a name of its own, and nowhere else."""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_MISDIRECTED = 421
_REMEDY = "this page only answers to its address and to localhost; set the Host header in the proxy in front of it\n"


class OwnNames:
    """Refuses a request by any other name.

    The page asks for no password on the machine's own address. A page on the internet can have its own name lead there,
    and then read in the user's browser what that address answers: the name it asks by gives it away.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._host = host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse to."""
        asked = Headers(scope=scope).get("host") if scope["type"] == "http" else None
        if asked is None or self._is_own(asked):
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse(_REMEDY, _MISDIRECTED)(scope, receive, send)

    def _is_own(self, asked: str) -> bool:
        name = (
            asked.lower().rpartition("]")[0].lstrip("[") if asked.startswith("[") else asked.lower().partition(":")[0]
        )
        if name in {self._host, "localhost"}:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
