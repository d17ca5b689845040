"""The cluster's lifecycles: read, attached, detached."""
