"""The entry point: the only place that reads the process's environment and ends the process."""

from __future__ import annotations

import os
import sys

from retention_enforcer import cli
from retention_enforcer.bootstrap import Surroundings


def main() -> None:
    """Run the command line."""
    sys.exit(cli.main(sys.argv[1:], Surroundings(environ=os.environ)))


if __name__ == "__main__":
    main()
