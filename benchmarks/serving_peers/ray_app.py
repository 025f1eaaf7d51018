"""Ray Serve alone."""

import os
import time
from pathlib import Path

import ray
import session
from ray import serve
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(max_ongoing_requests=64, ray_actor_options={"num_cpus": 0})
class Model:
    def __init__(self, path: str) -> None:
        os.environ["EDGEWISE_MODEL"] = path
        self.model = session.load()

    async def __call__(self, request: Request) -> Response:
        return Response(session.infer(self.model, await request.body()))


if __name__ == "__main__":
    here = str(Path(__file__).resolve().parent)
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": here}},
    )  # fmt: skip
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(
        Model.bind(os.environ["EDGEWISE_MODEL"]), route_prefix="/infer",
        logging_config={"log_level": "ERROR", "enable_access_log": False},
    )  # fmt: skip
    while True:
        time.sleep(1)
