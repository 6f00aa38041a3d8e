"""A client of the service: `python -m examples.client IMAGE [HOST:PORT]` prints the prediction."""

import json
import sys
from http.client import HTTPConnection
from mimetypes import guess_type
from pathlib import Path

image = Path(sys.argv[1])
address = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1:8000"
connection = HTTPConnection(address, timeout=10)
headers = {"Content-Type": guess_type(image)[0] or "image/png"}
connection.request("POST", "/predict", image.read_bytes(), headers)
prediction = json.loads(connection.getresponse().read())["predictions"][0]
print(f"{prediction['label']} ({prediction['confidence']:.1%})")
