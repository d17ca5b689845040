"""The workbench, for every test here."""

from workbench import bench

__all__ = ["bench"]
