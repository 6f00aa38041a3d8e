"""The service's figures, as Prometheus reads them."""

from tests.service.server import Service


def figure(service: Service, name: str) -> float:
    """Give a figure by its name and labels; 0 where there is none yet."""
    connection = service.connect()
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), 0)
