"""Writes the generated files, or says which are stale: references, roles, a copy of the policy."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from retention_enforcer.policy_file import load_policy
from retention_enforcer.reporting.findings_page import findings_page
from retention_enforcer.reporting.privileges import privileges_page, role_files
from retention_enforcer.reporting.status import status_schema
from retention_enforcer.settings.reference import settings_page


def references(root: Path) -> dict[Path, str]:
    """Return the content that each file must have, for the repository at `root`."""
    policy, deploy = root / "config" / "trtc.yaml", root / "deploy"
    return {
        root / "config" / "settings.md": settings_page(),
        root / "docs" / "findings.md": findings_page(),
        root / "docs" / "privileges.md": privileges_page(),
        root / "docs" / "status.schema.json": json.dumps(status_schema(), indent=2, ensure_ascii=False) + "\n",
        # Kustomize reads nothing above its own folder.
        deploy / "kubernetes" / "policy.yaml": policy.read_text(encoding="utf-8"),
        **{deploy / "roles" / name: text for name, text in role_files(load_policy(policy)).items()},
    }


def main(arguments: Sequence[str]) -> int:
    """Write or check the files; return 1 if one is stale."""
    parser = argparse.ArgumentParser(prog="python -m retention_enforcer.cli.references", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="FOLDER", help="write them, below the repository's folder")
    action.add_argument("--check", type=Path, metavar="FOLDER", help="exit 1 if one of them is stale")
    chosen = parser.parse_args(arguments)
    if chosen.write:
        for path, text in references(chosen.write).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [path for path, text in references(chosen.check).items() if _read(path) != text]
    for path in stale:
        sys.stderr.write(f"{path} is out of date: run make reference\n")
    return 1 if stale else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
