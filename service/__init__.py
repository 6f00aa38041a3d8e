"""The online half: it loads a version that the trainer published and answers requests over HTTP.

Its one core is decode, predict, encode; the routes on top of it are thin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from service.settings import Settings

__all__ = ["create_app"]


def create_app(settings: Settings | None = None, *, background: bool = True) -> Flask:
    """Make the application and load its models.

    Args:
        settings: Those of the environment when None.
        background: Whether threads that end with the process follow the repository and work in
            the figures; without them, only a scrape works them in.

    Raises:
        SettingsError: A variable of the environment has a value that is no good.
    """
    # Imported only here: the health check and gunicorn's master need neither Flask nor numpy.
    from service.app import create_app as create

    return create(settings, background=background)
