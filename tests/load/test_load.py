"""A load against a real server on loopback: what is counted, what is missed, what is void."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from load_server import Server, running

from edgewise.errors import InputError, UsageError
from edgewise.load import outcome
from edgewise.load.run import carry_out, drive, prepare
from edgewise.load.settings import LoadSettings
from edgewise.records import LoadRun


@pytest.fixture
def tensors(tmp_path: Path) -> Path:
    """Twenty inputs of four numbers; the server's answer is right for all but the last."""
    values = np.repeat(np.arange(20, dtype=np.float32)[:, None], 4, axis=1)
    labels = np.arange(20) % 10
    labels[19] = 0
    path = tmp_path / "inputs.npz"
    np.savez(path, x=values, labels=labels)
    return path


def load(server: Server, inputs: Path, **more: Any) -> LoadRun:
    """A short run. The machine that tests run on is busy: a late generator is another test's."""
    given: dict[str, Any] = {
        "url": server.url, "model": "m", "inputs": (inputs,), "arrivals": "poisson:400",
        "requests": 40, "sla_ms": 5000.0,
    }  # fmt: skip
    return drive(LoadSettings(**given | more))


def test_a_good_run_counts_everything_once(tensors: Path) -> None:
    with running(Server(delay_ms=2)) as server:
        run = load(server, tensors, clients=3, samples=True)
    assert (run.requests, run.answered, run.late, run.refused, run.failed) == (40, 40, 0, 0, {})
    assert run.attainment == 1.0
    assert run.goodput_per_s == pytest.approx(run.offered_per_s)
    assert run.usage == {"large": pytest.approx(0.25), "small": pytest.approx(0.75)}
    assert run.accuracy == run.effective_accuracy == 80.0
    assert run.measured_accuracy == pytest.approx(95.0)
    assert (run.queue_ms, run.preprocess_ms, run.inference_ms) == (1.0, 0.5, 2.0)
    assert run.policy == "deadline"
    assert len(run.samples) == len(server.seen) == 40
    phases = run.phases
    parts = (phases.connect_ms, phases.send_ms, phases.wait_ms, phases.receive_ms)
    assert sum(part or 0 for part in parts) == pytest.approx(run.latency_ms.mean)


def test_latency_counts_from_the_intended_time_and_adds_up(tensors: Path) -> None:
    with running(Server(delay_ms=20)) as server:
        run = load(server, tensors, requests=20, samples=True)
    for sample in run.samples:
        assert sample.latency_ms is not None
        assert sample.latency_ms >= 20
        moments = [sample.lag_ms, sample.sent_ms, sample.uploaded_ms, sample.first_byte_ms,
                   sample.latency_ms]  # fmt: skip
        assert moments == sorted(moments)  # type: ignore[type-var]
    intended = [sample.intended_ms for sample in run.samples]
    assert intended == sorted(intended)


def test_the_loop_is_open(tensors: Path) -> None:
    """A server that answers after a second does not hold the next request back."""
    with running(Server(delay_ms=1000)) as server:
        run = load(server, tensors, requests=30, samples=True)
    sent = [sample.sent_ms for sample in run.samples]
    assert max(each for each in sent if each is not None) < 1000
    assert run.answered == 30


def test_late_answers_are_missed_and_count_nothing(tensors: Path) -> None:
    with running(Server(delay_ms=30)) as server:
        run = load(server, tensors, sla_ms=20.0)
    assert (run.attainment, run.late, run.effective_accuracy) == (0.0, 40, 0.0)
    assert run.measured_effective_accuracy == 0.0
    assert run.accuracy == 80.0


def test_refused_and_failed_are_missed_and_told_apart(tensors: Path) -> None:
    kinds = ("ok", "refuse", "error", "garbage", "drop")
    with running(Server(kinds=kinds)) as server:
        run = load(server, tensors, arrivals="gamma:100,0", requests=50, samples=True)
    assert (run.answered, run.refused) == (10, 10)
    assert run.failed == {"closed": 10, "http 500": 10, "malformed": 10}
    assert run.attainment == pytest.approx(0.2)
    assert run.effective_accuracy == pytest.approx(16.0)
    assert run.refusal_ms.n == 10
    assert run.latency_ms.n == 10
    assert {s.server_ms for s in run.samples if s.outcome == "refused"} == {0.25}


def test_a_request_without_an_answer_times_out(tensors: Path) -> None:
    with running(Server(kinds=("ok", "hang"))) as server:
        run = load(server, tensors, requests=10, timeout_s=0.3)
    assert run.failed == {"timeout": 5}
    assert run.answered == 5


def test_a_server_that_dies_midway_fails_the_rest(tensors: Path) -> None:
    with running(Server()) as server:
        settings = LoadSettings(
            url=server.url, model="m", inputs=(tensors,), arrivals="gamma:50,0", requests=50,
            sla_ms=1000,
        )  # fmt: skip
        prepared = prepare(settings)
        already = len(server.seen)

        def stop_midway() -> None:
            deadline = time.monotonic() + 30
            while len(server.seen) < already + 10 and time.monotonic() < deadline:
                time.sleep(0.005)
            server.stop()

        stopper = threading.Thread(target=stop_midway)
        stopper.start()
        run = carry_out(prepared)
        stopper.join()
    assert run.requests == 50
    assert 0 < run.answered < 50
    assert run.answered + sum(run.failed.values()) == 50
    assert set(run.failed) <= {"connect", "reset", "closed"}


def test_nobody_there_is_one_clear_error(tensors: Path) -> None:
    with pytest.raises(InputError, match=r"no connection to http://127\.0\.0\.1:1\b"):
        drive(LoadSettings(url="127.0.0.1:1", model="m", inputs=(tensors,), requests=1))


def test_an_unknown_model_is_one_clear_error(tensors: Path) -> None:
    with running(Server()) as server, pytest.raises(InputError, match="no such model"):
        load(server, tensors, model="other")


def test_the_token_goes_along(tensors: Path) -> None:
    with running(Server(token="secret")) as server:
        assert load(server, tensors, requests=3, token="secret").answered == 3
        with pytest.raises(InputError, match="token"):
            load(server, tensors, requests=3, token="wrong")


def test_warm_ups_are_kept_and_marked_but_not_counted(tensors: Path) -> None:
    with running(Server()) as server:
        run = load(server, tensors, arrivals="gamma:100,0", requests=20, warmup_s=0.2, samples=True)
    assert run.requests == 20
    assert run.warmup_requests == sum(sample.warmup for sample in run.samples) > 0
    assert len(run.samples) == 20 + run.warmup_requests
    assert all(sample.warmup == (sample.intended_ms < 200) for sample in run.samples)


def test_seconds_bound_a_run(tensors: Path) -> None:
    with running(Server()) as server:
        run = load(server, tensors, requests=None, seconds=0.5, arrivals="gamma:100,0")
    assert run.duration_s == 0.5
    assert run.requests == 49  # the first is due after one gap


def under_way_at_once(run: LoadRun) -> int:
    """The most requests that were begun and not yet answered at one moment."""
    begun = [sample.intended_ms + sample.lag_ms for sample in run.samples]
    ended = [sample.intended_ms + (sample.latency_ms or math.inf) for sample in run.samples]
    return max(sum(b <= at <= e for b, e in zip(begun, ended, strict=True)) for at in begun)


def test_warm_connections_are_used_again_and_fresh_ones_are_not(tensors: Path) -> None:
    with running(Server()) as server:
        run = load(server, tensors, arrivals="gamma:25,0", requests=20, sla_ms=10.0, samples=True)
        # On a busy machine requests come while others are under way: each of those needs its own.
        assert len(server.connections) <= under_way_at_once(run)
        server.connections.clear()
        run = load(server, tensors, requests=20, connection="fresh", arrivals="gamma:100,0")
        assert len(server.connections) == 20
        assert run.answered == 20


def test_what_the_client_states(tensors: Path) -> None:
    with running(Server(delay_ms=1)) as server:
        load(server, tensors, requests=60, sla_ms=100.0, arrivals="gamma:50,0")
    first, *_, last = (request["parameters"] for request in server.seen)
    assert first["sla_ms"] == 100.0
    assert first["elapsed_ms"] >= 0
    assert "rtt_ms" not in first, "nothing is known before the first answer"
    assert last["upload_ms"] + last["download_ms"] >= last["rtt_ms"] >= 0


def test_a_server_that_is_not_edgewise(tensors: Path) -> None:
    """Tensors as JSON, none of our parameters sent, none read."""
    with running(Server(name="other", extensions=())) as server:
        run = load(server, tensors)
    assert "parameters" not in server.seen[0]
    assert (run.attainment, run.measured_accuracy) == (1.0, pytest.approx(95.0))
    assert run.accuracy is run.effective_accuracy is run.queue_ms is run.network_ms is None
    assert run.usage == {}
    assert any("does not say what it chose" in note for note in run.notes)


def test_without_a_deadline_there_is_no_attainment(tensors: Path) -> None:
    with running(Server()) as server:
        run = load(server, tensors, sla_ms=None)
    assert run.attainment is run.goodput_per_s is run.effective_accuracy is None
    assert run.answered == 40
    assert "sla_ms" not in server.seen[0]["parameters"]


def test_several_processes_share_the_clients(tensors: Path) -> None:
    with running(Server()) as server:
        run = load(server, tensors, clients=4, processes=2, requests=60, samples=True)
    assert (run.answered, run.processes) == (60, 2)
    intended = [sample.intended_ms for sample in run.samples]
    assert intended == sorted(intended)
    assert {sample.client for sample in run.samples} == {0, 1, 2, 3}


def _interrupt_after(server: Server, requests: int) -> None:
    while len(server.seen) < requests:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_interrupt_reports_what_was_finished(tensors: Path, processes: int) -> None:
    """Also where only the process that the user started gets the signal."""
    with running(Server()) as server:
        watching = threading.Thread(target=_interrupt_after, args=(server, 30))
        watching.start()
        run = load(
            server, tensors, arrivals="gamma:50,0", requests=1000, clients=2, processes=processes
        )
        watching.join()
    assert run.status == "interrupted"
    assert 0 < run.requests == run.answered < 1000
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert run.offered_per_s == pytest.approx(50, rel=0.2)


def test_a_late_generator_makes_the_run_void(
    tensors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "MAX_LAG_P99_MS", 0.0)
    with running(Server()) as server:
        run = load(server, tensors)
    assert run.status == "void"
    assert run.reason is not None
    assert "the generator was late" in run.reason
    assert run.answered == 40, "still reported"


def test_the_same_seed_asks_the_same(tensors: Path) -> None:
    asked = []
    with running(Server()) as server:
        for seed in (1, 1, 2):
            run = load(server, tensors, seed=seed, clients=3, samples=True)
            asked.append([(round(s.intended_ms, 3), s.client, s.input) for s in run.samples])
    assert asked[0] == asked[1] != asked[2]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "needs an end"),
        ({"requests": 1, "seconds": 1}, "needs an end"),
        ({"requests": 1, "sla_ms": 0}, "--sla 0"),
        ({"requests": 1, "clients": 2, "processes": 3}, "3 processes for 2 clients"),
        ({"requests": 1, "connection": "hot"}, "--connection hot"),
        ({"requests": 1, "cores": (4096,)}, "core 4096|keep a process"),
    ],
)
def test_half_given_settings_are_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        LoadSettings(url="u", model="m", inputs=(), **more)


def test_every_client_has_its_own_shaped_link(tensors: Path) -> None:
    with running(Server()) as server:
        run = load(
            server, tensors, requests=30, clients=2, links=("ethernet", "wifi"), samples=True,
            arrivals="gamma:30,0",
        )  # fmt: skip
    assert run.answered == 30
    assert {(sample.client, sample.link) for sample in run.samples} == {
        (0, "ethernet"), (1, "wifi"),
    }  # fmt: skip
    fastest_ms = min(sample.latency_ms or 0 for sample in run.samples)
    assert fastest_ms > 2, "no answer comes without its round trip"
    stated = [each["parameters"] for each in server.seen if "upload_ms" in each["parameters"]]
    assert stated, "what was measured on the first answers goes with later requests"
    assert all(each["upload_ms"] + each["download_ms"] > 2 for each in stated)
