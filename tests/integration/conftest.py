"""The workbench and its repositories, for every test here."""

from backups import backups
from workbench import bench

__all__ = ["backups", "bench"]
