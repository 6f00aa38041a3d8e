import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from service.settings import Settings, SettingsError

ANY_ADDRESS = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("MODEL_DIR", "elsewhere", "elsewhere"),
        ("MODEL_NAME", "letters", "letters"),
        ("MODEL_VERSION", "3", 3),
        ("RELOAD_SECONDS", "0", 0),
        ("MAX_BODY_BYTES", "1000", 1000),
        ("MAX_BATCH", "7", 7),
        ("MAX_QUEUE_SECONDS", "0.25", 0.25),
        ("HOST", "::", "::"),
        ("PORT", "65535", 65535),
        ("WEB_CONCURRENCY", "5", 5),
        ("GRACEFUL_TIMEOUT", "2", 2),
        ("API_KEYS", "one, other,", frozenset({"one", "other"})),
        ("RATE_LIMIT", "100/minute", "100/minute"),
        ("FORWARDED_ALLOW_IPS", "10.0.0.0/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1"))),
        ("FORWARDED_ALLOW_IPS", "*", ANY_ADDRESS),
        (
            "CORS_ALLOW_ORIGINS",
            "https://a.b, http://c:81",
            frozenset({"https://a.b", "http://c:81"}),
        ),
        ("ROOT_PATH", "/apps/digits/", "/apps/digits"),
        ("LOG_LEVEL", "WARNING", "warning"),
        ("LOG_FORMAT", "JSON", "json"),
    ],
)
def test_each_variable_sets_its_attribute(variable: str, text: str, value: Any) -> None:
    name = {"WEB_CONCURRENCY": "workers"}.get(variable, variable.lower())
    assert Settings.from_environment({variable: text}) == Settings(**{name: value})
    assert Settings.from_environment({variable: ""}) == Settings()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PORT", "65536", "PORT: expected an integer from 1 to 65535, got '65536'"),
        ("MAX_BODY_BYTES", "9" * 5000, "expected an integer from 1"),
        ("RELOAD_SECONDS", "nan", "expected seconds from 0 to 86400"),
        ("RATE_LIMIT", "0/minute", "such as 100/minute"),
        ("FORWARDED_ALLOW_IPS", "proxy.example", "expected IP addresses or networks"),
        ("CORS_ALLOW_ORIGINS", "https://a.b/path", "such as https://example.org"),
        ("ROOT_PATH", "digits", "such as /digits"),
        ("TLS_CERT_FILE", "/nowhere", "expected a readable file (No such file or directory)"),
        ("TLS_CERT_FILE", __file__, "TLS_KEY_FILE: expected both or neither"),
        ("API_KEYS", " ,", "API_KEYS, API_KEYS_FILE: expected at least one key, got none"),
        ("API_KEYS", "the key", "expected visible ASCII characters"),
        ("API_KEYS_FILE", "/nowhere", "got '/nowhere': No such file"),
        ("LOG_FORMAT", "xml", "expected one of text, json, got 'xml'"),
    ],
)
def test_an_invalid_value_is_named(variable: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)) as caught:
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


@pytest.mark.parametrize("content", [b"\n \n", b"cl\xc3\xa9\n", b"two words"])
def test_a_key_file_without_valid_keys_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keys").write_bytes(content)
    with pytest.raises(SettingsError, match="API_KEYS_FILE: expected"):
        Settings.from_environment({"API_KEYS_FILE": str(tmp_path / "keys")})
