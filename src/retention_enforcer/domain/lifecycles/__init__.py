"""The cluster's own lifecycles: compiled from promises, chosen for each index, watched."""
