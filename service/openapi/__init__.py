"""The OpenAPI document of every route, for the model that answers by default.

Each protocol's paths are described in a file of their own; `parts` and `images` hold what they
have in common.
"""

from service.openapi.document import describe
from service.openapi.subject import Subject

__all__ = ["Subject", "describe"]
