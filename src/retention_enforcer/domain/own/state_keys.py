"""The keys of the documents in `retention-state`: all that the enforcer remembers between runs.

Beside each key: the module that knows how its document is made.
"""

from __future__ import annotations

LEASE = "lease"
"""Who acts, and until when: `domain.lease`."""

CLUSTER = "cluster"
"""The uuid of the cluster that was recorded first: `enforcement.preconditions.safety`."""

LEDGER = "ledger"
"""How far the ledger goes, and up to where every intent has its outcome: `enforcement.ledger.memory`."""

CHECKPOINT = "checkpoint"
"""The last checkpoint of the ledger: `domain.ledger.checkpoints`."""

POLICY = "policy"
"""Which fingerprints environments accepted, and when first: `enforcement.terms`."""

CONTROL = "control"
"""How far `retention-control` goes: `enforcement.preconditions.control_memory`."""

ADOPTED = "adopted"
"""The last `ledger adopt`: `enforcement.preconditions.own_indices`."""

HOLDS = "holds"
"""What the ledger knows of holds: `enforcement.holds.records`."""

REQUESTS = "requests"
"""How far `retention-requests` was read: `enforcement.terminations.intake`."""

REGISTRY = "registry"
"""How far `retention-terminations` goes: `enforcement.terminations.intake`."""

LOOKED = "terminations-looked-at"
"""When the work on terminations last came to its end: `enforcement.terminations.job`."""

TERMINATIONS = "terminations"
"""The findings of the work on terminations: `enforcement.findings`."""

LIFECYCLES = "lifecycles"
"""The findings of the look for stray lifecycles: `enforcement.findings`."""

COVERAGE = "coverage"
"""What the last look past the policy found: `enforcement.memory`."""

COPIES = "copies"
"""Which node has a copy of which index: `enforcement.coverage.node_copies`."""

ENDED_INDICES = "ended-indices"
"""Which indices of terminated tenants could not be deleted yet: `domain.lifecycles.ended`."""

DELETION_BLOCKS = "deletion-blocks"
"""Which write blocks are set for a deletion: `enforcement.expiry.deletion_blocks`."""

LIFTED_BLOCKS = "lifted-blocks"
"""Which write blocks are lifted for a purge of documents: `enforcement.erasure.write_blocks`."""

# Two more are among those of `control_documents`: `covered-ID`, what the enforcer saw a hold cover, and `stop`, which
# confirms that the stop is obeyed.

PUT_STREAMS = "put-streams"
"""The kind of the documents of `streams_key`."""


def streams_key(category: str) -> str:
    """Return the key of what was put on the streams of a category: `enforcement.lifecycles.adoption`."""
    return f"streams-{category}"


def memory_key(category: str) -> str:
    """Return the key of a category's document (`enforcement.memory`): its evidence, findings and verdict."""
    return f"category-{category}"
