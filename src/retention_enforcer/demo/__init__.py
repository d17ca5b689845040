"""Sample data on a real Elasticsearch of its own, to watch the enforcer work on."""
