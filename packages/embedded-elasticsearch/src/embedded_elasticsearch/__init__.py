"""A real Elasticsearch from nothing but Python packages, for tests and demonstrations.

with EmbeddedServer() as server:
print(server.url, server.admin.username, server.admin.password)
"""

from embedded_elasticsearch.configuration import Certificate, Login, ServerFailed
from embedded_elasticsearch.download import DEFAULT_VERSION, DISTRIBUTIONS, DownloadFailed
from embedded_elasticsearch.errors import ConfigurationError, EmbeddedServerError
from embedded_elasticsearch.owner import NoPlace
from embedded_elasticsearch.runtime import NoRuntime
from embedded_elasticsearch.server import EmbeddedServer

__all__ = [
    "DEFAULT_VERSION",
    "DISTRIBUTIONS",
    "Certificate",
    "ConfigurationError",
    "DownloadFailed",
    "EmbeddedServer",
    "EmbeddedServerError",
    "Login",
    "NoPlace",
    "NoRuntime",
    "ServerFailed",
]
