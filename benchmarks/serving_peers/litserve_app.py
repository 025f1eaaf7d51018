"""LitServe."""

import os

import litserve as ls
import session
from fastapi import Request, Response


class Api(ls.LitAPI):
    def setup(self, device: str) -> None:
        self.model = session.load()

    def decode_request(self, request: Request) -> bytes:
        content: bytes = request["x"].file.read()
        return content

    def predict(self, body: bytes) -> bytes:
        return session.infer(self.model, body)

    def encode_response(self, output: bytes) -> Response:
        return Response(content=output)


if __name__ == "__main__":
    server = ls.LitServer(Api(api_path="/infer"), accelerator="cpu", workers_per_device=1)
    server.run(
        port=int(os.environ["PORT"]), host="127.0.0.1", generate_client_file=False,
        log_level="error", access_log=False,
    )  # fmt: skip
