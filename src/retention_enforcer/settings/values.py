"""How the text of an environment variable becomes a value.

Each function takes the text and returns the value, or raises a `PydanticCustomError` of the type `refused` with a
text and a remedy. No message repeats what might hold a secret: addresses and keys are never quoted.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic_core import PydanticCustomError

from retention_enforcer.domain.instants import format_duration, parse_duration

REFUSED = "refused"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


class HttpAddress(NamedTuple):
    """Where the status page, health and metrics listen; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def refused(text: str, remedy: str) -> PydanticCustomError:
    """The error of a validator, with the remedy in its context."""
    return PydanticCustomError(REFUSED, "{text}: {remedy}", {"text": text, "remedy": remedy})


def shown(text: str) -> str:
    """A value as an error may repeat it: on one line, and not for long."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")  # noqa: PLR2004 - half a line


def duration(least: int, most: int | None = None) -> Callable[[str], int]:
    """A reader of durations, in milliseconds, between two bounds (included)."""
    bounds = f"at least {format_duration(least)}" + (f" and at most {format_duration(most)}" if most else "")

    def read(text: str) -> int:
        try:
            value = parse_duration(text)
        except ValueError:
            if re.fullmatch(r"[0-9]+", text.strip()):
                raise refused(f"{shown(text)} has no unit", "write 30s, 5m, 24h or 14d, not a bare number") from None
            remedy = "write a whole number and a unit, such as 30s, 5m, 24h or 14d"
            raise refused(f"{shown(text)} is not a duration", remedy) from None
        if value < least or (most is not None and value > most):
            raise refused(f"{shown(text)} is out of range", f"write {bounds}")
        return value

    return read


def matching(pattern: str, what: str) -> Callable[[str], str]:
    """A reader of text that has to look like something; `what` says how."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise refused("the value is invalid", f"write {what}")
        return text

    return read


def share(text: str) -> float:
    """A part of the whole, above 0 and at most 1."""
    if not re.fullmatch(r"[0-9]*\.?[0-9]+", text, re.ASCII) or not 0 < float(text) <= 1:
        raise refused(f"{shown(text)} is not a share", "write a number above 0 and at most 1, such as 0.5")
    return float(text)


def count(text: str) -> int:
    """A whole number from 1."""
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text, re.ASCII):
        raise refused(f"{shown(text)} is not a whole number above 0", "write a whole number such as 20")
    return int(text)


def sha256(text: str) -> str:
    """A SHA-256 as 64 lower case hexadecimal digits; colons between them are dropped."""
    digits = text.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise refused("the value is not a SHA-256 hash", "write its 64 hexadecimal digits")
    return digits


def ca_certs(text: str) -> Path:
    """A file of PEM certificates that OpenSSL can read."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=text)
    except ssl.SSLError:
        raise refused(f"{shown(text)} contains no certificate", "name a PEM file such as http_ca.crt") from None
    except OSError as error:
        raise refused(f"{shown(text)} cannot be read: {reason(error)}", "name a PEM file that is readable") from None
    return Path(text)


def reason(error: OSError) -> str:
    """What the system says, in a few words."""
    return (error.strerror or type(error).__name__).lower()


def cluster_urls(text: str) -> tuple[str, ...]:
    """Addresses separated by commas, each with its port: `https://host:9200` or `https://host:443/prefix`."""
    if "@" in text:
        remedy = "remove them, and set ENFORCER_ELASTICSEARCH_API_KEY, or _USERNAME and _PASSWORD"
        raise refused("the address contains credentials", remedy)
    return tuple(_cluster_url(entry.strip(), number) for number, entry in enumerate(text.split(","), 1))


def _cluster_url(entry: str, number: int) -> str:
    remedy = "write addresses in the form https://host:9200, separated by commas"
    try:
        parts = urlsplit(entry)
        port = parts.port
    except ValueError:  # an unclosed bracket, a port that is no number or too large
        raise refused(f"address {number} has an invalid host or port", remedy) from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise refused(f"address {number} does not begin with http:// or https://", remedy)
    host = parts.hostname or ""
    if port == 0 or not (_is_host(host) or _is_ipv6(host)):
        raise refused(f"address {number} has an invalid host or port", remedy)
    if "?" in entry or "#" in entry or not re.fullmatch(r"[\x21-\x7e]+", entry):
        raise refused(f"address {number} contains more than scheme, host, port and path", remedy)
    written = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{written}:{port or _DEFAULT_PORTS[parts.scheme]}{parts.path.rstrip('/')}"


def http_address(text: str) -> HttpAddress:
    """Host and port to listen on: `127.0.0.1:9464`, `[::1]:9464`."""
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    good = _is_ipv6(bare) if bare != host else _is_host(host)
    if not good or not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or int(port) > _LAST_PORT:
        remedy = "write host:port, such as 127.0.0.1:9464, 0.0.0.0:9464 or [::1]:9464"
        raise refused(f"{shown(text)} is not an address to listen on", remedy)
    return HttpAddress(bare, int(port))


def _is_host(host: str) -> bool:
    if not re.fullmatch(r"[0-9.]+", host):
        return _HOST.fullmatch(host) is not None
    try:
        IPv4Address(host)
    except AddressValueError:
        return False
    return True


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except AddressValueError:
        return False
    return True
