import re

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
        log_level="warning",
        log_format="json",
    )


def test_no_reloading() -> None:
    assert Settings.from_environment({"RELOAD_SECONDS": "0"}).reload_seconds == 0


def test_an_empty_variable_is_as_good_as_none() -> None:
    names = (
        "MODEL_DIR MODEL_NAME MODEL_VERSION RELOAD_SECONDS MAX_BATCH MAX_IN_FLIGHT HOST PORT "
        "WEB_CONCURRENCY LOG_LEVEL LOG_FORMAT"
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
        ("LOG_FORMAT", "xml", "LOG_FORMAT: expected one of text, json, got 'xml'"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: expected one of debug, info, warning, error, critical"),
    ],
)
def test_a_bad_value_is_named(variable: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)) as caught:
        Settings.from_environment({variable: value})
    assert len(str(caught.value)) < 200
