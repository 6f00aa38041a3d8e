import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.service.conftest import MakeClient

IMAGE = {"pixels": [0] * 784}
KEYS = frozenset({"key"})


def check_headers(response: TestResponse) -> None:
    assert response.headers["X-Request-ID"]
    assert response.headers.getlist("X-Content-Type-Options") == ["nosniff"]
    (policy,) = response.headers.getlist("Content-Security-Policy")
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))


@pytest.mark.parametrize("sent", ["order-66", None, "two words", "é", "x" * 129])
def test_a_valid_request_id_is_kept_and_any_other_replaced(
    client: FlaskClient, sent: str | None
) -> None:
    headers = {} if sent is None else {"X-Request-ID": sent}
    ids = {client.get("/models", headers=headers).headers["X-Request-ID"] for _ in range(2)}
    assert ids == {sent} if sent == "order-66" else sorted(map(len, ids)) == [32, 32]


def test_every_response_has_safe_headers(client: FlaskClient, make_client: MakeClient) -> None:
    for path in ("/", "/docs", "/page/draw.js", "/nowhere", "/v2/nowhere"):
        check_headers(client.get(path, headers={"Accept": "text/html"}))
    for keys, status in ((frozenset(), 200), (KEYS, 401)):
        response = make_client(api_keys=keys).post("/predict", json=IMAGE)
        assert response.status_code == status
        assert response.headers["Cache-Control"] == "no-store"
        check_headers(response)


@pytest.mark.parametrize("prefix", ["/apps/digits", ""], ids=["kept", "stripped"])
def test_a_proxy_may_strip_the_root_path_or_not(make_client: MakeClient, prefix: str) -> None:
    client = make_client(root_path="/apps/digits", api_keys=KEYS)
    assert client.get(f"{prefix}/health").status_code == 200
    assert client.get(f"{prefix}/models").status_code == 401
    client.environ_base["HTTP_X_API_KEY"] = "key"
    assert client.get(f"{prefix}/page/draw.js").status_code == 200
    assert client.post(f"{prefix}/predict", json=IMAGE).status_code == 200
    (server,) = client.get(f"{prefix}/openapi.json").get_json()["servers"]
    assert server["url"].endswith("/apps/digits")
    assert client.get("/apps/digitshealth").status_code == 404


def test_only_allowed_origins_may_share_responses(make_client: MakeClient) -> None:
    origin, other = {"Origin": "https://app.example"}, {"Origin": "https://app.example.evil"}
    client = make_client(cors_allow_origins=frozenset(origin.values()), api_keys=KEYS)
    for path, key, status in (("/models", "key", 200), ("/", "wrong", 401), ("/x", "key", 404)):
        response = client.get(path, headers=origin | {"X-API-Key": key})
        assert response.status_code == status
        assert response.headers["Access-Control-Allow-Origin"] == origin["Origin"]
        assert "X-Request-ID" in response.headers["Access-Control-Expose-Headers"]
        assert "Origin" in response.vary
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    response = client.options("/predict", headers=origin | ask)  # a preflight carries no key
    assert response.status_code == 200
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert response.headers["Access-Control-Allow-Headers"] == "x-api-key"
    for headers in (other | ask, ask, origin):
        assert client.options("/predict", headers=headers).status_code == 401
    for origins in (frozenset(), frozenset("*")):
        for response in (
            make_client(cors_allow_origins=origins).get("/models", headers=other),
            make_client(cors_allow_origins=origins).options("/predict", headers=other | ask),
        ):
            assert ("Access-Control-Allow-Origin" in response.headers) is bool(origins)
