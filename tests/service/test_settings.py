import re
from pathlib import Path

import pytest

from service.settings import Settings, SettingsError


def test_the_defaults_work() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert (settings.model_dir, settings.model_name, settings.model_version) == (
        "models",
        "mnist",
        None,
    )
    assert 1 <= settings.workers <= 8


def test_every_variable_is_read() -> None:
    assert Settings.from_environment(
        {
            "MODEL_DIR": "elsewhere",
            "MODEL_NAME": "letters",
            "MODEL_VERSION": "3",
            "RELOAD_SECONDS": "0.5",
            "MAX_BODY_BYTES": "1000",
            "MAX_BATCH": "7",
            "MAX_IN_FLIGHT": "9",
            "HOST": "0.0.0.0",
            "PORT": "9000",
            "WEB_CONCURRENCY": "5",
            "GRACEFUL_TIMEOUT": "2",
            "API_KEYS": "one, other,",
            "RATE_LIMIT": "100/minute",
            "LOG_LEVEL": "WARNING",
            "LOG_FORMAT": "JSON",
        }
    ) == Settings(
        model_dir="elsewhere",
        model_name="letters",
        model_version=3,
        reload_seconds=0.5,
        max_body_bytes=1000,
        max_batch=7,
        max_in_flight=9,
        host="0.0.0.0",
        port=9000,
        workers=5,
        graceful_timeout=2,
        api_keys=frozenset({"one", "other"}),
        rate_limit="100/minute",
        log_level="warning",
        log_format="json",
    )


def test_no_reloading() -> None:
    assert Settings.from_environment({"RELOAD_SECONDS": "0"}).reload_seconds == 0


def test_an_empty_variable_is_as_good_as_none() -> None:
    names = (
        "MODEL_DIR MODEL_NAME MODEL_VERSION RELOAD_SECONDS MAX_BATCH MAX_IN_FLIGHT HOST PORT "
        "WEB_CONCURRENCY API_KEYS API_KEYS_FILE RATE_LIMIT LOG_LEVEL LOG_FORMAT"
    )
    assert Settings.from_environment(dict.fromkeys(names.split(), "")) == Settings()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PORT", "http", "PORT: expected an integer from 1 to 65535, got 'http'"),
        ("PORT", "65536", "PORT: expected an integer from 1 to 65535, got '65536'"),
        ("MAX_BATCH", "0", "MAX_BATCH: expected an integer from 1 to 2147483647, got '0'"),
        ("MAX_BODY_BYTES", "16M", "MAX_BODY_BYTES: expected an integer"),
        ("MODEL_VERSION", "0", "MODEL_VERSION: expected an integer from 1"),
        ("MODEL_VERSION", "latest", "MODEL_VERSION: expected an integer from 1"),
        ("WEB_CONCURRENCY", "-1", "WEB_CONCURRENCY: expected an integer from 1"),
        ("GRACEFUL_TIMEOUT", "9" * 5000, "GRACEFUL_TIMEOUT: expected an integer from 1"),
        ("RELOAD_SECONDS", "-1", "RELOAD_SECONDS: expected seconds from 0 to 86400, got '-1'"),
        ("RELOAD_SECONDS", "nan", "RELOAD_SECONDS: expected seconds from 0"),
        ("RELOAD_SECONDS", "soon", "RELOAD_SECONDS: expected seconds from 0"),
        ("RATE_LIMIT", "often", "RATE_LIMIT: expected a number a second, minute, hour or day"),
        ("RATE_LIMIT", "10", "RATE_LIMIT: expected a number"),
        ("RATE_LIMIT", "0/minute", "such as 100/minute, got '0/minute'"),
        ("RATE_LIMIT", "9" * 5000 + "/minute", "RATE_LIMIT: expected a number"),
        ("API_KEYS", " ,", "API_KEYS, API_KEYS_FILE: expected at least one key, got none"),
        ("API_KEYS", "the key", "expected visible ASCII characters, got a key with others"),
        ("API_KEYS", "clé", "expected visible ASCII characters, got a key with others"),
        ("API_KEYS_FILE", "/nowhere", "a file with a key a line, got '/nowhere': No such file"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT: expected one of text, json, got 'xml'"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: expected one of debug, info, warning, error, critical"),
    ],
)
def test_a_bad_value_is_named(variable: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)) as caught:
        Settings.from_environment({variable: value})
    assert len(str(caught.value)) < 200
    assert "the key" not in str(caught.value)


def test_keys_of_a_file_are_keys_too(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("second\n\n third \r\n")
    environment = {"API_KEYS": "first", "API_KEYS_FILE": str(file)}
    assert Settings.from_environment(environment).api_keys == {"first", "second", "third"}


@pytest.mark.parametrize("content", [b"", b"\n \n", b"cl\xc3\xa9\n", b"\xff", b"two words"])
def test_a_file_without_good_keys_is_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="API_KEYS_FILE: expected"):
        Settings.from_environment({"API_KEYS_FILE": str(file)})


def test_keys_are_not_shown() -> None:
    assert "secret" not in repr(Settings(api_keys=frozenset({"secret"})))
