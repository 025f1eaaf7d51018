"""BentoML."""

import bentoml
import session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def infer(request: Request) -> Response:
    import asyncio

    body = await request.body()
    service = bentoml.get_current_service()
    loop = asyncio.get_running_loop()
    return Response(await loop.run_in_executor(None, session.infer, service.model, body))


@bentoml.service(workers=1, traffic={"concurrency": 64})
@bentoml.asgi_app(Starlette(routes=[Route("/infer", infer, methods=["POST"])]), path="/")
class Model:
    def __init__(self) -> None:
        self.model = session.load()
