"""What all commands share: the application, its options, and how things are printed."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from typer.core import TyperGroup

from retention_enforcer.bootstrap import Deployment, Surroundings
from retention_enforcer.daemon.exit_codes import MEANINGS
from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.logs import configure_logs

TABLE_WIDTH = 100


class Output(StrEnum):
    """What a reading command prints."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", help="The format: a table for people, or JSON for programs.")]


class _Sorted(TyperGroup):
    """A list of commands in alphabetical order."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - the type is private to Typer
        return sorted(super().list_commands(ctx))


_EXIT_CODES = "\b\nExit codes; if several apply, the first in this list:\n" + "\n".join(
    f"  {code}  {meaning}" for code, meaning in MEANINGS.items()
)

app = typer.Typer(
    name="retention-enforcer",
    cls=_Sorted,
    help="""Makes an Elasticsearch cluster keep its privacy policy, and proves it.

    The policy and the connection are named by environment variables, which config/settings.md describes. No command
    asks a question. JSON goes to stdout; logs and errors go to stderr.
    """,
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
plan_app = typer.Typer(
    help="""Show what the next cycle would do, and why.

    Nothing is written. A plan that the fuse refuses is shown with its hash, for `plan approve`.
    """
)
policy_app = typer.Typer(help="Show or accept the policy, or print its schema.", no_args_is_help=True)
ledger_app = typer.Typer(help="Show, verify, export or adopt the ledger.", no_args_is_help=True)
hold_app = typer.Typer(help="Protect data from deletion for a time.", no_args_is_help=True)
terminations_app = typer.Typer(help="Show terminations and erasure requests, with the time left.")
app.add_typer(plan_app, name="plan", invoke_without_command=True)
app.add_typer(policy_app, name="policy")
app.add_typer(ledger_app, name="ledger")
app.add_typer(hold_app, name="hold")
app.add_typer(terminations_app, name="terminations", invoke_without_command=True)


def deployment_of(context: typer.Context) -> Deployment:
    """Return everything that a command needs, made when it is first asked for."""
    surroundings: Surroundings = context.obj
    deployment = Deployment(surroundings)
    configure_logs(deployment.settings.log_format, deployment.settings.log_level)
    return deployment


def on_signals(end: Callable[[], None]) -> None:
    """Call `end` when the process is told to end."""

    def handle(_: int, __: FrameType | None) -> None:
        end()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def print_table(renderable: RenderableType) -> None:
    """Print a table in at most 100 columns."""
    console = Console(markup=False, highlight=False)
    console.width = min(console.width, TABLE_WIDTH) if console.is_terminal else TABLE_WIDTH
    console.print(renderable)


def print_json(document: Any) -> None:  # noqa: ANN401
    """Print a document alone on stdout."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def say(text: str) -> None:
    """Print a line on stdout."""
    sys.stdout.write(text + "\n")


def complain(text: str) -> None:
    """Print a line on stderr."""
    sys.stderr.write(text + "\n")


def write_file(path: Path, text: str) -> None:
    """Write a page to a file that the user named."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", "name a file in a folder that you may write"
        ) from None
