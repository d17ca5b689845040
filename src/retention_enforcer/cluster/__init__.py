"""The only code that talks to Elasticsearch."""
