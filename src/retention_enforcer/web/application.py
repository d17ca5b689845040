"""The answers, each made of what is known at that moment."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retention_enforcer.enforcement.ports import Clock
from retention_enforcer.reporting.known import Known
from retention_enforcer.reporting.status import Status, build_status, status_json, status_schema
from retention_enforcer.reporting.status_page import STYLE_HASH, status_page
from retention_enforcer.web.metrics import exposition

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src '{STYLE_HASH}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_UNAVAILABLE = 503


def make_application(known: Callable[[], Known], is_alive: Callable[[], bool], clock: Clock) -> Starlette:
    """Return the application. Both functions answer at once: no request ever waits for a job or for the cluster."""
    views = _Views(known, is_alive, clock)
    routes = [
        Route("/", views.page),
        Route("/api/status", views.document),
        Route("/api/status/schema", views.schema),
        Route("/metrics", views.metrics),
        Route("/livez", views.livez),
        Route("/readyz", views.readyz),
    ]
    return Starlette(routes=routes, middleware=[Middleware(_StrictHeaders)])


class _Views:
    def __init__(self, known: Callable[[], Known], is_alive: Callable[[], bool], clock: Clock) -> None:
        self._known = known
        self._is_alive = is_alive
        self._clock = clock
        self._kinds: frozenset[str] = frozenset()

    def _status(self, known: Known) -> Status:
        status = build_status(known, self._clock.now())
        self._kinds |= {finding.kind for finding in status.findings}
        return status

    async def page(self, _: Request) -> Response:
        return Response(status_page(self._status(self._known())), media_type="text/html")

    async def document(self, _: Request) -> Response:
        return Response(status_json(self._status(self._known())), media_type="application/json")

    async def schema(self, _: Request) -> Response:
        return JSONResponse(status_schema(), media_type="application/schema+json")

    async def metrics(self, request: Request) -> Response:
        known = self._known()
        body, content_type = exposition(known, self._status(known), self._kinds, request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    async def livez(self, _: Request) -> Response:
        if self._is_alive():
            return PlainTextResponse("alive: the scheduler runs\n")
        return PlainTextResponse("not alive: the scheduler has not run for a minute\n", _UNAVAILABLE)

    async def readyz(self, _: Request) -> Response:
        instance = self._status(self._known()).instance
        if instance.not_ready:
            reasons = "".join(f"- {reason}\n" for reason in instance.not_ready)
            return PlainTextResponse(f"not ready, {instance.role}:\n{reasons}", _UNAVAILABLE)
        return PlainTextResponse(f"ready, {instance.role}\n")


class _StrictHeaders:
    """Gives every answer, errors too, the headers that keep a browser from doing more than showing it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_strictly(message: Message) -> None:
            if message["type"] == "http.response.start":
                strict = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *strict]}
            await send(message)

        await self._app(scope, receive, send_strictly)
