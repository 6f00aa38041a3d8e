"""A Flask route that does nothing, for the service's own server and its settings."""

from flask import Flask, Response

app = Flask("empty")


@app.post("/predict")
def predict() -> Response:
    """Answer without reading the request."""
    return Response(b"{}", mimetype="application/json")
