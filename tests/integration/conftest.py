"""The workbench, its repositories and its customers, for every test here."""

from backups import backups
from customers import tenants
from workbench import bench, benches

__all__ = ["backups", "bench", "benches", "tenants"]
