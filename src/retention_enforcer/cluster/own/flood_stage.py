"""Writing into the enforcer's own indices although the disk is nearly full.

Above the flood stage Elasticsearch lets indices be deleted, which frees the disk, but refuses writes, and nothing is
deleted here that was not written down before. So the block is lifted from the own index, and from no other.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.errors import CLUSTER_BLOCK, translated
from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.facts import Block

T = TypeVar("T")


def write_own(client: Elasticsearch, index: str, write: Callable[[], T]) -> T:
    """Return what a write into an own index answers; where the flood stage refused it, lift the block and repeat it.

    The refused write was not carried out: the block comes before everything else.
    """
    try:
        return write()
    except RequestRejected as error:
        if error.status != HTTPStatus.TOO_MANY_REQUESTS or error.kind != CLUSTER_BLOCK:
            raise
    with translated(destructive=True):
        settings = {f"index.blocks.{Block.FLOOD_STAGE}": None}
        client.options(max_retries=0).indices.put_settings(index=index, settings=settings)
    return write()
