"""The workbench, its repositories and its customers, for every test here."""

from backups import backups
from customers import patient, tenants
from workbench import bench

__all__ = ["backups", "bench", "patient", "tenants"]
