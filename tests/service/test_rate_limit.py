"""With a rate limit, a client that asks too often waits; others do not."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from service.settings import Settings
from tests.service.conftest import make_app, publish
from tests.service.test_openapi import calls, check_documented

LIMIT = "3/hour"


@pytest.fixture
def limited(tmp_path: Path) -> FlaskClient:
    publish(tmp_path)
    return make_app(Settings(model_dir=str(tmp_path), rate_limit=LIMIT)).test_client()


def statuses(client: FlaskClient, times: int, path: str = "/models", **headers: str) -> list[int]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return [client.get(path, headers=given).status_code for _ in range(times)]


def test_a_client_may_ask_so_often(limited: FlaskClient) -> None:
    assert statuses(limited, 5) == [200, 200, 200, 429, 429]
    response = limited.post("/predict", data=b"x" * 100_000)
    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 3600
    assert "at most 3/hour from a client" in response.get_json()["detail"]


def test_who_waits_as_told_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    limited = make_app(Settings(model_dir=str(tmp_path), rate_limit=LIMIT)).test_client()
    assert statuses(limited, 4) == [200, 200, 200, 429]
    now += int(limited.get("/models").headers["Retry-After"])
    assert statuses(limited, 1) == [200]


def test_each_address_has_its_own_count(limited: FlaskClient) -> None:
    assert statuses(limited, 4)[-1] == 429
    limited.environ_base["REMOTE_ADDR"] = "192.0.2.1"
    assert statuses(limited, 4, X_Forwarded_For="192.0.2.2") == [200, 200, 200, 429]
    assert statuses(limited, 1, X_Forwarded_For="192.0.2.3", X_API_Key="new") == [429]


@pytest.mark.parametrize(
    "path",
    ["/health", "/health/live", "/health/ready", "/metrics", "/ping", "/v2/health/live"],
)
def test_who_watches_may_always(limited: FlaskClient, path: str) -> None:
    assert statuses(limited, 4)[-1] == 429
    assert statuses(limited, 10, path) == [200] * 10


def test_each_key_has_its_own_count(tmp_path: Path) -> None:
    settings = Settings(
        model_dir=str(tmp_path), rate_limit=LIMIT, api_keys=frozenset({"one", "other"})
    )
    client = make_app(settings).test_client()
    assert statuses(client, 9) == [401] * 9
    assert statuses(client, 4, X_API_Key="one") == [200, 200, 200, 429]
    assert statuses(client, 4, Authorization="Bearer other") == [200, 200, 200, 429]
    assert statuses(client, 1, X_API_Key="two") == [401]


def test_it_is_documented(limited: FlaskClient) -> None:
    document = limited.get("/openapi.json").get_json()
    assert "3/hour" in document["info"]["description"]
    assert statuses(limited, 3)[-1] == 429
    for call in calls(document):
        response = limited.open(call.path, method=call.method)
        assert (response.status_code == 429) is ("429" in call.operation["responses"])
        check_documented(document, call.operation, response)


def test_without_one_it_is_not(client: FlaskClient) -> None:
    text = client.get("/openapi.json").text
    assert "Problem503" in text
    for name in ("Problem429", "Problem401", "WWW-Authenticate", "security"):
        assert name not in text
