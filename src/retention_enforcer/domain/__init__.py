"""The rules: what must go, when, and why. Pure: no clock, no I/O, no Elasticsearch."""
