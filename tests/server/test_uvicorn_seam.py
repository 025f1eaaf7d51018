"""What `server.http.protocol` takes from uvicorn beyond its documented interface.

It fails in words where a release has moved something, so that the range in `pyproject.toml` is
raised only to where the seam holds. What the parts do together is in `test_rest_server.py`.
"""

from __future__ import annotations

import asyncio
import inspect
import tomllib
from pathlib import Path

import pytest

uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("httptools")

from uvicorn.config import Config  # noqa: E402
from uvicorn.protocols.http import httptools_impl  # noqa: E402
from uvicorn.server import ServerState  # noqa: E402

_ROOT = Path(__file__).parents[2]
#: Of a connection: what it is given, what it keeps, what it does.
_KEPT = ("app", "cycle", "expect_100_continue", "flow", "headers", "loop", "parser", "pipeline",
         "scope", "tasks", "transport")  # fmt: skip
_METHODS = {
    "connection_made": ["transport"], "connection_lost": ["exc"], "data_received": ["data"],
    "on_message_begin": [], "on_url": ["url"], "on_header": ["name", "value"],
    "on_headers_complete": [], "on_body": ["body"], "on_message_complete": [],
    "on_response_complete": [], "pause_writing": [], "resume_writing": [], "shutdown": [],
    "send_400_response": ["msg"],
}  # fmt: skip
_CYCLE = ("disconnected", "keep_alive", "message_event", "response_complete", "response_started",
          "scope", "waiting_for_100_continue")  # fmt: skip
_FLOW = ("drain", "pause_reading", "resume_reading", "write_paused")


def _moved(what: str) -> str:
    return f"uvicorn {uvicorn.__version__} has no {what}: see server/http/protocol.py"


def test_the_connection_has_what_ours_relies_on() -> None:
    async def made() -> httptools_impl.HttpToolsProtocol:
        config = Config(lambda: None, log_config=None, ws="none")
        config.load()
        return httptools_impl.HttpToolsProtocol(config, ServerState(), {})

    connection = asyncio.run(made())
    for name in _KEPT:
        assert name in vars(connection), _moved(f"HttpToolsProtocol.{name}")
    for name, parameters in _METHODS.items():
        found = getattr(httptools_impl.HttpToolsProtocol, name, None)
        assert found is not None, _moved(f"HttpToolsProtocol.{name}()")
        stated = list(inspect.signature(found).parameters)[1:]
        assert stated == parameters, _moved(f"HttpToolsProtocol.{name}({', '.join(parameters)})")
    assert not connection.pipeline, "the queue of pipelined requests does not start empty"
    connection.pipeline.appendleft(("cycle", "app"))  # type: ignore[arg-type]
    assert connection.pipeline.pop() == ("cycle", "app")


def test_the_cycle_and_the_flow_have_what_ours_relies_on() -> None:
    source = inspect.getsource(httptools_impl.RequestResponseCycle)
    for name in _CYCLE:
        assert f"self.{name}" in source, _moved(f"RequestResponseCycle.{name}")
    run = httptools_impl.RequestResponseCycle.run_asgi
    assert inspect.iscoroutinefunction(run), _moved("coroutine RequestResponseCycle.run_asgi")
    assert list(inspect.signature(run).parameters) == ["self", "app"]
    source = inspect.getsource(httptools_impl.FlowControl)
    for name in _FLOW:
        assert name in source, _moved(f"FlowControl.{name}")
    state = vars(ServerState())
    for name in ("connections", "default_headers", "tasks", "total_requests"):
        assert name in state, _moved(f"ServerState.{name}")


def test_the_range_of_releases_has_an_upper_bound_and_holds_the_installed_one() -> None:
    extras = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    (stated,) = [each for each in extras["serve"] if each.startswith("uvicorn")]
    least, most = stated.removeprefix("uvicorn>=").split(",<")
    version = tuple(map(int, uvicorn.__version__.split(".")[:2]))
    assert tuple(map(int, least.split("."))) <= version < tuple(map(int, most.split(".")))
