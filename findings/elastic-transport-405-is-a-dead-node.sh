#!/usr/bin/env bash
# elastic-transport 8.19.0: a node that answers 405 is taken for a failed one.
#
# Guess: an HTTP answer below 500 shows that the node works, so that it stays among those that are asked.
# Seen:  only 400, 401, 402, 403, 404 and 409 do. After a 405 (or 406, 410, 413) the node is set aside for a second, and
#        the next request goes to another one, although nothing is wrong with it.
# Exits 0 as long as that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check elastic-transport==8.19.0 urllib3==2.8.0
"$folder/venv/bin/python" - <<'PYTHON'
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from elastic_transport import NodeConfig, NodeSelector, Transport, __version__

logging.getLogger("elastic_transport").setLevel(logging.CRITICAL)
status = 200


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
for server in servers:
    server.asked = 0
    threading.Thread(target=server.serve_forever, daemon=True).start()


class First(NodeSelector):
    """Always chooses the same of the nodes that it is shown."""

    def select(self, nodes):
        return min(nodes, key=lambda node: node.port)


seen = {}
for status in (404, 405, 406, 410, 413, 500):
    for server in servers:
        server.asked = 0
    nodes = [NodeConfig("http", "127.0.0.1", server.server_port) for server in servers]
    transport = Transport(nodes, node_selector_class=First, max_retries=0)
    for _ in range(2):
        transport.perform_request("GET", "/")
    seen[status] = "the same node" if 2 in [server.asked for server in servers] else "another node"
    transport.close()
print(__version__, seen)
expected = {404: "the same node"} | dict.fromkeys((405, 406, 410, 413, 500), "another node")
assert (__version__, seen) == ("8.19.0", expected), "it has changed"
PYTHON
