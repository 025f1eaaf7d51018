"""The comparison with other servers: what a peer does never ends the run."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

_FILE = Path(__file__).parents[2] / "benchmarks" / "bench_serving.py"
#: Answers with a status that is given; with 0 it ends at once. After so many answers: 500.
_PEER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
port, status, good = (int(each) for each in sys.argv[1:])
if not status:
    sys.exit(3)
left = [good]
class Peer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        left[0] -= 1
        self.send_response(200 if left[0] >= 0 else status)
        self.send_header("content-length", "4")
        self.end_headers()
        self.wfile.write(b"oops")
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("127.0.0.1", port), Peer).serve_forever()
"""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(_FILE.parent))  # as for a script that is run
    spec = importlib.util.spec_from_file_location("bench_serving", _FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_serving", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ERRORS_S", 0.3)
    monkeypatch.setattr(module, "SERVER_CORE", 0)
    monkeypatch.setattr(module, "bare", lambda _: 1.0)
    return module


@pytest.mark.parametrize(
    ("status", "good", "words"),
    [
        (500, 0, "left out: http/1.1 500"),
        (500, 5, "left out: http/1.1 500"),
        (0, 0, "left out: it ended with status 3"),
        (200, 0, ""),
    ],
)
def test_a_peer_that_fails_is_left_out_and_the_run_goes_on(
    bench: ModuleType, capsys: pytest.CaptureFixture[str], status: int, good: int, words: str
) -> None:
    def command(port: int, _: Path) -> list[str]:
        return ["-c", _PEER, str(port), str(status), str(good)]

    peer = bench.Server("peer", command, "/infer", {}, b"{}", Path(sys.executable), "sys")
    missing = bench.Server("none", command, "/", {}, b"", Path("/nonexistent"), "x")
    given = argparse.Namespace(seconds=0.1, rounds=1)
    bench.compare([missing, peer], Path("model"), given)
    said = capsys.readouterr().out
    assert "none         not installed" in said
    if status == 200:
        assert "left out" not in said
        assert said.splitlines()[1].startswith("peer ")
    else:
        assert words in said
