import re
from pathlib import Path

from flask.testing import FlaskClient


def test_the_page_may_load_nothing_from_other_hosts(client: FlaskClient) -> None:
    policy = client.get("/docs").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert not re.search(r"unsafe|\w+://", policy)


def test_every_file_of_the_page_is_served(client: FlaskClient) -> None:
    files = re.findall(r'(?:href|src)="([^"]+)"', client.get("/docs").text)
    assert len(files) >= 4
    types = {".css": "text/css", ".js": "text/javascript", ".png": "image/png"}
    for file in files:
        assert not file.startswith(("/", "http")), "a path prefix would break it"
        response = client.get(f"/{file}")
        assert response.status_code == 200
        assert response.mimetype == types.get(Path(file).suffix, "application/json")
