"""Lifecycles of indices: attached, swapped, detached, watched."""
