"""The inference service: loads versions that the trainer published and answers HTTP requests.

`asgi` connects gunicorn's event loop with the Flask application of `app`; `inference` is the
pipeline that all protocols share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from service.settings import Settings

__all__ = ["create_app"]


def create_app(settings: Settings | None = None, *, background: bool = True) -> Flask:
    """Return the application, plain WSGI, with its models loaded.

    Args:
        settings: Those of the environment when None.
        background: Whether threads that end with the process follow the repository and write
            metrics for the other workers.

    Raises:
        SettingsError: An environment variable has an invalid value.
    """
    # Imported only here: the health check and gunicorn's master need neither Flask nor numpy.
    from service.app import create_app as create

    return create(settings, background=background)
