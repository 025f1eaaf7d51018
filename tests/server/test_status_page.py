"""What the status page is told, and the page itself in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from operated import VARIANTS, afternoon, answered, arrived, cancelled, failed, shed, sources

from edgewise.server.events import Draining, Event, Loaded, WorkerBack, WorkerLost
from edgewise.server.inventory import Inventory
from edgewise.server.status.page import page
from edgewise.server.status.snapshot import Snapshots
from edgewise.server.status.timeline import WINDOW_S, Timelines, bin_of, quantile

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
needs_chromium = pytest.mark.skipif(_CHROMIUM is None, reason="no chromium here")


class Service:
    """Timelines, inventory and a clock that stands where it is put."""

    def __init__(self, **given: Any) -> None:
        self.now_ms = 0.0
        self.timelines, self.inventory = Timelines(), Inventory()
        self.snapshots = Snapshots(
            self.timelines, self.inventory, sources(**given), lambda: self.now_ms
        )

    def tell(self, *events: Event) -> None:
        for event in events:
            self.timelines.listen(event)
            self.inventory.listen(event)

    def snapshot(self, now_ms: float) -> dict[str, Any]:
        self.now_ms = now_ms
        return self.snapshots.take()


def test_seconds_count_what_ended_in_them() -> None:
    service = Service()
    service.tell(
        arrived(200.0), answered(at_ms=300.0), answered(at_ms=900.0, in_time=False),
        shed(at_ms=2100.0), failed(at_ms=2200.0), cancelled(at_ms=2300.0),
    )  # fmt: skip
    snapshot = service.snapshot(3000.0)
    (family,) = snapshot["families"]
    series = family["series"]
    assert snapshot["seconds"] == 3
    assert series["arrived"] == [1, 0, 0]
    assert series["answered"] == [2, 0, 0]
    assert series["in_time"] == [1, 0, 0]
    assert series["due"] == [2, 0, 2]
    assert series["offered"] == [2, 0, 2]
    assert series["effective"] == [93.3, 0, 0]
    assert (series["shed"], series["failed"]) == ([0, 0, 1], [0, 0, 1])
    assert series["cancelled"] == [0, 0, 1]
    assert series["queue_length"] == [0, 0, 7]
    assert series["choices"] == {"digits-s": [2, 0, 0]}
    assert series["p50_ms"][0] == pytest.approx(3.0, rel=0.02)
    assert series["p50_ms"][1] is None
    window = family["window"]
    assert window["attainment"] == 0.25
    assert window["effective_accuracy"] == pytest.approx(93.3 / 4)
    assert window["accuracy"] == pytest.approx(93.3)
    assert window["shed"] == {"late": 1}


def test_the_second_that_is_not_over_is_not_told() -> None:
    service = Service()
    service.tell(answered(at_ms=5_500.0))
    assert service.snapshot(5_999.0)["families"][0]["window"]["answered"] == 0
    assert service.snapshot(6_000.0)["families"][0]["window"]["answered"] == 1


def test_an_event_told_late_is_not_forgotten() -> None:
    service = Service()
    service.tell(answered(at_ms=5_500.0))
    service.snapshot(6_000.0)
    service.tell(answered(at_ms=5_900.0))
    family = service.snapshot(7_000.0)["families"][0]
    assert family["series"]["answered"][-2:] == [2, 0]


def test_memory_is_bounded_and_old_seconds_are_gone() -> None:
    service = Service()
    for second in range(1000):
        service.tell(answered(at_ms=1000.0 * second, variant=f"v{second % 3}"))
        service.snapshot(1000.0 * second)
    family = service.snapshot(1_000_000.0)["families"][0]
    assert len(family["series"]["answered"]) == WINDOW_S
    assert family["window"]["answered"] == WINDOW_S
    assert len(service.timelines.families["digits"]._seconds) <= WINDOW_S + 1
    assert len(service.snapshots._rows["digits"]) <= WINDOW_S


def test_a_pause_is_shown_as_nothing() -> None:
    service = Service()
    service.tell(answered(at_ms=1_500.0), answered(at_ms=4_500.0))
    series = service.snapshot(5_000.0)["families"][0]["series"]
    assert series["answered"] == [0, 1, 0, 0, 1]


def test_a_clock_that_stands_or_goes_back_loses_nothing() -> None:
    service = Service()
    service.tell(answered(at_ms=4_500.0), answered(at_ms=3_000.0))
    assert service.snapshot(5_000.0)["families"][0]["window"]["answered"] == 2


def test_workers_memory_profiles_and_draining() -> None:
    service = Service()
    service.tell(
        WorkerBack(0, 0.0), WorkerBack(1, 0.0),
        Loaded("digits", "digits-s", 0, 5_000_000, 9.0, 0.0),
        WorkerLost(1, "killed by signal 9", 1.0), Draining(2, 30.0, 2.0),
    )  # fmt: skip
    snapshot = service.snapshot(3000.0)
    assert snapshot["draining"] is True
    assert snapshot["workers"] == {
        "configured": 2, "alive": 1, "busy": 2, "losses": 1,
        "last_loss": "worker 1: killed by signal 9",
    }  # fmt: skip
    assert snapshot["memory"] == {"resident_bytes": 5_000_000, "budget_bytes": 64_000_000}
    variants = {each["name"]: each for each in snapshot["families"][0]["variants"]}
    assert list(variants) == [name for name, _, _ in VARIANTS]
    assert variants["digits-s"]["resident_bytes"] == 5_000_000
    assert variants["digits-l"]["mean_ms"] == pytest.approx(11.7)
    assert variants["digits-l"]["start_mean_ms"] == 9.0


def test_a_snapshot_is_json_and_made_once_a_second() -> None:
    service = Service()
    service.tell(*afternoon(10))
    first = service.snapshot(10_000.0)
    assert service.snapshot(10_900.0) is first
    assert service.snapshot(11_000.0) is not first
    assert msgspec.json.decode(msgspec.json.encode(first)) == first


def test_requests_for_no_model_make_no_family() -> None:
    service = Service()
    service.tell(failed("UnknownModel", 404, family="", model="nope", variant=None))
    assert [family["name"] for family in service.snapshot(5000.0)["families"]] == ["digits"]


@pytest.mark.parametrize("value_ms", [0.0011, 0.05, 0.999, 1.0, 7.3, 60_000.0])
def test_latencies_are_within_two_percent(value_ms: float) -> None:
    assert quantile({bin_of(value_ms): 1}, 0.5) == pytest.approx(value_ms, rel=0.021)
    assert bin_of(0.0) == bin_of(0.001)


def test_the_page_is_one_file_that_names_no_other_place() -> None:
    text = page().decode()
    assert "{{" not in text
    assert "http://www.w3.org/2000/svg" in text
    assert set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=\"(?!data:)", text)
    assert "innerHTML" not in text


@contextmanager
def served(service: Service, now_ms: float, token: str | None = None) -> Iterator[str]:
    """The page and its data over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                return self._send(200, page(), "text/html; charset=utf-8")
            if token and self.headers.get("Authorization") != f"Bearer {token}":
                return self._send(401, b"{}", "application/json")
            return self._send(
                200, msgspec.json.encode(service.snapshot(now_ms)), "application/json"
            )

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def browsed(url: str, profile: Path, *options: str) -> str:
    """The page as the browser has it in the end. Its console has to stay empty."""
    assert _CHROMIUM
    done = subprocess.run(
        [
            _CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={profile}", "--virtual-time-budget=4000",
            "--enable-logging=stderr", "--dump-dom", *options, url,
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if ":CONSOLE:" in line] == []
    return done.stdout


@needs_chromium
def test_the_page_draws_every_chart(tmp_path: Path) -> None:
    service = Service()
    service.tell(*afternoon(60))
    with served(service, 60_000.0) as url:
        dom = browsed(url, tmp_path)
    assert dom.count('data-drawn="true"') == dom.count("<figure") == 5
    assert re.search(r'id="state"[^>]*class="state serving"|class="state serving"', dom)
    assert dom.count('<path class="edge"') >= len(VARIANTS)
    assert not re.search(r'd="[^"]*NaN', dom)
    for name, _, _ in VARIANTS:
        assert dom.count(name) >= 2
    assert "+30 %" in dom
    assert re.search(r'aria-label="Choices[^"]*digits-l \d', dom)


@needs_chromium
def test_the_page_of_a_service_that_did_nothing_yet(tmp_path: Path) -> None:
    with served(Service(), 1000.0) as url:
        shown = browsed(url, tmp_path).partition("<script>")[0]
    assert shown.count("nothing yet") == 3
    assert "NaN" not in shown
    assert "undefined" not in shown


@needs_chromium
def test_hostile_names_are_shown_as_text(tmp_path: Path) -> None:
    name = '<img src=x onerror="document.title=1">'
    service = Service()
    service.tell(answered(variant=name, at_ms=500.0))
    with served(service, 2000.0) as url:
        dom = browsed(url, tmp_path)
    assert "<img" not in dom
    assert "&lt;img src=x" in dom


@needs_chromium
def test_a_service_with_a_token_is_asked_for_it(tmp_path: Path) -> None:
    service = Service()
    with served(service, 1000.0, token="s3cret") as url:
        dom = browsed(url, tmp_path)
    assert "token wanted" in dom
    assert re.search(r'<form id="ask" class="card">', dom)
    assert "digits-l" not in dom
