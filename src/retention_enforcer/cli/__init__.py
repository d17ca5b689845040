"""The command line: one short function for each command. No command asks a question.

JSON goes to stdout alone; logs and errors go to stderr. `daemon/exit_codes.py` has the exit codes and their precedence.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from retention_enforcer.bootstrap import Surroundings
from retention_enforcer.cli import certificates, deciding, holds, ledger, reading, running, setting_up, terminations
from retention_enforcer.cli.console import app, complain
from retention_enforcer.daemon.exit_codes import FAILED, OK
from retention_enforcer.domain.errors import ConfigurationError, RetentionError

__all__ = ["certificates", "deciding", "holds", "ledger", "main", "reading", "running", "setting_up", "terminations"]


def main(arguments: Sequence[str], surroundings: Surroundings) -> int:
    """Run one command and return its exit code; errors go to stderr with their remedy, without a traceback."""
    try:
        code = app(args=list(arguments), obj=surroundings, standalone_mode=False, prog_name="retention-enforcer")
    except RetentionError as error:
        complain(f"error: {error}")
        return error.exit_code
    except typer.Exit as ending:
        return ending.exit_code
    except TyperException as error:
        complain(f"error: {error.format_message()}\n  see: retention-enforcer --help")
        return ConfigurationError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        return FAILED
    return code if isinstance(code, int) else OK
