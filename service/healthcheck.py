"""The container's health check: `python -m service.healthcheck` exits with 0 if it is ready."""

import http.client
import os
import ssl
import sys

from service.settings import Settings, SettingsError

_TIMEOUT_SECONDS = 2
# Addresses that mean "all interfaces" can be listened on but not connected to.
_ALL_INTERFACES = ("0.0.0.0", "::")  # noqa: S104  # nosec B104


def main() -> str | None:
    """Return None if the service on this machine is ready, otherwise the reason."""
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        return str(error)
    host, port = settings.host, settings.port
    if host in _ALL_INTERFACES:
        host = "localhost"
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    if settings.tls_cert_file:
        # The certificate is for other names than the loopback address.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            host, port, timeout=_TIMEOUT_SECONDS, context=context
        )
    try:
        connection.request("GET", f"{settings.root_path}/health/ready")
        response = connection.getresponse()
        if response.status == http.HTTPStatus.OK:
            return None
        return f"not ready: {response.status} {response.read(1000).decode(errors='replace')}"
    except (OSError, http.client.HTTPException) as error:
        return f"no response from {host} port {port}: {error}"
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
