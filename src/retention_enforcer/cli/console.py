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

from retention_enforcer.bootstrap import Deployment, Surroundings
from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.logs import configure_logs

TABLE_WIDTH = 100


class Output(StrEnum):
    """What a reading command prints."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", help="A table for people, or JSON.")]

app = typer.Typer(
    name="retention-enforcer",
    help="Makes an Elasticsearch cluster keep its privacy policy, and proves it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
plan_app = typer.Typer(help="Show what the next cycle would do, or approve what the fuse refuses.")
policy_app = typer.Typer(help="Show the policy, its schema, or accept it.", no_args_is_help=True)
ledger_app = typer.Typer(help="Show, verify, export or adopt the ledger.", no_args_is_help=True)
hold_app = typer.Typer(help="Keep data from being deleted for now.", no_args_is_help=True)
terminations_app = typer.Typer(help="Show terminations and deletion requests, or approve those that wait.")
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
            f"{path} cannot be written: {error.strerror}", "name a file in a folder of yours"
        ) from None
