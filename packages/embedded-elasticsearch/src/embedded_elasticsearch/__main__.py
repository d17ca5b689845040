"""Run a server until Ctrl-C or SIGTERM, for developers: prints its address and the superuser."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from embedded_elasticsearch.download import DEFAULT_VERSION, DISTRIBUTIONS
from embedded_elasticsearch.errors import EmbeddedServerError
from embedded_elasticsearch.server import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; 0 where it was told to end, the error's exit code where there is no server or it ended by itself."""
    parser = argparse.ArgumentParser(prog="python -m embedded_elasticsearch", description=__doc__)
    parser.add_argument("--version", choices=sorted(DISTRIBUTIONS), default=DEFAULT_VERSION)
    parser.add_argument("--heap", default="512m")
    parser.add_argument("--folder", type=Path, help="keep data and snapshots here")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with EmbeddedServer(version=chosen.version, heap=chosen.heap, folder=chosen.folder) as server:
            print(f"Elasticsearch {server.version}: {server.url}", flush=True)
            print(f"user {server.admin.username}, password {server.admin.password}", flush=True)
            while server.running:
                time.sleep(1)
            print("the server ended unexpectedly", file=sys.stderr)
            return EmbeddedServerError.exit_code
    except KeyboardInterrupt:
        return 0
    except EmbeddedServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
