"""The settings: what an environment gives, and what every kind of wrong environment is told."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest

from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.instants import DAY, MINUTE, SECOND
from retention_enforcer.settings import HttpAddress, Settings, load_settings

REFERENCE = Path(__file__).parents[2] / "config" / "settings.md"
SECRET = "correct-horse-battery-staple-0123456789"
HEX = "ab" * 32


def load(**given: str) -> Settings:
    return load_settings({f"ENFORCER_{name}": value for name, value in given.items()})


def refusal(given: dict[str, str]) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(**given)
    return caught.value


# (the environment, the variable named, a piece of the message or remedy)
WRONG: list[tuple[dict[str, str], str, str]] = [
    ({"MODE": "dry-run"}, "MODE", "'plan' or 'enforce'"),
    ({"MODE": "Plan"}, "MODE", "'plan' or 'enforce'"),
    ({"MODUS": "plan"}, "MODUS", "write ENFORCER_MODE"),
    ({"INTERVALL": "5m"}, "INTERVALL", "write ENFORCER_INTERVAL"),
    ({"MAX_AEG": "5m"}, "MAX_AEG", "not a setting"),
    ({"mode": "plan"}, "mode", "write ENFORCER_MODE"),
    ({"INTERVAL_FILE": "/x"}, "INTERVAL_FILE", "write ENFORCER_INTERVAL"),
    ({"QQ": ""}, "QQ", "use one of MODE, POLICY_FILE"),
    ({"SERVICE_HOST": "10.0.0.1"}, "SERVICE_HOST", "enableServiceLinks: false"),
    ({"PORT_9464_TCP_ADDR": "10.0.0.1"}, "PORT_9464_TCP_ADDR", "enableServiceLinks: false"),
    ({"ELASTICSEARCH_URL": "es:9200"}, "ELASTICSEARCH_URL", "does not begin with http://"),
    ({"ELASTICSEARCH_URL": "ftp://es:9200"}, "ELASTICSEARCH_URL", "does not begin with http://"),
    ({"ELASTICSEARCH_URL": f"https://elastic:{SECRET}@es:9200"}, "ELASTICSEARCH_URL", "contains credentials"),
    ({"ELASTICSEARCH_URL": f"https//elastic:{SECRET}@es:9200"}, "ELASTICSEARCH_URL", "contains credentials"),
    ({"ELASTICSEARCH_URL": f"https://es:9200?key={SECRET}"}, "ELASTICSEARCH_URL", "contains more than"),
    ({"ELASTICSEARCH_URL": "https://es:9200#a"}, "ELASTICSEARCH_URL", "contains more than"),
    ({"ELASTICSEARCH_URL": "https://es:9200,"}, "ELASTICSEARCH_URL", "address 2 does not begin"),
    ({"ELASTICSEARCH_URL": "https://es:99999"}, "ELASTICSEARCH_URL", "invalid host or port"),
    ({"ELASTICSEARCH_URL": "https://es:0"}, "ELASTICSEARCH_URL", "invalid host or port"),
    ({"ELASTICSEARCH_URL": "https://es:abc"}, "ELASTICSEARCH_URL", "invalid host or port"),
    ({"ELASTICSEARCH_URL": "https://:9200"}, "ELASTICSEARCH_URL", "invalid host or port"),
    ({"ELASTICSEARCH_URL": "https://[::1:9200"}, "ELASTICSEARCH_URL", "invalid host or port"),
    ({"ELASTICSEARCH_URL": "https://300.1.1.1:9200"}, "ELASTICSEARCH_URL", "invalid host or port"),
    ({"ELASTICSEARCH_URL": "https://e s:9200"}, "ELASTICSEARCH_URL", "invalid host or port"),
    ({"ELASTICSEARCH_API_KEY": f"{SECRET} x"}, "ELASTICSEARCH_API_KEY", "not an API key"),
    ({"ELASTICSEARCH_API_KEY": f"{SECRET}\nHost: x"}, "ELASTICSEARCH_API_KEY", "control character"),
    (
        {"ELASTICSEARCH_API_KEY": SECRET, "ELASTICSEARCH_USERNAME": "elastic", "ELASTICSEARCH_PASSWORD": SECRET},
        "ELASTICSEARCH_API_KEY",
        "an API key and a user",
    ),
    ({"ELASTICSEARCH_USERNAME": "elastic"}, "ELASTICSEARCH_USERNAME", "set ENFORCER_ELASTICSEARCH_PASSWORD as well"),
    ({"ELASTICSEARCH_PASSWORD": SECRET}, "ELASTICSEARCH_PASSWORD", "set ENFORCER_ELASTICSEARCH_USERNAME as well"),
    ({"ELASTICSEARCH_USERNAME": "a:b", "ELASTICSEARCH_PASSWORD": SECRET}, "ELASTICSEARCH_USERNAME", "without a colon"),
    ({"ELASTICSEARCH_PASSWORD_FILE": "/does/not/exist"}, "ELASTICSEARCH_PASSWORD_FILE", "no such file"),
    ({"ELASTICSEARCH_PASSWORD_FILE": SECRET}, "ELASTICSEARCH_PASSWORD_FILE", "no such file"),
    ({"PSEUDONYM_KEY_FILE": "/"}, "PSEUDONYM_KEY_FILE", "is a directory"),
    ({"PSEUDONYM_KEY_FILE": "/dev/null"}, "PSEUDONYM_KEY_FILE", "contains no text"),
    ({"PSEUDONYM_KEY": SECRET, "PSEUDONYM_KEY_FILE": "/x"}, "PSEUDONYM_KEY", "are both set"),
    ({"PSEUDONYM_KEY": SECRET[:31]}, "PSEUDONYM_KEY", "fewer than 32 characters"),
    ({"ELASTICSEARCH_CA_CERTS": "/does/not/exist.crt"}, "ELASTICSEARCH_CA_CERTS", "no such file"),
    ({"ELASTICSEARCH_CA_CERTS": __file__}, "ELASTICSEARCH_CA_CERTS", "contains no certificate"),
    ({"ELASTICSEARCH_CA_FINGERPRINT": "abc"}, "ELASTICSEARCH_CA_FINGERPRINT", "64 hexadecimal digits"),
    (
        {"ELASTICSEARCH_CA_FINGERPRINT": HEX, "ELASTICSEARCH_CA_CERTS": certifi.where()},
        "ELASTICSEARCH_CA_FINGERPRINT",
        "together with ENFORCER_ELASTICSEARCH_CA_CERTS",
    ),
    (
        {"ELASTICSEARCH_CA_FINGERPRINT": HEX, "ELASTICSEARCH_URL": "https://a:1,http://b:2"},
        "ELASTICSEARCH_URL",
        "begins with http://",
    ),
    ({"ELASTICSEARCH_TIMEOUT": "30"}, "ELASTICSEARCH_TIMEOUT", "'30' has no unit"),
    ({"ELASTICSEARCH_TIMEOUT": "0s"}, "ELASTICSEARCH_TIMEOUT", "at least 1s and at most 1m"),
    ({"ELASTICSEARCH_TIMEOUT": "61s"}, "ELASTICSEARCH_TIMEOUT", "at least 1s and at most 1m"),
    ({"CLUSTER_UUID": "a b"}, "CLUSTER_UUID", "cluster_uuid that GET / shows"),
    ({"LIFECYCLE": "dsl"}, "LIFECYCLE", "'auto', 'ilm' or 'direct'"),
    ({"INTERVAL": "0s"}, "INTERVAL", "at least 1s"),
    ({"INTERVAL": "-5m"}, "INTERVAL", "is not a duration"),
    ({"INTERVAL": "5 minutes"}, "INTERVAL", "is not a duration"),
    ({"GRACE": "0"}, "GRACE", "'0' has no unit"),
    ({"GRACE": "1.5d"}, "GRACE", "is not a duration"),
    ({"MAX_SHARE": "0"}, "MAX_SHARE", "above 0 and at most 1"),
    ({"MAX_SHARE": "1.01"}, "MAX_SHARE", "above 0 and at most 1"),
    ({"MAX_SHARE": "50%"}, "MAX_SHARE", "above 0 and at most 1"),
    ({"MAX_SHARE": "nan"}, "MAX_SHARE", "above 0 and at most 1"),
    ({"MAX_TERMINATIONS": "0"}, "MAX_TERMINATIONS", "a whole number above 0"),
    ({"MAX_TERMINATIONS": "2e1"}, "MAX_TERMINATIONS", "a whole number above 0"),
    ({"HTTP_ADDRESS": "9464"}, "HTTP_ADDRESS", "write host:port"),
    ({"HTTP_ADDRESS": ":9464"}, "HTTP_ADDRESS", "write host:port"),
    ({"HTTP_ADDRESS": "localhost:65536"}, "HTTP_ADDRESS", "write host:port"),
    ({"HTTP_ADDRESS": "::1:9464"}, "HTTP_ADDRESS", "[::1]:9464"),
    ({"LOG_FORMAT": "text"}, "LOG_FORMAT", "'auto', 'json' or 'console'"),
    ({"LOG_LEVEL": "loud"}, "LOG_LEVEL", "'debug', 'info', 'warning' or 'error'"),
    ({"INSTANCE": "node 1"}, "INSTANCE", "1 to 64"),
    ({"INSTANCE": "n" * 65}, "INSTANCE", "1 to 64"),
    ({"ACCEPT_POLICY": "yes"}, "ACCEPT_POLICY", "64 hexadecimal digits"),
]


@pytest.mark.parametrize(
    ("given", "variable", "piece"), WRONG, ids=[f"{number}-{variable}" for number, (_, variable, _) in enumerate(WRONG)]
)
def test_a_wrong_environment_is_refused_with_the_variable_and_the_remedy(
    given: dict[str, str], variable: str, piece: str
) -> None:
    error = refusal(given)
    assert f"ENFORCER_{variable}" in error.message
    assert piece in str(error)
    assert error.remedy
    assert 1 <= len(str(error).splitlines()) <= 4
    assert error.exit_code == 2
    assert SECRET[:31] not in str(error)
    assert error.__context__ is None or error.__suppress_context__


def test_of_several_wrong_values_the_others_are_named() -> None:
    error = refusal({"INTERVAL": "5", "MAX_SHARE": "2", "GRACE": "1"})
    assert error.remedy.endswith("(2 more: ENFORCER_GRACE, ENFORCER_MAX_SHARE)")


def test_nothing_set_gives_the_defaults_and_demands_nothing() -> None:
    settings = load_settings({"PATH": "/bin", "ENFORCED": "other"})
    assert (settings.elasticsearch_timeout, settings.interval, settings.grace) == (30 * SECOND, 5 * MINUTE, DAY)
    assert (settings.max_share, settings.max_terminations, settings.lifecycle) == (0.5, 20, "auto")
    assert settings.http_address == HttpAddress("127.0.0.1", 9464)
    assert (settings.log_format, settings.log_level) == ("auto", "info")
    unset = {"mode", "policy_file", "elasticsearch_url", "cluster_uuid", "pseudonym_key", "instance", "accept_policy"}
    assert {getattr(settings, name) for name in unset} == {None}


def test_empty_counts_as_unset() -> None:
    assert load(MODE="", GRACE="", PSEUDONYM_KEY="", PSEUDONYM_KEY_FILE="", ELASTICSEARCH_URL="") == load()


def test_every_setting_is_read() -> None:
    settings = load(
        MODE="enforce",
        POLICY_FILE="/etc/policy.yaml",
        ELASTICSEARCH_URL="https://a:9200, https://[2001:db8::1]/es/",
        ELASTICSEARCH_USERNAME="elastic",
        ELASTICSEARCH_PASSWORD=" with blanks ",
        ELASTICSEARCH_CA_FINGERPRINT=":".join(["AB"] * 32),
        ELASTICSEARCH_TIMEOUT="60s",
        CLUSTER_UUID="KZb9mVqJT2yAqvYhb4a3-w",
        LIFECYCLE="direct",
        INTERVAL="2s",
        GRACE="0s",
        MAX_SHARE="1",
        MAX_TERMINATIONS="3",
        PSEUDONYM_KEY=SECRET,
        HTTP_ADDRESS="[::1]:0",
        LOG_FORMAT="json",
        LOG_LEVEL="WARNING",
        INSTANCE="node-1.a_b",
        ACCEPT_POLICY=HEX.upper(),
    )
    assert settings.require_mode() == "enforce"
    assert settings.require_policy_file() == Path("/etc/policy.yaml")
    assert settings.require_elasticsearch_url() == ("https://a:9200", "https://[2001:db8::1]:443/es")
    assert settings.elasticsearch_password is not None
    assert settings.elasticsearch_password.get_secret_value() == " with blanks "
    assert (settings.elasticsearch_ca_fingerprint, settings.accept_policy) == (HEX, HEX)
    assert (settings.elasticsearch_timeout, settings.interval, settings.grace) == (MINUTE, 2 * SECOND, 0)
    assert (settings.max_share, settings.max_terminations) == (1.0, 3)
    assert settings.require_pseudonym_key() == SECRET
    assert str(settings.http_address) == "[::1]:0"
    assert (settings.lifecycle, settings.log_format, settings.log_level) == ("direct", "json", "warning")
    assert settings.instance == "node-1.a_b"


def test_an_api_key_may_be_given_in_both_of_its_forms() -> None:
    for given, sent in {"aWQ6a2V5": "aWQ6a2V5", "id:key": "aWQ6a2V5"}.items():
        settings = load(ELASTICSEARCH_API_KEY=given)
        assert settings.elasticsearch_api_key is not None
        assert settings.elasticsearch_api_key.get_secret_value() == sent


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_is_read_from_a_file_without_the_line_break_at_its_end(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "key"
    path.write_bytes((SECRET + ending).encode())
    assert load(PSEUDONYM_KEY_FILE=str(path)).require_pseudonym_key() == SECRET


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe" * 40, b"x" * 70_000])
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    assert "contains no text" in refusal({"PSEUDONYM_KEY_FILE": str(path)}).message


def test_a_secret_of_two_lines_is_refused_without_being_repeated(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(f"{SECRET}\nsecond line\n")
    error = refusal({"ELASTICSEARCH_PASSWORD_FILE": str(path), "ELASTICSEARCH_USERNAME": "elastic"})
    assert "line break" in error.message
    assert SECRET not in str(error)


def test_settings_show_no_secret_and_cannot_be_changed() -> None:
    settings = load(PSEUDONYM_KEY=SECRET, ELASTICSEARCH_USERNAME="elastic", ELASTICSEARCH_PASSWORD=SECRET)
    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()
    with pytest.raises(ValueError, match="frozen"):
        settings.grace = 0


def test_the_environment_of_the_process_and_dotenv_files_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("ENFORCER_MODE=enforce\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENFORCER_GRACE", "1h")
    assert load() == load_settings({})
    assert load().mode is None
    assert load().grace == DAY


class TestDemands:
    """A command demands only the settings that it uses."""

    def test_the_mode_has_no_default(self) -> None:
        with pytest.raises(ConfigurationError, match="ENFORCER_MODE is not set"):
            load(PSEUDONYM_KEY=SECRET).require_mode()

    def test_planning_needs_no_key(self) -> None:
        assert load(MODE="plan").require_mode() == "plan"

    def test_enforcing_needs_a_key(self) -> None:
        with pytest.raises(ConfigurationError, match="ENFORCER_PSEUDONYM_KEY is not set"):
            load(MODE="enforce").require_mode()

    def test_policy_and_cluster_have_to_be_named_where_they_are_used(self) -> None:
        with pytest.raises(ConfigurationError, match="ENFORCER_POLICY_FILE is not set"):
            load().require_policy_file()
        with pytest.raises(ConfigurationError, match="ENFORCER_ELASTICSEARCH_URL is not set"):
            load().require_elasticsearch_url()


class TestTheReference:
    """`config/settings.md` is generated."""

    def test_it_names_every_setting_with_its_meaning(self) -> None:
        text = REFERENCE.read_text()
        for name, field in Settings.model_fields.items():
            assert f"## `ENFORCER_{name.upper()}`" in text
            assert field.description
