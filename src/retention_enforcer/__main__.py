"""The entry point: the only place that reads the process's environment and ends the process."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import NoReturn

from retention_enforcer import cli
from retention_enforcer.bootstrap import Surroundings


def main() -> NoReturn:
    """Run the command line."""
    end(cli.main(sys.argv[1:], Surroundings(environ=os.environ)))


def end(code: int) -> NoReturn:
    """End the process, without waiting for threads that a cluster without answers holds up."""
    if threading.active_count() > 1:  # also daemon threads: those of a pool are waited for at exit
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
