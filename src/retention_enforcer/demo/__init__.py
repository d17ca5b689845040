"""A real Elasticsearch from nothing but Python, and sample data to watch the enforcer work on."""
