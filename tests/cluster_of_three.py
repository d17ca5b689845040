"""Three embedded servers in one cluster, any of which can be cut off from the others, killed, paused and started again.

What the nodes say to each other goes through a wire of the test's before each node; the node at the other end is known
by the process that owns the connection. A client reaches every node all the time, also one that is cut off.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from elasticsearch import ApiError, Elasticsearch, TransportError

from embedded_elasticsearch import EmbeddedServer
from running import silent

NODES = ("one", "two", "three")
_CHUNK = 1 << 16

QUICK = {
    "cluster.fault_detection.follower_check.interval": "500ms",
    "cluster.fault_detection.follower_check.timeout": "3s",
    "cluster.fault_detection.follower_check.retry_count": "2",
    "cluster.fault_detection.leader_check.interval": "500ms",
    "cluster.fault_detection.leader_check.timeout": "3s",
    "cluster.fault_detection.leader_check.retry_count": "2",
    "cluster.publish.timeout": "10s",
    "cluster.follower_lag.timeout": "10s",
    "discovery.request_peers_timeout": "10s",
    "transport.connections_per_node.recovery": "1",
    "transport.connections_per_node.bulk": "1",
    "transport.connections_per_node.reg": "1",
}
"""A node that is away is noticed after seconds instead of half a minute."""


@dataclass
class _Way:
    """From one node to another: open, or not. What is said while it is shut is heard once it is open again."""

    open: asyncio.Event
    connections: set[asyncio.StreamWriter] = field(default_factory=set)


class Wires:
    """What the nodes say to each other, in a thread of its own."""

    def __init__(self, pids: Callable[[], dict[int, str]]) -> None:
        self._pids = pids
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._ways: dict[tuple[str, str], _Way] = {}
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._refuses: set[tuple[str, str]] = set()
        self._known: dict[int, str] = {}
        self._looking = ThreadPoolExecutor(1)
        for pair in ((a, b) for a in NODES for b in NODES if a != b):
            self._ways[pair] = self._do(self._way())

    async def _way(self) -> _Way:
        way = _Way(asyncio.Event())
        way.open.set()
        return way

    def _do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(timeout=30)

    def before(self, node: str, port: int) -> int:
        """Listen in place of a node's port; return where."""

        async def listen() -> int:
            server = await asyncio.start_server(lambda r, w: self._accepted(node, port, r, w), "127.0.0.1", 0)
            self._servers.append(server)
            return int(server.sockets[0].getsockname()[1])

        return int(self._do(listen()))

    def cut(self, node: str, *, reset: bool) -> None:
        """Cut a node off, both ways: its connections are reset and new ones refused, or nobody hears anything."""

        async def cut() -> None:
            for pair, way in self._ways.items():
                if node in pair:
                    way.open.clear()
                    if reset:
                        self._refuses.add(pair)
                        for writer in list(way.connections):
                            writer.transport.abort()

        self._do(cut())

    def heal(self) -> None:
        """Open all ways again."""

        async def heal() -> None:
            self._refuses.clear()
            for way in self._ways.values():
                way.open.set()

        self._do(heal())

    def end(self) -> None:
        async def end() -> None:
            for server in self._servers:
                server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self._do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._looking.shutdown()
        self._loop.close()

    async def _accepted(self, node: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            port_there = int(writer.get_extra_info("peername")[1])
            speaker = await self._loop.run_in_executor(self._looking, self._speaker, port_there)
            if speaker is None or (speaker, node) in self._refuses:
                return
            if speaker == node:
                await self._pass_on(None, port, reader, writer)
            else:
                way = self._ways[speaker, node]
                way.connections.add(writer)
                try:
                    await self._pass_on(way, port, reader, writer)
                finally:
                    way.connections.discard(writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _pass_on(
        self, way: _Way | None, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if way is not None:
            await way.open.wait()
        there, back = await asyncio.open_connection("127.0.0.1", port)
        try:
            ends = [asyncio.ensure_future(_pump(way, reader, back)), asyncio.ensure_future(_pump(way, there, writer))]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
        finally:
            back.transport.abort()

    def _speaker(self, port: int) -> str | None:
        """Return the node from whose port a connection comes; None where it has gone already."""
        for look_again in (False, True):  # which processes there are is asked for where a node was started anew
            if look_again or not self._known:
                self._known = self._pids()
            owner = _owner(port, self._known)
            if owner is not None:
                return self._known[owner]
        return None


def _owner(port: int, pids: Collection[int]) -> int | None:
    """Return which of these processes has a connection that comes from a port of this machine."""
    if not Path("/proc/net/tcp").exists():
        for pid in pids:
            with suppress(psutil.Error):
                if any(c.laddr and c.laddr.port == port for c in psutil.Process(pid).net_connections("tcp")):
                    return pid
        return None
    # psutil reads all connections of the machine, line by line, for each process: 0.1 s where there are many.
    lines = b"".join(Path(f"/proc/net/{table}").read_bytes() for table in ("tcp6", "tcp"))
    sockets = {f"socket:[{int(inode)}]" for inode in re.findall(_CONNECTION % port, lines)}
    for pid in pids if sockets else ():
        with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
            if any(_target(entry) in sockets for entry in entries):
                return pid
    return None


_CONNECTION = rb"(?m)^ *\d+: [0-9A-F]+:%04X (?:\S+ +){7}(\d+)"
"""A line of the kernel's table of connections: by the local port, the inode."""


def _target(entry: os.DirEntry[str]) -> str:
    try:
        return str(Path(entry.path).readlink())
    except OSError:
        return ""  # closed since


async def _pump(way: _Way | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        if way is not None:
            await way.open.wait()
        writer.write(data)
        await writer.drain()


@dataclass
class ThreeNodes:
    """The cluster; its nodes by their names."""

    nodes: dict[str, EmbeddedServer]
    wires: Wires

    @property
    def urls(self) -> str:
        return ",".join(node.url for node in self.nodes.values())

    def client(self, *names: str, timeout: float = 20.0) -> Elasticsearch:
        """A client of these nodes, or of all; it sends nothing twice."""
        urls = [self.nodes[name].url for name in names or NODES]
        return Elasticsearch(urls, request_timeout=timeout, max_retries=0 if names else 2, retry_on_timeout=False)

    def primary_of(self, es: Elasticsearch, index: str) -> str:
        """The node with the primary shard of an index of one."""
        return next(row["node"] for row in self._shards(es, index) if row["prirep"] == "p")

    def holders_of(self, es: Elasticsearch, index: str) -> list[str]:
        """The nodes with a started copy of an index."""
        return sorted(row["node"] for row in self._shards(es, index) if row["state"] == "STARTED")

    @staticmethod
    def _shards(es: Elasticsearch, index: str) -> list[Any]:
        return list(es.cat.shards(index=index, format="json", h="prirep,state,node").body)

    @contextmanager
    def cut_off(self, node: str, *, reset: bool = False) -> Iterator[None]:
        self.wires.cut(node, reset=reset)
        try:
            yield
        finally:
            self.wires.heal()

    @contextmanager
    def paused(self, node: str) -> Iterator[None]:
        with silent(self.nodes[node]):
            yield

    def kill(self, node: str) -> None:
        self.nodes[node].kill()

    def start(self, node: str) -> None:
        self.nodes[node].start()

    def wait_until_whole(self, among: Collection[str] = NODES, status: str = "green", within: float = 120.0) -> None:
        """Wait until these nodes are one cluster, all of whose shards are assigned."""
        end = time.monotonic() + within
        with self.client(*among, timeout=15) as es:
            while True:
                with suppress(ApiError, TransportError):
                    health = es.cluster.health(wait_for_status=status, wait_for_nodes=str(len(among)), timeout="10s")
                    if not health["timed_out"]:
                        return
                assert time.monotonic() < end, f"the nodes {', '.join(among)} do not become one cluster"
                time.sleep(0.2)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def three_nodes(version: str, **settings: str) -> Iterator[ThreeNodes]:
    """Start three nodes and wait until they are one cluster. Without security: on the loopback interface alone."""
    with ExitStack() as stack:
        nodes: dict[str, EmbeddedServer] = {}
        wires = Wires(lambda: {pid: name for name, node in nodes.items() for pid in _processes(node)})
        stack.callback(wires.end)
        own = {name: _free_port() for name in NODES}
        outer = {name: wires.before(name, port) for name, port in own.items()}
        for name in NODES:
            nodes[name] = EmbeddedServer(
                version=version,
                heap="512m",
                in_memory=True,
                settings={
                    "node.name": name,
                    "discovery.type": "multi-node",
                    "discovery.seed_hosts": ",".join(f"127.0.0.1:{port}" for port in outer.values()),
                    "cluster.initial_master_nodes": ",".join(NODES),
                    "transport.port": str(own[name]),
                    "transport.publish_port": str(outer[name]),
                    "xpack.security.enabled": "false",
                    **QUICK,
                    **settings,
                },
            )
            stack.callback(nodes[name].close)
        with ThreadPoolExecutor(len(NODES)) as starting:
            list(starting.map(lambda node: node.start(), nodes.values()))
        cluster = ThreeNodes(nodes, wires)
        cluster.wait_until_whole()
        yield cluster


def _processes(node: EmbeddedServer) -> list[int]:
    if node._process is None:
        return []
    with suppress(psutil.Error):
        there = psutil.Process(node._process.pid).children(recursive=True)
        return [process.pid for process in there if process.name() == "java"]
    return []
