"""The status page, its JSON, metrics and health over HTTP: shows, never acts, and never asks the cluster."""

from __future__ import annotations

from retention_enforcer.web.application import make_application
from retention_enforcer.web.server import PageServer

__all__ = ["PageServer", "make_application"]
