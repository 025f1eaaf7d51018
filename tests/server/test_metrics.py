"""The Prometheus text, read back by Prometheus's own parser."""

from __future__ import annotations

import asyncio
import threading

import pytest

pytest.importorskip("prometheus_client", reason="the extra 'serve' is not installed")

from operated import afternoon, answered, arrived, cancelled, failed, shed, sources
from prometheus_client.parser import text_string_to_metric_families

from edgewise.server.events import (
    Draining,
    Event,
    Evicted,
    Loaded,
    Reloaded,
    WorkerBack,
    WorkerLost,
)
from edgewise.server.inventory import Live, ProfileNow
from edgewise.server.operations.assembly import Operations

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(*events: Event, **given: object) -> Samples:
    operations = Operations(sources(**given))
    for event in events:
        operations.listen(event)
    return read(operations)


def read(operations: Operations) -> Samples:
    text, kind = operations.metrics()
    assert kind.startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"edgewise_{name}", frozenset(labels.items())))


def test_each_request_ends_in_one_outcome() -> None:
    samples = scraped(
        *[arrived()] * 7, answered(), answered(in_time=False), answered(in_time=None),
        shed("late"), shed("price"), failed(), cancelled(running=True),
    )  # fmt: skip
    outcomes = {
        outcome: of(samples, "requests_total", family="digits", outcome=outcome)
        for outcome in ("in_time", "late", "no_deadline", "shed", "failed", "cancelled")
    }
    assert outcomes == {
        "in_time": 1, "late": 1, "no_deadline": 1, "shed": 2, "failed": 1, "cancelled": 1,
    }  # fmt: skip
    assert of(samples, "arrivals_total", family="digits") == 7
    assert of(samples, "shed_total", family="digits", reason="price") == 1
    assert of(samples, "failures_total", family="digits", kind="InferenceFailed") == 1
    assert of(samples, "cancellations_total", family="digits", state="running") == 1
    assert of(samples, "budget_basis_total", family="digits", basis="client") == 3
    assert of(samples, "budget_basis_total", family="digits", basis="service") == 2


def test_attainment_and_accuracy_are_means_to_be_formed() -> None:
    samples = scraped(
        answered(accuracy=90.0), answered(accuracy=80.0, in_time=False),
        answered(accuracy=70.0, in_time=None), shed(), failed(), failed("BadRequest", 400),
        cancelled(),
    )  # fmt: skip
    # In time, late, shed and failed had a deadline; the caller's own mistake counts nowhere.
    assert of(samples, "attainment_ratio_sum", family="digits") == 1
    assert of(samples, "attainment_ratio_count", family="digits") == 4
    assert of(samples, "accuracy_ratio_sum", family="digits") == pytest.approx(2.4)
    assert of(samples, "accuracy_ratio_count", family="digits") == 3
    assert of(samples, "effective_accuracy_ratio_sum", family="digits") == pytest.approx(1.6)
    assert of(samples, "effective_accuracy_ratio_count", family="digits") == 5


def test_choices_and_times_are_told_per_variant() -> None:
    samples = scraped(
        answered(inference_ms=1.0), answered(inference_ms=3.0, probe=True),
        answered(variant="digits-l", inference_ms=20_000.0),
        Loaded("digits", "digits-s", 0, 5_000_000, 40.0, 1000.0),
    )  # fmt: skip
    labels = {"family": "digits", "variant": "digits-s"}
    assert of(samples, "choices_total", **labels) == 2
    assert of(samples, "probes_total", **labels) == 1
    # A bound counts what equals it.
    assert of(samples, "inference_duration_seconds_bucket", le="0.0005", **labels) == 0
    assert of(samples, "inference_duration_seconds_bucket", le="0.001", **labels) == 1
    assert of(samples, "inference_duration_seconds_bucket", le="0.005", **labels) == 2
    assert of(samples, "inference_duration_seconds_sum", **labels) == pytest.approx(0.004)
    assert of(samples, "inference_duration_seconds_count", **labels) == 2
    assert of(samples, "cold_start_duration_seconds_sum", **labels) == pytest.approx(0.04)
    slow = {"family": "digits", "variant": "digits-l"}
    assert of(samples, "inference_duration_seconds_bucket", le="10.0", **slow) == 0
    assert of(samples, "inference_duration_seconds_bucket", le="+Inf", **slow) == 1
    assert of(samples, "queue_wait_seconds_count", family="digits") == 3


def test_workers_and_memory_follow_their_events() -> None:
    samples = scraped(
        WorkerBack(0, 0.0), WorkerBack(1, 0.0),
        Loaded("digits", "digits-s", 0, 5_000_000, 40.0, 0.0),
        Loaded("digits", "digits-s", 1, 5_000_000, 40.0, 0.0),
        Loaded("digits", "digits-m", 0, 7_000_000, 60.0, 0.0),
        Evicted("digits", "digits-m", 0, 7_000_000, 1.0),
        WorkerLost(1, "killed by signal 9", 2.0), Reloaded(("digits",), 3.0),
        Draining(2, 30.0, 4.0),
    )  # fmt: skip
    assert of(samples, "workers_alive") == 1
    assert of(samples, "workers_busy") == 2
    assert of(samples, "workers_configured") == 2
    assert of(samples, "worker_losses_total") == 1
    assert of(samples, "resident_bytes", family="digits", variant="digits-s") == 5_000_000
    assert of(samples, "resident_workers", family="digits", variant="digits-s") == 1
    assert of(samples, "resident_bytes", family="digits", variant="digits-m") is None
    assert of(samples, "loads_total", family="digits", variant="digits-s") == 2
    assert of(samples, "evictions_total", family="digits", variant="digits-m") == 1
    assert of(samples, "memory_budget_bytes") == 64_000_000
    assert of(samples, "queue_length") == 3
    assert of(samples, "backlog_seconds") == pytest.approx(0.0045)
    assert of(samples, "draining") == 1
    assert of(samples, "reloads_total") == 1


def test_drift_is_the_mean_now_over_the_mean_at_the_start() -> None:
    profiles = [
        ProfileNow("digits", "digits-l", 97.8, 11.7, 9.0, 50),
        ProfileNow("digits", "new", None, 3.0, 0.0, 1),
    ]
    samples = scraped(profiles=lambda: profiles)
    drift = of(samples, "profile_drift_ratio", family="digits", variant="digits-l")
    assert drift == pytest.approx(1.3)
    assert of(samples, "profile_drift_ratio", family="digits", variant="new") is None
    mean_s = of(samples, "profile_mean_seconds", family="digits", variant="new")
    assert mean_s == pytest.approx(0.003)


def test_names_say_their_unit_and_every_metric_has_a_description() -> None:
    operations = Operations(sources())
    for event in afternoon(3):
        operations.listen(event)
    text = operations.metrics()[0].decode()
    ours = [f for f in text_string_to_metric_families(text) if f.name.startswith("edgewise_")]
    assert len(ours) > 25
    for family in ours:
        assert len(family.documentation) > 10, family.name
        assert not family.name.endswith(("_ms", "_percent", "_milliseconds")), family.name
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
    assert text.count("# HELP") == len(set(text.split("# HELP ")[1:]))
    assert "process_resident_memory_bytes" in text or "process_" not in text


def test_a_service_that_nobody_asked_yet_can_be_scraped() -> None:
    samples = scraped(memory_budget_bytes=None)
    assert of(samples, "workers_alive") == 0
    assert of(samples, "memory_budget_bytes") is None


def test_scraping_in_a_thread_while_the_service_counts() -> None:
    operations = Operations(sources())
    errors: list[BaseException] = []
    done = threading.Event()

    def scrape() -> None:
        try:
            while not done.is_set():
                operations.metrics()
        except RuntimeError as error:  # a dict that changed while it was read
            errors.append(error)

    thread = threading.Thread(target=scrape)
    thread.start()
    for number in range(3000):
        operations.listen(answered(family=f"f{number % 200}", variant=f"v{number % 500}"))
        operations.listen(shed(f"reason {number % 50}", family=f"f{number % 200}"))
    done.set()
    thread.join()
    assert errors == []


def test_the_service_is_asked_in_its_own_thread() -> None:
    asked_in: list[int] = []

    def live() -> Live:
        asked_in.append(threading.get_ident())
        return Live(1, 2.0, 1)

    async def serve() -> bytes:
        operations = Operations(sources(live=live))
        text, _ = await asyncio.to_thread(operations.metrics)
        operations.snapshot()
        return text

    assert b"edgewise_queue_length 1.0" in asyncio.run(serve())
    assert asked_in == [threading.get_ident()] * 2


def test_what_the_service_cannot_answer_is_the_askers_trouble() -> None:
    def live() -> Live:
        raise ValueError("no")

    async def serve() -> None:
        operations = Operations(sources(live=live))
        with pytest.raises(ValueError, match="no"):
            await asyncio.to_thread(operations.metrics)

    asyncio.run(serve())
