"""The protocols that the service speaks, one file each: routes that decode and encode.

What is between decoding and encoding is the same for all of them: `service.core`.
"""

from service.protocols.mlflow import create_mlflow_routes
from service.protocols.open_inference import create_open_inference_routes
from service.protocols.predict import create_predict_routes
from service.protocols.v1 import create_v1_routes

__all__ = ["PROTOCOLS"]

PROTOCOLS = (
    create_predict_routes,
    create_open_inference_routes,
    create_v1_routes,
    create_mlflow_routes,
)
