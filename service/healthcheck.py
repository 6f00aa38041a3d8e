"""The container's health check: `python -m service.healthcheck` exits with 0 if it is ready."""

import http.client
import os
import sys

from service.settings import Settings, SettingsError

_TIMEOUT_SECONDS = 2


def main() -> str | None:
    """Ask the service on this machine whether it is ready; return what is wrong, or None."""
    try:
        port = Settings.from_environment(os.environ).port
    except SettingsError as error:
        return str(error)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        if answer.status == http.HTTPStatus.OK:
            return None
        return f"not ready: {answer.status} {answer.read(1000).decode(errors='replace')}"
    except (OSError, http.client.HTTPException) as error:
        return f"no answer from port {port}: {error}"
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
