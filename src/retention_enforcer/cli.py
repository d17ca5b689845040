"""The command line: one short function a command. No command asks a question.

JSON goes to stdout alone; logs and errors go to stderr. Exit codes: 2 wrong settings, policy or arguments; 4 refused
as unsafe or unaccepted; 3 a promise is not kept; 1 failed; 0 otherwise. In this precedence.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from importlib.metadata import version as installed_version
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import structlog
import typer
from rich.console import Console, RenderableType
from rich.text import Text
from typer.exceptions import TyperException

from retention_enforcer import policy_file
from retention_enforcer.bootstrap import Acting, Deployment, Surroundings
from retention_enforcer.cluster.own_indices import create_own_indices, creation_bodies
from retention_enforcer.daemon.exit_codes import FAILED, NOT_KEPT, OK, worst
from retention_enforcer.daemon.once import run_once
from retention_enforcer.demo.run import run_demo
from retention_enforcer.domain.errors import ConfigurationError, LedgerBroken, RetentionError
from retention_enforcer.domain.ledger import Head, Record, canonical, check_chain
from retention_enforcer.enforcement import operator
from retention_enforcer.enforcement.reader import Look
from retention_enforcer.enforcement.standing import LEDGER_MEMORY, LedgerMemory
from retention_enforcer.logs import configure_logs
from retention_enforcer.reporting.plans import plan_document, plan_table
from retention_enforcer.reporting.policies import policy_table
from retention_enforcer.reporting.records import records_table
from retention_enforcer.reporting.report import Report, report_document, report_table

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
app.add_typer(plan_app, name="plan", invoke_without_command=True)
app.add_typer(policy_app, name="policy")
app.add_typer(ledger_app, name="ledger")


def main(arguments: Sequence[str], surroundings: Surroundings) -> int:
    """Run one command and return its exit code; errors go to stderr with their mend, without a traceback."""
    try:
        code = app(args=list(arguments), obj=surroundings, standalone_mode=False, prog_name="retention-enforcer")
    except RetentionError as error:
        _complain(f"error: {error}")
        return error.exit_code
    except typer.Exit as ending:
        return ending.exit_code
    except TyperException as error:
        _complain(f"error: {error.format_message()}\n  see: retention-enforcer --help")
        return ConfigurationError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        return FAILED
    return code if isinstance(code, int) else OK


@app.command()
def run(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Run each job once, then end.")] = False,
) -> int:
    """Enforce the policy, or in plan mode only watch it: every category on its interval."""
    deployment = _deployment(context)
    settings = deployment.settings
    configure_logs(settings.log_format, settings.log_level, instance=deployment.instance)
    acting = deployment.acting()
    deployment.inventory.cluster()  # a cluster that answers nobody is found out before any other judgement
    _introduce(deployment)
    return _run_once(deployment, acting) if once else _run(deployment, acting)


def _introduce(deployment: Deployment) -> None:
    """Log under what the process works, and that every deletion is its own: this version attaches no lifecycles."""
    settings, log = deployment.settings, structlog.get_logger()
    about = {"event.action": "start", "retention.policy": deployment.fingerprint}
    log.info(f"{settings.mode} mode, policy {deployment.policy.name}, deletion: direct", **about)
    if settings.lifecycle == "ilm":
        log.warning("ENFORCER_LIFECYCLE is ilm, but this version uses no lifecycles: deletion is direct", **about)


def _run(deployment: Deployment, acting: Acting) -> int:
    service = deployment.service(acting)
    _on_signals(service.end)
    return service.run()


def _run_once(deployment: Deployment, acting: Acting) -> int:
    stop = threading.Event()

    def end() -> None:
        acting.gate.shut("the enforcer is ending")
        stop.set()

    _on_signals(end)
    categories = [category.id for category in deployment.policy.categories]
    return run_once(acting.worker, categories, acting.lease, acting.look_at_stop, stop)


@plan_app.callback()
def plan(context: typer.Context, output: OutputOption = Output.TABLE) -> int | None:
    """Show what the next cycle would do, and why; writes nothing."""
    if context.invoked_subcommand is not None:
        return None
    deployment = _deployment(context)
    look = deployment.reader.look(deployment.policy.categories)
    if output is Output.JSON:
        document = plan_document(
            look.plans.values(),
            cluster=look.cluster,
            mode=deployment.settings.mode or "plan",
            policy=deployment.fingerprint,
            as_of=look.as_of,
        )
        _print_json(document)
    else:
        _print(plan_table(deployment.policy, look.plans.values(), now=look.as_of, refusals=look.refusals))
    _note(look)
    return OK


@plan_app.command("approve")
def plan_approve(context: typer.Context, plan_hash: Annotated[str, typer.Argument(metavar="HASH")]) -> int:
    """Release the purges of the plan with this hash, each once, for 24 hours."""
    deployment = _deployment(context)
    look = deployment.reader.look(deployment.policy.categories)
    approved = operator.approve_plan(deployment.control, look.plans.values(), plan_hash, deployment.clock)
    documents = sum(purge.documents for purge in approved.purge)
    _say(f"approved for 24 h: {approved.category}, {len(approved.purge)} purges, {documents:,} documents")
    return OK


@app.command()
def check(context: typer.Context, output: OutputOption = Output.TABLE) -> int:
    """Look at everything that `run` needs: cluster, clock, own indices, ledger, accepted policy."""
    deployment = _deployment(context)
    checks = deployment.checks.run()
    if output is Output.JSON:
        _print_json(
            [
                {"name": c.name, "ok": c.error is None, "text": c.text, "mend": c.error.mend if c.error else ""}
                for c in checks
            ]
        )
    else:
        for found in checks:
            verdict = Text("ok     ", "green") if found.error is None else Text("NOT OK ", "bold red")
            mend = f"\n       {found.error.mend}" if found.error else ""
            _print(Text.assemble(verdict, (f"{found.name}: ", "bold"), found.text, mend))
    return worst(found.error.exit_code for found in checks if found.error)


@app.command()
def setup(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--print", help="Show what would be created, and create nothing.")] = False,
) -> int:
    """Create the enforcer's own indices; safe to repeat."""
    deployment = _deployment(context)
    if show:
        _print_json(creation_bodies(deployment.own))
        return OK
    for name, created in create_own_indices(deployment.client, deployment.own).items():
        _say(f"{'created' if created else 'in place'}: {name}")
    return OK


@policy_app.command("show")
def policy_show(context: typer.Context, output: OutputOption = Output.TABLE) -> int:
    """Show the promises of the policy and its fingerprint; needs no cluster."""
    deployment = _deployment(context)
    policy = deployment.policy
    if output is Output.JSON:
        promises = [
            {"id": c.id, "promise": c.promise, "indices": [str(p) for p in c.indices], "clause": str(c.clause)}
            for c in policy.categories
        ]
        _print_json({"name": policy.name, "fingerprint": deployment.fingerprint, "categories": promises})
        return OK
    _print(policy_table(policy))
    _say(f"fingerprint {deployment.fingerprint}")
    return OK


@policy_app.command("schema")
def policy_schema() -> int:
    """Print the JSON Schema of the policy file."""
    _print_json(policy_file.policy_schema())
    return OK


@policy_app.command("accept")
def policy_accept(context: typer.Context) -> int:
    """Accept the policy as it is here: show what it would purge now, and let it act."""
    deployment = _deployment(context)
    look = deployment.reader.look(deployment.policy.categories)
    for found in look.plans.values():
        documents = sum(purge.documents for purge in found.purge)
        _say(f"{found.category}: {len(found.purge)} indices, {documents:,} of {found.documents:,} documents are due")
    operator.accept_policy(deployment.control, deployment.fingerprint, deployment.clock)
    _say(f"accepted: {deployment.fingerprint}")
    return OK


@app.command()
def stop(context: typer.Context) -> int:
    """Stop every deletion now: set the flag, and wait until the acting daemon has confirmed it."""
    deployment = _deployment(context)
    _say("stopped: " + operator.stop(deployment.control, deployment.state, deployment.clock))
    return OK


@app.command()
def resume(context: typer.Context) -> int:
    """Undo `stop`."""
    operator.resume(_deployment(context).control)
    _say("resumed: the next cycle acts again")
    return OK


@app.command()
def report(context: typer.Context, output: OutputOption = Output.TABLE) -> int:
    """Prove every promise now: oldest document against limit, margin, findings. Exit 3 if one is not kept."""
    deployment = _deployment(context)
    look = deployment.reader.look(deployment.policy.categories)
    found = Report(
        policy=deployment.policy,
        as_of=look.as_of,
        head=deployment.reader.head(),
        proofs=deployment.reader.proofs(look),
        note=look.note,
    )
    if output is Output.JSON:
        _print_json(report_document(found))
    else:
        _print(report_table(found))
    return OK if found.kept else NOT_KEPT


@ledger_app.command("show")
def ledger_show(
    context: typer.Context,
    output: OutputOption = Output.TABLE,
    last: Annotated[int, typer.Option("--last", min=1, help="How many records, from the end.")] = 50,
) -> int:
    """Show the last records."""
    ledger = _deployment(context).ledger
    records = list(ledger.read(max(ledger.head().sequence - last, 0)))
    if output is Output.JSON:
        _print_json(records)
    else:
        _print(records_table(records))
    return OK


@ledger_app.command("verify")
def ledger_verify(
    context: typer.Context,
    file: Annotated[Path | None, typer.Option("--file", help="An export; else the ledger in the cluster.")] = None,
    head: Annotated[str, typer.Option("--head", help="The hash that the last record must have.")] = "",
) -> int:
    """Check every record and its place in the chain. Exit 1 names the first that does not fit."""
    found = _verify_export(file) if file else _verify_index(_deployment(context))
    if head and found.hash != head.lower():
        raise LedgerBroken(f"record {found.sequence}: the last one's hash is {found.hash}, not {head}", _COMPARE)
    _say(f"the ledger is whole: {found.sequence} records, head {found.hash}")
    return OK


@ledger_app.command("export")
def ledger_export(context: typer.Context) -> int:
    """Print every record in its canonical form with its hash, one a line."""
    for record in _deployment(context).ledger.read():
        sys.stdout.write(canonical(record).decode() + "\n")
    return OK


@ledger_app.command("adopt")
def ledger_adopt(context: typer.Context) -> int:
    """Go on with the ledger as it is now, after it was lost, restored or replaced, and somebody has looked."""
    deployment = _deployment(context)
    head = check_chain(deployment.ledger.read())
    memory = LedgerMemory(uuid=deployment.ledger.uuid(), head=head, settled=0)
    deployment.state.save(LEDGER_MEMORY, memory.body(), deployment.clock.now())
    _say(f"adopted: the ledger goes on from record {head.sequence}")
    return OK


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End by itself instead of keeping the daemon running.")] = False,
) -> int:
    """Show it all on a real Elasticsearch of its own: sample data, plan, enforcement, proof, ledger."""
    return run_demo(_print, None if once else lambda deployment: _run(deployment, deployment.acting()))


@app.command()
def version() -> int:
    """Print the version."""
    _say(installed_version("retention-enforcer"))
    return OK


_COMPARE = "compare with an export or with the checkpoints in the log"


def _verify_index(deployment: Deployment) -> Head:
    body = deployment.state.load([LEDGER_MEMORY]).get(LEDGER_MEMORY)
    known = LedgerMemory.of(body) if body else None
    if known and known.uuid != deployment.ledger.uuid():
        raise LedgerBroken("record 1: this is another index than the ledger that is remembered", _COMPARE)
    found = check_chain(deployment.ledger.read(), known_heads=[known.head] if known else [])
    if strangers := deployment.ledger.strangers():
        raise LedgerBroken(f"record {found.sequence + 1}: {strangers} documents in the ledger are no records", _COMPARE)
    return found


def _verify_export(file: Path) -> Head:
    try:
        lines = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}", "name a file made by `ledger export`") from None
    return check_chain(_record(number, line) for number, line in enumerate(lines, 1))


def _record(number: int, line: str) -> Record:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, Mapping) or "previous" not in record:
        raise LedgerBroken(f"record {number}: line {number} of the file is no record", _COMPARE)
    return record


def _deployment(context: typer.Context) -> Deployment:
    surroundings: Surroundings = context.obj
    deployment = Deployment(surroundings)
    configure_logs(deployment.settings.log_format, deployment.settings.log_level)
    return deployment


def _on_signals(end: Callable[[], None]) -> None:
    def handle(_: int, __: FrameType | None) -> None:
        end()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def _note(look: Look) -> None:
    if look.note:
        _complain(f"note: {look.note}")


def _print(renderable: RenderableType) -> None:
    console = Console(markup=False, highlight=False)
    console.width = min(console.width, TABLE_WIDTH) if console.is_terminal else TABLE_WIDTH
    console.print(renderable)


def _print_json(document: Any) -> None:  # noqa: ANN401
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _complain(text: str) -> None:
    sys.stderr.write(text + "\n")
