import pytest
from flask.testing import FlaskClient

from tests.service.conftest import MakeClient

ORIGIN = {"Origin": "https://app.example"}
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,x-api-key",
}


@pytest.fixture
def shared(make_client: MakeClient) -> FlaskClient:
    origins = frozenset(ORIGIN.values())
    return make_client(cors_allow_origins=origins, api_keys=frozenset({"key"}))


def test_every_response_to_an_allowed_origin_carries_the_headers(shared: FlaskClient) -> None:
    for path, key, status in (("/models", "key", 200), ("/", "wrong", 401), ("/x", "key", 404)):
        response = shared.get(path, headers=ORIGIN | {"X-API-Key": key})
        assert response.status_code == status
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
        assert "X-Request-ID" in response.headers["Access-Control-Expose-Headers"]
        assert "Origin" in response.vary


def test_a_preflight_needs_no_key(shared: FlaskClient) -> None:
    response = shared.options("/predict", headers=PREFLIGHT | ORIGIN)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert response.headers["Access-Control-Allow-Headers"] == "content-type,x-api-key"


@pytest.mark.parametrize(
    "headers", [PREFLIGHT | {"Origin": "https://app.example.evil"}, PREFLIGHT, ORIGIN], ids=str
)
def test_any_other_options_request_needs_a_key(
    shared: FlaskClient, headers: dict[str, str]
) -> None:
    response = shared.options("/predict", headers=headers)
    assert response.status_code == 401
    assert "Access-Control-Allow-Methods" not in response.headers


@pytest.mark.parametrize(("origins", "allows"), [((), False), (("*",), True)])
def test_no_origin_is_allowed_by_default_and_any_by_an_asterisk(
    make_client: MakeClient, origins: tuple[str, ...], *, allows: bool
) -> None:
    client = make_client(cors_allow_origins=frozenset(origins))
    for response in (
        client.get("/models", headers=ORIGIN),
        client.options("/predict", headers=PREFLIGHT | ORIGIN),
    ):
        assert ("Access-Control-Allow-Origin" in response.headers) is allows
