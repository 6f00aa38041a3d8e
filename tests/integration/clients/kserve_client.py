"""Asks a running service what KServe's own client can ask; run by the Python that has the client.

The arguments are the service's address and a model's name; standard input is images in [0, 1] as
JSON, standard output what the client makes of each answer.
"""

import asyncio
import json
import sys
from typing import Any

import httpx  # type: ignore[import-not-found]
import numpy as np
from kserve import (  # type: ignore[import-not-found]
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)

UNKNOWN = "no-such-model"


async def ask_v1(url: str, model: str, images: list[Any]) -> dict[str, Any]:
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        request = {"instances": images}
        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_model_ready(url, model),
            "predictions": (await client.infer(url, request, model_name=model))["predictions"],
            "errors": {
                "model": await error_of(client.infer(url, request, model_name=UNKNOWN)),
                "images": await error_of(client.infer(url, {"instances": [7]}, model_name=model)),
            },
        }


async def ask_v2(url: str, model: str, images: list[Any]) -> dict[str, Any]:
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        answer = {
            "live": await client.is_server_live(url),
            "server_ready": await client.is_server_ready(url),
            "ready": await client.is_model_ready(url, model),
            "unknown_ready": await client.is_model_ready(url, UNKNOWN),
        }
        for name, binary in (("json", False), ("binary", True)):
            request = infer_request(model, images, binary=binary)
            response = await client.infer(url, request, model_name=model)
            outputs = {output.name: output.as_numpy().tolist() for output in response.outputs}
            answer[name] = {"id": response.id, "outputs": outputs}
        unknown = infer_request(UNKNOWN, images, binary=False)
        short = infer_request(model, [image[:-1] for image in images], binary=False)
        answer["errors"] = {
            "model": await error_of(client.infer(url, unknown, model_name=UNKNOWN)),
            "images": await error_of(client.infer(url, short, model_name=model)),
        }
        return answer


def infer_request(model: str, images: list[Any], *, binary: bool) -> InferRequest:
    tensor = np.array(images, np.float32)
    images_input = InferInput("images", list(tensor.shape), "FP32")
    images_input.set_data_from_numpy(tensor, binary_data=binary)
    return InferRequest(
        model, [images_input], request_id="a request", parameters={"binary_data_output": binary}
    )


async def error_of(call: Any) -> str:
    try:
        await call
    except httpx.HTTPStatusError as error:
        return str(error)
    return ""


async def main(url: str, model: str) -> None:
    images = json.load(sys.stdin)
    answers = {"v1": await ask_v1(url, model, images), "v2": await ask_v2(url, model, images)}
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
