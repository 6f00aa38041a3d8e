"""The protocols of the service, one module each: routes that decode requests and encode responses.

What lies between decoding and encoding is the same for all of them: `service.inference`.
"""

from service.protocols.mlflow import create_mlflow_routes
from service.protocols.open_inference import create_open_inference_routes
from service.protocols.predict import create_predict_routes
from service.protocols.tensorflow_serving import create_tensorflow_serving_routes

__all__ = ["PROTOCOLS"]

PROTOCOLS = (
    create_predict_routes,
    create_open_inference_routes,
    create_tensorflow_serving_routes,
    create_mlflow_routes,
)
