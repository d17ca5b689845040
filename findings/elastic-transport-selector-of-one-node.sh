#!/usr/bin/env bash
# elastic-transport 8.19.0: a node selector is not asked where one node is left, and so is never told which node was used.
#
# Guess: each request goes through the selector, with a list of one node where the others have failed; a selector that
#        keeps to the node of the last request then keeps to that one.
# Seen:  with one node left the pool takes it by itself. When the failed node may be tried again, a second later, such a
#        selector goes back to it, since it is the last that it chose.
# Exits 0 as long as that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check elastic-transport==8.19.0 urllib3==2.8.0
"$folder/venv/bin/python" - <<'PYTHON'
import logging
import time

from elastic_transport import NodeConfig, NodePool, NodeSelector, Urllib3HttpNode, __version__

logging.getLogger("elastic_transport").setLevel(logging.CRITICAL)
asked = []


class Same(NodeSelector):
    """Chooses the node of the last time, as long as it is among those that work."""

    last = None

    def select(self, nodes):
        asked.append(len(nodes))
        if self.last not in nodes:
            self.last = nodes[0]
        return self.last


configs = [NodeConfig("http", "127.0.0.1", port) for port in (9201, 9202)]
pool = NodePool(configs, node_class=Urllib3HttpNode, node_selector_class=Same)
first = pool.get()
pool.mark_dead(first)
second = pool.get()
time.sleep(1.1)  # a node that failed once is set aside for a second
third = pool.get()
print(__version__, "asked with", asked, "nodes;", "back at the failed one" if third is first else "still at the other")
assert (__version__, asked, second is not first, third is first) == ("8.19.0", [2, 2], True, True), "it has changed"
PYTHON
