from ipaddress import ip_network

import pytest
from flask.testing import FlaskClient

from service.auth import HEALTH_PATHS, client_address
from tests.service.conftest import MakeClient

KEYS = frozenset({"the-old-key", "the-new-key"})
LIMIT = "3/hour"
PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.fixture
def keyed(make_client: MakeClient) -> FlaskClient:
    return make_client(api_keys=KEYS)


def statuses(client: FlaskClient, times: int, path: str = "/models", **headers: str) -> list[int]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return [client.get(path, headers=sent).status_code for _ in range(times)]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer the-old-key"}, 200),
        ({"Authorization": "bearer  the-new-key "}, 200),
        ({"X-API-Key": "the-new-key", "Authorization": "Basic eDp5"}, 200),
        ({}, 401),
        ({"Authorization": "Bearer the-old-key,the-new-key"}, 401),
        ({"Authorization": "Basic the-old-key"}, 401),
        ({"X-API-Key": "clé"}, 401),
    ],
    ids=str,
)
def test_a_request_needs_one_of_the_keys(
    keyed: FlaskClient, headers: dict[str, str], status: int
) -> None:
    response = keyed.get("/models", headers=headers)
    assert response.status_code == status
    assert response.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)


def test_every_route_but_health_needs_a_key(keyed: FlaskClient) -> None:
    for rule in keyed.application.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            status = keyed.open(rule.rule, method=method).status_code
            assert status == (200 if rule.rule in HEALTH_PATHS else 401), rule.rule
    for path in ("/nowhere", "/health/../models", "/health/", "/PING"):
        assert statuses(keyed, 1, path) == [401]


def test_requests_beyond_the_rate_limit_wait(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = make_client(rate_limit=LIMIT)
    now = 1_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    assert statuses(limited, 4) == [200, 200, 200, 429]
    for path in (*HEALTH_PATHS, "/metrics"):  # probes and scrapes are not limited
        assert statuses(limited, 5, path) == [200] * 5
    response = limited.post("/predict", data=b"{}")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "3600")
    now += 3600
    assert statuses(limited, 1) == [200]


def test_each_address_and_each_key_has_its_own_rate(make_client: MakeClient) -> None:
    """Regression: wrong keys were not limited."""
    client = make_client(rate_limit=LIMIT, forwarded_allow_ips=PROXIES)
    assert statuses(client, 4) == [200, 200, 200, 429]
    assert statuses(client, 1, X_Forwarded_For="192.0.2.1", X_API_Key="any") == [429]
    client.environ_base["REMOTE_ADDR"] = "10.0.0.1"  # a trusted proxy
    assert statuses(client, 4, X_Forwarded_For="192.0.2.1") == [200, 200, 200, 429]
    assert statuses(client, 1, X_Forwarded_For="192.0.2.2") == [200]
    client = make_client(rate_limit=LIMIT, api_keys=KEYS)
    guesses = [*statuses(client, 2, "/metrics"), *statuses(client, 2, X_API_Key="guess")]
    assert guesses == [401, 401, 401, 429]
    for key in KEYS:
        assert statuses(client, 4, X_API_Key=key) == [200, 200, 200, 429]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),  # the peer is not a trusted proxy
        ("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.2", "198.51.100.7"),  # the first is spoofed
        ("fd00::1", "2001:db8::5", "2001:db8::5"),
        ("10.0.0.1", "198.51.100.7, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),  # seen by a socket on ::
    ],
)
def test_the_client_has_the_rightmost_untrusted_address(
    peer: str, forwarded: str, address: str
) -> None:
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}
    assert client_address(environ, PROXIES) == address
