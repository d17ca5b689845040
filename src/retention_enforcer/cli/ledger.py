"""The commands about the ledger."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from retention_enforcer.cli.console import Output, OutputOption, deployment_of, ledger_app, print_json, print_table, say
from retention_enforcer.daemon.exit_codes import OK
from retention_enforcer.daemon.lease import adopt_epoch
from retention_enforcer.domain.errors import ConfigurationError, LedgerBroken
from retention_enforcer.domain.ledger.checkpoints import Checkpoints
from retention_enforcer.domain.ledger.records import Head, Record, canonical, check_chain, is_last
from retention_enforcer.domain.own.state_keys import ADOPTED, CHECKPOINT, LEDGER
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms
from retention_enforcer.domain.wording import counted
from retention_enforcer.enforcement.ledger.memory import LedgerMemory
from retention_enforcer.enforcement.ledger.verifier import Verifier
from retention_enforcer.enforcement.preconditions.control_memory import adopt_control
from retention_enforcer.enforcement.terminations.intake import adopt
from retention_enforcer.reporting.records import records_table


@ledger_app.command("show")
def ledger_show(
    context: typer.Context,
    output: OutputOption = Output.TABLE,
    last: Annotated[int, typer.Option("--last", min=1, help="How many records to show.")] = 50,
) -> int:
    """Show the last records of the ledger."""
    ledger = deployment_of(context).stores.ledger
    records = list(ledger.read(max(ledger.head().sequence - last, 0)))
    if output is Output.JSON:
        print_json(records)
    else:
        print_table(records_table(records))
    return OK


@ledger_app.command("verify")
def ledger_verify(
    context: typer.Context,
    file: Annotated[Path | None, typer.Option("--file", help="An export. Default: the ledger in the cluster.")] = None,
    head: Annotated[str, typer.Option("--head", help="The hash that the last record must have.")] = "",
) -> int:
    """Verify every record and its place in the chain.

    With the pseudonym key, the HMAC of every checkpoint is verified as well. The command says what it did not check.

    Exit code 1: the ledger is not whole. The first record that does not fit is named.
    """
    deployment = deployment_of(context)
    found, checkpoints = (
        _verify_export(file, deployment.pseudonyms) if file else _verify_index(deployment.stores.verifier)
    )
    if head and found.hash != head.lower():
        raise LedgerBroken(f"record {found.sequence}: the last record has the hash {found.hash}, not {head}", _COMPARE)
    say(f"the ledger is whole: {found.sequence} records, head {found.hash}")
    say(checkpoints.summary)
    return OK


@ledger_app.command("export")
def ledger_export(context: typer.Context) -> int:
    """Print every record with its hash, one JSON object per line."""
    for record in deployment_of(context).stores.ledger.read():
        sys.stdout.write(canonical(record).decode() + "\n")
    return OK


@ledger_app.command("adopt")
def ledger_adopt(context: typer.Context) -> int:
    """Continue after an own index was lost or restored.

    The ledger, the state, the requests, the registry and the control index are taken as they are now. The command
    names what was lost with them: holds, the stop flag, requests, open terminations, approvals.
    """
    deployment = deployment_of(context)
    stores = deployment.stores
    head = check_chain(stores.ledger.read())
    if head.sequence and not is_last(stores.ledger.standing(head.sequence), head):
        raise LedgerBroken(f"record {head.sequence}: the shard copies of the ledger differ", _COMPARE)
    memory = LedgerMemory(uuid=stores.ledger.uuid(), head=head, settled=0)
    stores.state.save(LEDGER, memory.body(), deployment.clock.now())
    stores.state.remove(CHECKPOINT)  # the last may have been lost; the next is written at once
    say(f"adopted: the ledger continues from record {head.sequence}")
    now = deployment.clock.now()
    word = adopt_control(stores.control, stores.control_reader, stores.state, now)
    if word.holds:
        say(f"lost holds, which protect nothing unless you add them again: {', '.join(word.holds)}")
    if word.stop:
        say("the stop flag was lost: the next cycle deletes again unless you run `stop`")
    adopted = adopt(stores.requests, stores.registry, stores.ledger, stores.state, now)
    if adopted.skipped_up_to is not None:
        say(
            f"adopted: requests up to _seq_no {adopted.skipped_up_to} are skipped; "
            "repeat those that were not carried out"
        )
        say("all open terminations wait for `terminations approve`, because reinstatements may have been skipped")
    if adopted.lost:
        say(
            f"open in the ledger, but lost from the registry: {counted(len(adopted.lost), 'termination')}; "
            "request again:"
        )
        for who in adopted.lost:
            say(f"  {who}")
    if adopt_epoch(stores.state, stores.ledger.last_epoch(), now):
        control = stores.control_reader.read()
        for release in (*control.approvals, *control.orders):  # whether they were carried out nobody knows any more
            stores.control.remove(release.key)
        say("retention-state was older than the ledger. Approvals and orders are void: repeat those that still apply.")
        say(
            "A hold covers what it names now and what it named when it was added. "
            "Add it again if names have changed in between."
        )
        say(
            "ENFORCER_ACCEPT_POLICY may again accept a policy that it accepted before: "
            "run no instance with an older policy."
        )
    stores.state.save(ADOPTED, {"at": now}, now)  # last: a daemon that runs begins anew with what there is
    return OK


_COMPARE = "compare the ledger with an export or with the checkpoints in the log"


def _verify_index(verifier: Verifier) -> tuple[Head, Checkpoints]:
    verified = verifier.verify()
    return verified.head, verified.checkpoints


def _verify_export(file: Path, pseudonyms: Pseudonyms) -> tuple[Head, Checkpoints]:
    try:
        lines = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}", "name a file that `ledger export` wrote") from None
    checkpoints = Checkpoints(pseudonyms)
    records = (_record(number, line) for number, line in enumerate(lines, 1))
    return check_chain(records, see=checkpoints.see), checkpoints


def _record(number: int, line: str) -> Record:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, Mapping) or "previous" not in record:
        raise LedgerBroken(f"record {number}: line {number} of the file is not a record", _COMPARE)
    if _written(record) != line:
        raise LedgerBroken(f"record {number}: line {number} of the file is not in the canonical form", _COMPARE)
    return record


def _written(record: Record) -> str | None:
    """Return a record as an export has it; None for what no export can have."""
    try:
        return canonical(record).decode()
    except ValueError:
        return None
