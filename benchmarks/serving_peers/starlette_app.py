"""Bare Starlette with a thread pool."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_model = session.load()
_pool = ThreadPoolExecutor(1)


async def infer(request: Request) -> Response:
    body = await request.body()
    loop = asyncio.get_running_loop()
    return Response(await loop.run_in_executor(_pool, session.infer, _model, body))


app = Starlette(routes=[Route("/infer", infer, methods=["POST"])])
