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


async def ask(url: str, model: str, images: list[Any], protocol: str) -> dict[str, Any]:
    async with InferenceRESTClient(RESTConfig(protocol=protocol)) as client:

        async def infer(name: str, rows: list[Any], *, binary: bool = False) -> Any:
            if protocol == "v1":
                answer = await client.infer(url, {"instances": rows}, model_name=name)
                return answer["predictions"]
            tensor = np.array(rows, np.float32)
            one = InferInput("images", list(tensor.shape), "FP32")
            one.set_data_from_numpy(tensor, binary_data=binary)
            parameters = {"binary_data_output": binary}
            request = InferRequest(name, [one], request_id="a request", parameters=parameters)
            response = await client.infer(url, request, model_name=name)
            assert response.id == "a request"
            return response.outputs[0].as_numpy().tolist()

        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_model_ready(url, model),
            "answers": [await infer(model, images, binary=binary) for binary in (False, True)],
            "unknown model": await error_of(infer("no-such-model", images)),
            "short images": await error_of(infer(model, [image[:-1] for image in images])),
        }


async def error_of(call: Any) -> str:
    try:
        await call
    except httpx.HTTPStatusError as error:
        return str(error)
    return ""


async def main(url: str, model: str) -> None:
    images = json.load(sys.stdin)
    answers = {protocol: await ask(url, model, images, protocol) for protocol in ("v1", "v2")}
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
