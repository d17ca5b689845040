"""Makes an Elasticsearch cluster keep its privacy policy, and proves it."""
