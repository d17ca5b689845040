"""The walk in the README, followed word for word by a shell in a clean folder, on a cluster with old logs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from embedded_elasticsearch import EmbeddedServer
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
ENGLISH = ("README.md", "Ten minutes to the first enforced policy")
CHINESE = ("README.zh-CN.md", "十分钟执行第一条策略")


def blocks(page: str, headline: str) -> list[str]:
    """The blocks of commands of one section."""
    section = (ROOT / page).read_text(encoding="utf-8").split(f"## {headline}\n")[1].split("\n## ")[0]
    found = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", section, re.MULTILINE)
    return [textwrap.dedent(block).strip("\n") for block in found]


def followed(server: EmbeddedServer) -> str:
    """The commands, with this cluster for the reader's, and with somebody who presses Ctrl-C after a while."""
    script = "\n".join(blocks(*ENGLISH))
    for written, here in (
        ("make install && . .venv/bin/activate", ":"),  # of which this very test makes use
        ("https://localhost:9200", server.url),
        ("ENFORCER_ELASTICSEARCH_USERNAME=elastic", f"ENFORCER_ELASTICSEARCH_USERNAME={server.admin.username}"),
        ("PASSWORD=changeme", f"PASSWORD={server.admin.password}"),
    ):
        assert written in script
        script = script.replace(written, here)
    runs = re.compile(r"^retention-enforcer run$", re.MULTILINE)
    assert len(runs.findall(script)) == 2
    return runs.sub("timeout --preserve-status -s INT 8 retention-enforcer run", script)


def test_the_walk_in_the_readme_ends_with_the_first_promise_kept(
    own_server: Callable[..., EmbeddedServer], tmp_path: Path
) -> None:
    with own_server() as server:
        login = (server.admin.username, server.admin.password)
        with Elasticsearch(server.url, basic_auth=login, request_timeout=60) as es:
            _store_logs(es)
            ran = subprocess.run(
                ["bash", "-e"],
                input=followed(server),
                cwd=tmp_path,
                env={
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "ENFORCER_HTTP_ADDRESS": "127.0.0.1:0",  # the usual one may be taken on a machine that tests
                },
                capture_output=True,
                text=True,
                timeout=150,
                check=False,
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
            assert "Every promise is kept" in ran.stdout
            assert "Traceback" not in ran.stderr
            assert es.count(index="access-logs-*")["count"] == 3
            assert not es.indices.exists(index="access-logs-2026.01")


def test_the_walk_is_the_same_in_both_languages() -> None:
    assert len(blocks(*ENGLISH)) == 6
    assert blocks(*CHINESE) == blocks(*ENGLISH)


def _store_logs(es: Elasticsearch) -> None:
    now = SystemClock().now()
    for name, ages in (("access-logs-2026.01", [40, 40]), ("access-logs-2026.02", [1, 2, 3])):
        es.indices.create(index=name, mappings={"properties": {"@timestamp": {"type": "date"}}})
        bulk(es, ({"_index": name, "_source": {"@timestamp": now - age * DAY}} for age in ages), refresh=True)
