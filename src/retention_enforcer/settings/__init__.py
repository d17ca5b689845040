"""The settings: environment variables whose names begin with `ENFORCER_`.

They are read once, at the start. An empty variable counts as unset. An unknown name stops the start: otherwise a
misspelt limit would silently have its default. `make reference` writes config/settings.md from this module.
"""

from __future__ import annotations

import difflib
import re
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.instants import SECOND
from retention_enforcer.settings import values
from retention_enforcer.settings.values import HttpAddress, refused

__all__ = ["PREFIX", "SECRETS", "HttpAddress", "Settings", "load_settings"]

PREFIX = "ENFORCER_"
SECRETS = ("elasticsearch_api_key", "elasticsearch_password", "pseudonym_key")
"""The settings that can also be read from a file, whose path is in the variable with the suffix `_FILE`."""

_MAX_SECRET_BYTES = 1 << 16
_KEY_LENGTH = 32  # characters: what a random 128-bit key has in hexadecimal
_LONGEST_REQUEST = 60 * SECOND  # half of the lease's two minutes: a lease has to outlast a request


def _secret(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().isprintable():
        raise refused("the secret contains a line break or another control character", "give it as one line")
    return secret


def _api_key(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[A-Za-z0-9+/=_:.-]+", secret.get_secret_value()):
        raise refused("this is not an API key", "use the value that the cluster returned as `encoded`")
    if ":" in secret.get_secret_value():
        return SecretStr(b64encode(secret.get_secret_value().encode()).decode())
    return secret


def _pseudonym_key(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < _KEY_LENGTH:
        raise refused(
            f"the key has fewer than {_KEY_LENGTH} characters",
            "make a longer one, for example with: openssl rand -hex 32",
        )
    return secret


_Secret = Annotated[SecretStr, AfterValidator(_secret)]
_Urls = Annotated[tuple[str, ...], BeforeValidator(values.cluster_urls)]
_CaCerts = Annotated[Path, BeforeValidator(values.ca_certs)]
_Sha256 = Annotated[str, BeforeValidator(values.sha256)]
_Timeout = Annotated[int, BeforeValidator(values.duration(SECOND, _LONGEST_REQUEST))]
_Interval = Annotated[int, BeforeValidator(values.duration(SECOND))]
_Grace = Annotated[int, BeforeValidator(values.duration(0))]
_User = Annotated[str, BeforeValidator(values.matching(r"[^:\x00-\x1f\x7f]+", "a name without a colon"))]
_Uuid = Annotated[str, BeforeValidator(values.matching(r"[A-Za-z0-9_-]{1,64}", "the cluster_uuid that GET / shows"))]
_Instance = Annotated[
    str, BeforeValidator(values.matching(r"[A-Za-z0-9._-]{1,64}", "1 to 64 of A-Z a-z 0-9 . _ -, such as node-1"))
]


class Settings(BaseSettings):
    """The settings of one process, made by `load_settings` alone. Durations are in milliseconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        enable_decoding=False,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    mode: Literal["plan", "enforce"] | None = None
    """`plan` shows what would be deleted and deletes nothing. `enforce` deletes it. `run` requires this setting. There
    is no default, because neither mode is harmless: one deletes data, the other lets promises break."""

    policy_file: Path | None = None
    """The path of the policy file. Every command that uses the policy requires it. There is no default, because a
    policy that was found by chance could delete data."""

    elasticsearch_url: _Urls | None = None
    """The address of the cluster, with `http://` or `https://`. Several nodes of the same cluster are separated by
    commas. The default port is that of the scheme, 80 or 443. Do not put credentials here: addresses are logged."""

    elasticsearch_api_key: Annotated[_Secret, AfterValidator(_api_key)] | None = None
    """An API key, either as the cluster returned it under `encoded` or as `id:api_key`. Set either this
    or user name and password, not both."""

    elasticsearch_username: _User | None = None
    """The name of the user. It requires the password. If there is neither an API key nor a user, no credentials are
    sent: the security of the cluster is off."""

    elasticsearch_password: _Secret | None = None
    """The password of the user."""

    elasticsearch_ca_certs: _CaCerts | None = None
    """A PEM file with the certificates to trust. By default those of the system are trusted. Only for `https://`."""

    elasticsearch_ca_fingerprint: _Sha256 | None = None
    """The SHA-256 fingerprint of the cluster's CA, with or without colons. Elasticsearch shows it at its first start.
    Set either this or `ENFORCER_ELASTICSEARCH_CA_CERTS`, not both. Only for `https://`."""

    elasticsearch_timeout: _Timeout = Field(default="30s", validate_default=True)
    """How long one request may take, from `1s` to `60s`. The maximum is half of the lease's two minutes, because the
    lease has to outlast each destructive request."""

    cluster_uuid: _Uuid | None = None
    """The UUID of the only cluster that the enforcer may work on, as `GET /` shows it. By default it is the one
    that the first run recorded."""

    lifecycle: Literal["auto", "ilm", "direct"] = "auto"
    """Who deletes whole indices. `ilm`: the cluster, by compiled lifecycle policies, so that deletion goes on while
    the enforcer is down. `direct`: the enforcer alone. `auto`: the cluster if it has ILM, otherwise the enforcer. The
    setting is part of the fingerprint of the accepted policy."""

    interval: _Interval = Field(default="5m", validate_default=True)
    """The time between two cycles of a category. It is at least `1s` and at most a quarter of the policy's margin, so
    that a cycle can fail and be repeated before a limit is reached. The default suits margins of `20m` and more. For
    `run --once`, set it to the time between two scheduled runs: a run foresees what becomes due within three intervals
    after it."""

    grace: _Grace = Field(default="24h", validate_default=True)
    """The grace period: how long a termination or an erasure request waits before its purge, so that a mistake can be
    withdrawn. `0s` purges at once. Grace period and margin together must be shorter than every `after_termination` and
    `on_request`; the default leaves six days of seven. The setting is part of the fingerprint."""

    max_share: Annotated[float, BeforeValidator(values.share)] = Field(default="0.5", validate_default=True)
    """The share of a category's documents that one plan may delete without having foreseen them: above 0, at most 1. A
    plan that exceeds it is refused until an operator approves it. Documents that were foreseen or approved count
    neither in the share nor in the whole. The default is more than one day of fourteen and less than everything. The
    setting is part of the fingerprint."""

    purge_rate: Annotated[int, BeforeValidator(values.count)] = Field(default="20000", validate_default=True)
    """How many documents may be deleted per second, over all categories and terminations together, from 1. Whole
    indices do not count. The default is about half of what one shard can do at full speed (measured)."""

    max_terminations: Annotated[int, BeforeValidator(values.count)] = Field(default="20", validate_default=True)
    """How many terminations and erasure requests may be registered within 24 hours, from 1. If there are more, all wait
    for approval. The default is more than a person types and less than a broken script sends."""

    pseudonym_key: Annotated[_Secret, AfterValidator(_pseudonym_key)] | None = None
    """The key, of at least 32 characters, that makes the pseudonyms of subjects in the ledger and the log. The mode
    `enforce` requires it. After it is changed, the earlier records of a subject cannot be found any more."""

    http_address: Annotated[HttpAddress, BeforeValidator(values.http_address)] = Field(
        default="127.0.0.1:9464", validate_default=True
    )
    """The host and port of the status page, the health checks and the metrics. Write an IPv6 address in brackets. Port
    0 means any free port. By default only this machine can reach it, because the page asks for no password."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """`json` writes one ECS object per line. `console` writes lines for people. `auto` is `console` on a terminal and
    `json` elsewhere."""

    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)] = "info"
    """The lowest level that is logged. Each deletion and each finding is logged at `info` or above."""

    instance: _Instance | None = None
    """The name of this instance in the lease and the ledger: 1 to 64 characters of `A-Z a-z 0-9 . _ -`. By default it
    is made from host and process."""

    accept_policy: _Sha256 | None = None
    """The fingerprint (64 hexadecimal digits) of the policy that may delete. It replaces `policy accept` where nobody
    can type commands. Each fingerprint counts once, from the first run that saw it here. So a policy that was accepted
    later stays accepted, whatever instance comes back, and going back to an earlier policy takes `policy accept`. As
    with that command, a policy under which a hold covers less is refused (exit code 4)."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what it is made with: `load_settings` names the environment, and no .env file is ever read."""
        return (init_settings,)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        user, password, key = self.elasticsearch_username, self.elasticsearch_password, self.elasticsearch_api_key
        certificates = self.elasticsearch_ca_certs or self.elasticsearch_ca_fingerprint
        if key and (user or password):
            raise _conflict("ELASTICSEARCH_API_KEY", "both an API key and a user are set", "keep one of the two")
        if (user is None) != (password is None):
            given, absent = ("USERNAME", "PASSWORD") if user else ("PASSWORD", "USERNAME")
            raise _conflict(
                f"ELASTICSEARCH_{given}",
                f"it is set without {PREFIX}ELASTICSEARCH_{absent}",
                f"set {PREFIX}ELASTICSEARCH_{absent} as well",
            )
        if self.elasticsearch_ca_certs and self.elasticsearch_ca_fingerprint:
            text = f"it is set together with {PREFIX}ELASTICSEARCH_CA_CERTS"
            raise _conflict("ELASTICSEARCH_CA_FINGERPRINT", text, "keep one of the two")
        if certificates and any(url.startswith("http:") for url in self.elasticsearch_url or ()):
            text = "a certificate is set, but an address begins with http://"
            raise _conflict("ELASTICSEARCH_URL", text, "write https://, or unset the certificate")
        return self

    def require_mode(self) -> Literal["plan", "enforce"]:
        """Return the mode; ConfigurationError if it is unset, or if a key is missing to enforce."""
        if self.mode is None:
            raise ConfigurationError(f"{PREFIX}MODE is not set", "set it to plan (deletes nothing) or enforce")
        if self.mode == "enforce":
            self.require_pseudonym_key()
        return self.mode

    def require_pseudonym_key(self) -> str:
        """Return the key of pseudonyms; ConfigurationError if it is unset."""
        if self.pseudonym_key is None:
            remedy = (
                f"set it to at least {_KEY_LENGTH} characters, or set {PREFIX}PSEUDONYM_KEY_FILE to a file with them"
            )
            raise ConfigurationError(f"{PREFIX}PSEUDONYM_KEY is not set", remedy)
        return self.pseudonym_key.get_secret_value()

    def require_policy_file(self) -> Path:
        """Return the path of the policy file; ConfigurationError if it is unset."""
        if self.policy_file is None:
            remedy = "set it to the path of the policy file, such as config/trtc.yaml"
            raise ConfigurationError(f"{PREFIX}POLICY_FILE is not set", remedy)
        return self.policy_file

    def require_elasticsearch_url(self) -> tuple[str, ...]:
        """Return the addresses of the cluster; ConfigurationError if they are unset."""
        if self.elasticsearch_url is None:
            remedy = "set it to the cluster's address, such as https://localhost:9200"
            raise ConfigurationError(f"{PREFIX}ELASTICSEARCH_URL is not set", remedy)
        return self.elasticsearch_url


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings in an environment.

    Raises ConfigurationError, which names the variable and the remedy and never repeats a secret.
    """
    ours = {name: text for name, text in environ.items() if name.upper().startswith(PREFIX)}
    _refuse_strangers(ours)
    given = {name: text for name, text in ours.items() if text}
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): text for name, text in _with_secret_files(given).items()}
    try:
        return Settings(**source())
    except ValidationError as error:
        details = error.errors(include_url=False)
    raise _refusal(details)


def _conflict(variable: str, text: str, remedy: str) -> PydanticCustomError:
    context = {"variable": PREFIX + variable, "text": text, "remedy": remedy}
    return PydanticCustomError(values.REFUSED, "{variable}: {text}: {remedy}", context)


def _refuse_strangers(given: Mapping[str, str]) -> None:
    known = [name.upper() for name in Settings.model_fields] + [f"{name.upper()}_FILE" for name in SECRETS]
    for name in sorted(set(given) - {PREFIX + one for one in known}):
        nearest = difflib.get_close_matches(name[len(PREFIX) :].upper(), known, n=1)
        remedy = (
            f"write {PREFIX}{nearest[0]} if you meant that"
            if nearest
            else f"unset it, or use one of {', '.join(known)}"
        )
        if re.fullmatch(r"ENFORCER_(SERVICE|PORT)(_.*)?", name):
            remedy = "set enableServiceLinks: false in the pod, because Kubernetes sets it for a service named enforcer"
        raise ConfigurationError(f"{values.shown(name)} is not a setting", remedy)


def _with_secret_files(given: dict[str, str]) -> dict[str, str]:
    """The environment with each secret that is named by a file in the place of the file's name."""
    found = dict(given)
    for name in (PREFIX + secret.upper() for secret in SECRETS):
        path = found.pop(f"{name}_FILE", None)
        if path is not None and name in found:
            raise ConfigurationError(f"{name} and {name}_FILE are both set", "keep one of the two")
        if path is not None:
            found[name] = _read_secret(f"{name}_FILE", Path(path))
    return found


def _read_secret(variable: str, path: Path) -> str:
    # The path is not repeated: it may be the secret, set under the wrong name.
    remedy = "name a file that contains only the secret"
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{variable}: the file cannot be read: {values.reason(error)}", remedy) from None
    try:
        secret = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        secret = ""
    if not secret or len(content) > _MAX_SECRET_BYTES:
        raise ConfigurationError(f"{variable}: the file contains no text, or more than a secret", remedy)
    return secret


def _refusal(details: list[ErrorDetails]) -> ConfigurationError:
    first, *others = details
    context = first.get("ctx", {})
    variable = context.get("variable") or PREFIX + str(first["loc"][0]).upper()
    if first["type"] == "literal_error":
        text, remedy = f"{values.shown(str(first['input']))} is not allowed", f"use {context['expected']}"
    else:
        text, remedy = context["text"], context["remedy"]
    more = f" ({len(others)} more: {', '.join(PREFIX + str(o['loc'][0]).upper() for o in others)})" if others else ""
    return ConfigurationError(f"{variable}: {text}", remedy + more)
