"""A TCP proxy before a server, which sees each request and can spoil it, or its answer."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

_DELAY = 0.3
"""Seconds by which an answer, or the end of a connection, is late: less than any timeout of a client."""


class Fault(StrEnum):
    """What happens to one request, or to its answer."""

    LATENCY = "latency"
    """The answer comes, but late."""
    RESET_BEFORE = "reset before"
    """The connection is reset; the server never hears of the request."""
    RESET_AFTER = "reset after"
    """The server has answered; instead of the answer comes a reset."""
    BLACK_HOLE_BEFORE = "black hole before"
    """Nothing answers, and the server never hears of the request."""
    BLACK_HOLE_AFTER = "black hole after"
    """Nothing answers, though the server has carried the request out."""
    SLOW_CLOSE = "slow close"
    """The server has answered; the connection is closed in good order after a while, without the answer."""
    CUT = "answer cut"
    """Half of the answer's bytes, then the end of the connection."""
    AWAY = "away from there"
    """The server has answered, the answer is lost, and so is every request that follows."""


@dataclass(slots=True)
class Request:
    """One request as it went over the wire; `status` is that of the server's answer, None where there was none."""

    method: str
    target: str
    body: bytes
    at: float
    status: int | None = None
    fault: Fault | None = None

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)


Choose = Callable[[Request], Fault | None]


@dataclass
class Proxy:
    """Listens on a port of its own. `choose` is asked, one request at a time, what becomes of each."""

    upstream: str
    choose: Choose = lambda request: None
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._away = False
        self._open: set[socket.socket] = set()

    @property
    def spoiled(self) -> bool:
        """Whether any request met a fault."""
        return any(request.fault for request in self.requests)

    def serve(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connection, args=[client], daemon=True).start()

    def end(self) -> None:
        self._ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _connection(self, client: socket.socket) -> None:
        parts = urlsplit(self.upstream)
        with client, suppress(OSError):
            server = socket.create_connection((parts.hostname or "", parts.port or 80))
            for one in (client, server):  # head and body are sent apart, and must not wait for each other
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with server:
                with self._lock:
                    self._open |= {client, server}
                try:
                    self._exchanges(client, server)
                finally:
                    with self._lock:
                        self._open -= {client, server}

    def _exchanges(self, client: socket.socket, server: socket.socket) -> None:
        """Pass requests on, one after the other, until either side or a fault ends the connection."""
        incoming, outgoing = client.makefile("rb"), server.makefile("rb")
        with incoming, outgoing:
            while head := _head(incoming):
                body = _body(head, incoming)
                request = self._heard(head, body)
                if request.fault in (Fault.RESET_BEFORE, Fault.BLACK_HOLE_BEFORE):
                    self._spoil(client, request.fault, b"")
                    return
                server.sendall(head + body)
                answer_head = _head(outgoing)
                if not answer_head:
                    return  # the server has closed: so does the proxy
                answer = answer_head + (b"" if request.method == "HEAD" else _body(answer_head, outgoing))
                request.status = int(answer_head.split(b" ", 2)[1])
                if request.fault not in (None, Fault.LATENCY):
                    self._spoil(client, request.fault, answer)
                    return
                time.sleep(_DELAY if request.fault else 0)
                client.sendall(answer)

    def _heard(self, head: bytes, body: bytes) -> Request:
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        request = Request(method, target, body, time.monotonic())
        with self._lock:
            self.requests.append(request)
            request.fault = Fault.RESET_BEFORE if self._away else self.choose(request)
            self._away = self._away or request.fault is Fault.AWAY
        return request

    def _spoil(self, client: socket.socket, fault: Fault | None, answer: bytes) -> None:
        if fault in (Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.AWAY):
            # Without lingering, closing is a reset.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif fault in (Fault.BLACK_HOLE_BEFORE, Fault.BLACK_HOLE_AFTER):
            client.recv(1)  # until the client gives up
        elif fault is Fault.SLOW_CLOSE:
            time.sleep(_DELAY)
        else:
            client.sendall(answer[: len(answer) // 2])


def _head(stream: BinaryIO) -> bytes:
    """Return the start line and the headers, with the blank line; nothing at the end of the connection."""
    lines: list[bytes] = []
    for line in stream:
        lines.append(line)
        if line == b"\r\n":
            return b"".join(lines)
    return b""


def _body(head: bytes, stream: BinaryIO) -> bytes:
    """Return the body as it was sent, with its chunks' own lines."""
    if re.search(rb"(?im)^transfer-encoding: *chunked", head):
        parts: list[bytes] = []
        while (size := stream.readline()) not in (b"0\r\n", b""):
            parts += [size, stream.read(int(size, 16) + 2)]
        return b"".join([*parts, size, stream.readline()])
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    return bytes(stream.read(int(length[1]))) if length else b""


@contextmanager
def proxied(upstream: str, choose: Choose = lambda request: None) -> Iterator[Proxy]:
    proxy = Proxy(upstream, choose)
    threading.Thread(target=proxy.serve, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.end()
