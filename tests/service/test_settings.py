from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from service.settings import Settings, SettingsError

ANY_ADDRESS = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("MODEL_VERSION", "3", 3),
        ("MAX_QUEUE_SECONDS", "0.25", 0.25),
        ("API_KEYS", "one, other,", frozenset({"one", "other"})),
        ("FORWARDED_ALLOW_IPS", "10.0.0.0/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1"))),
        ("FORWARDED_ALLOW_IPS", "*", ANY_ADDRESS),
        ("CORS_ALLOW_ORIGINS", "http://a.b, http://c:81", frozenset({"http://a.b", "http://c:81"})),
        ("ROOT_PATH", "/apps/digits/", "/apps/digits"),
        ("LOG_LEVEL", "WARNING", "warning"),
    ],
)
def test_a_variable_sets_its_attribute(variable: str, text: str, value: Any) -> None:
    assert Settings.from_environment({variable: text}) == Settings(**{variable.lower(): value})
    assert Settings.from_environment({variable: ""}) == Settings()


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PORT", "65536", "65535"),
        ("RELOAD_SECONDS", "nan", "seconds"),
        ("RATE_LIMIT", "0/minute", "100/minute"),
        ("FORWARDED_ALLOW_IPS", "proxy.example", "networks"),
        ("CORS_ALLOW_ORIGINS", "https://a.b/path", "https://example.org"),
        ("TLS_CERT_FILE", "/nowhere", "No such file"),
        ("TLS_CERT_FILE", __file__, "TLS_KEY_FILE"),
        ("API_KEYS", "the key", "ASCII"),
    ],
)
def test_an_invalid_value_is_rejected_with_what_is_expected(
    variable: str, value: str, expected: str
) -> None:
    with pytest.raises(SettingsError, match=expected) as caught:
        Settings.from_environment({variable: value})
    assert variable in str(caught.value)
    assert len(str(caught.value)) < 200
    assert "the key" not in str(caught.value)


def test_keys_come_from_the_variable_and_the_file_and_are_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("second\n\n third \r\n")
    settings = Settings.from_environment({"API_KEYS": "first", "API_KEYS_FILE": str(file)})
    assert settings.api_keys == {"first", "second", "third"}
    assert "third" not in repr(settings)
