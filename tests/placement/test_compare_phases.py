"""From requests to phases: they add up, and say where their parts come from."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from edgewise import sandbox
from edgewise.family import Preprocess
from edgewise.network.catalogue import links
from edgewise.placement import device
from edgewise.placement.cloud import Sample, Samples, mean_total_ms
from edgewise.placement.line import Silence
from edgewise.placement.phases import InCloud, in_cloud
from edgewise.placement.process import Answered, Device, Job, Report
from edgewise.placement.questions import Sending
from edgewise.placement.subjects import Question, Subject
from edgewise.protocol.http.prepared import Said
from edgewise.records import CloudPhases, LinkProfile
from edgewise.server.pool.frames import Runnable

SENDING = Sending("cloud", as_tensor=False, port=None, binary=True)
AWAKE = Silence(0, 0, False, False)
SAID = Said(queue_ms=2.0, preprocess_ms=5.0, inference_ms=30.0, cold_ms=0.0)


def sample(**more: Any) -> Sample:
    given: dict[str, Any] = {
        "question": 0, "preprocess_ms": 3.0, "encode_ms": 1.0, "connect_ms": 0.0, "wait_ms": 150.0,
        "reading_ms": 4.0, "sending_ms": 0.2, "postprocess_ms": 0.5, "said": SAID,
        "payload_bytes": 50_000, "reply_bytes": 1000, "chosen": 1,
    }  # fmt: skip
    return Sample(**given | more)


def found(
    warm: list[Sample],
    fresh: list[Sample] | None = None,
    link: LinkProfile | None = None,
    silence: Silence = AWAKE,
    **more: Any,
) -> InCloud:
    fresh = fresh or [sample(wait_ms=400.0)]
    return in_cloud(Samples(SENDING, fresh, warm, **more), link, silence)


def summed(phases: CloudPhases) -> float:
    names = ("preprocess", "encode", "upload", "queue", "inference", "download", "postprocess")
    return sum(getattr(phases, f"{name}_ms") or 0.0 for name in names)


def link() -> LinkProfile:
    return replace(links()["lte"], jitter_ms=0.0)


@pytest.mark.parametrize("said", [SAID, Said()])
@pytest.mark.parametrize("over", [None, link()])
def test_phases_add_up_to_what_passed(said: Said, over: LinkProfile | None) -> None:
    warm = [sample(said=said, wait_ms=ms) for ms in (120.0, 150.0, 333.3)]
    fresh = [sample(said=said, wait_ms=ms, connect_ms=20.0) for ms in (300.0, 444.4)]
    phases = found(warm, fresh, over, rtt_ms=12.0).phases
    assert summed(phases) == pytest.approx(phases.total_ms)
    assert phases.total_ms == pytest.approx(mean_total_ms(warm))
    assert phases.first_total_ms == pytest.approx(mean_total_ms(fresh))
    assert phases.connect_ms == pytest.approx(mean_total_ms(fresh) - mean_total_ms(warm))


def test_the_wait_is_split_by_the_servers_word_and_half_a_round_trip() -> None:
    phases = found([sample()], link=link()).phases
    assert phases.queue_ms == 2.0
    assert (phases.server_preprocess_ms, phases.preprocess_ms) == (5.0, 8.0)
    assert phases.inference_ms == pytest.approx(30.0)
    assert phases.download_ms == pytest.approx(35.0 + 4.0)
    assert phases.upload_ms == pytest.approx(150.0 - 37.0 - 39.0)


def test_a_network_that_took_less_than_half_a_round_trip_is_all_download() -> None:
    phases = found([sample(wait_ms=40.0)], link=link()).phases
    assert phases.download_ms == pytest.approx(3.0)
    assert phases.upload_ms == 0.0
    assert summed(phases) == pytest.approx(44.5)


def test_a_server_without_times_has_one_phase_and_a_reason() -> None:
    result = found([sample(said=Said())], [sample(said=Said())], link())
    assert result.phases.queue_ms is None
    assert result.phases.server_preprocess_ms is None
    assert result.methods["cloud.inference_ms"] == "model"
    assert result.methods["cloud.total_ms"] == "measured"
    assert any("does not say how long" in note for note in result.notes)
    # By the link's model: the payload at 6 Mbps and half a round trip.
    assert result.phases.upload_ms == pytest.approx(50_000 * 8e-3 / 6 + 35)


def test_a_server_that_claims_more_than_the_client_saw_is_not_believed() -> None:
    boastful = replace(SAID, inference_ms=200.0)
    result = found([sample(), sample(said=boastful)], link=link())
    assert result.phases.queue_ms is None
    assert any("1 of 3 answers claim more time" in note for note in result.notes)
    assert summed(result.phases) == pytest.approx(154.5)


def test_rounding_of_the_servers_word_is_no_claim() -> None:
    close = found([sample(wait_ms=36.96)], link=link()).phases
    assert close.queue_ms == 2.0
    assert summed(close) == pytest.approx(36.96 + 4.5)


def test_waiting_for_the_servers_load_is_in_the_queue() -> None:
    result = found([sample(said=replace(SAID, cold_ms=40.0))], link=link())
    assert result.phases.queue_ms == pytest.approx(42.0)
    assert any("load the model" in note for note in result.notes)


def test_slow_start_is_what_no_handshake_and_no_waking_explains() -> None:
    fresh = [sample(wait_ms=150.0 + 2 * 70 + 25)]
    assert found([sample()], fresh, link()).phases.slow_start_ms == pytest.approx(25.0)
    waking = Silence(1400, 0, True, False)
    fresh = [sample(wait_ms=150.0 + 2 * 70 + 260 + 25)]
    slept = found([sample()], fresh, link(), waking).phases
    assert slept.slow_start_ms == pytest.approx(25.0)
    assert slept.promotion_ms == 260.0


def test_a_new_connection_costs_at_least_its_handshake() -> None:
    """Fresh ones happened to be sooner: no phase is below zero, and a note says why."""
    result = found([sample(wait_ms=150.0)], [sample(wait_ms=120.0, connect_ms=0.4)], rtt_ms=0.2)
    assert result.phases.connect_ms == pytest.approx(0.4)
    assert result.phases.slow_start_ms == pytest.approx(0.0)
    assert result.phases.first_total_ms == pytest.approx(154.5 + 0.4)
    assert any("the handshake alone" in note for note in result.notes)


def test_loading_takes_at_least_the_load() -> None:
    """Hot answers happened to be slower than the first one."""

    def run(job: Job, limits: sandbox.Limits) -> Report:
        return Report(2.0, Answered(0, 1, 1.0, 3.0, 1.0), (Answered(0, 1, 5.0, 9.0, 2.0),))

    here = device.measure(
        Device("phone", run), subject(), requests=1, processes=2, seconds=1.0
    ).phases
    assert (here.load_ms, here.warmup_ms) == (2.0, 0.0)
    assert here.first_total_ms == pytest.approx(16.0 + 2.0)


def subject() -> Subject:
    runnable = Runnable("m", "m.tflite", "litert", None, 1, Preprocess(), "image")
    return Subject("m", "m", "", runnable, (), (), None, (Question(image=b""),))


def test_every_phase_has_a_distribution() -> None:
    warm = [sample(wait_ms=100.0 + i) for i in range(5)]
    result = found(warm, [sample(wait_ms=250.0 + i) for i in range(5)], link())
    names = ("preprocess", "encode", "upload", "queue", "inference", "download", "postprocess",
             "total", "first_total", "connect", "server_preprocess")  # fmt: skip
    assert set(result.distributions) == {f"cloud.{name}_ms" for name in names}
    assert {each.n for each in result.distributions.values()} == {5}
    for name in names:
        mean = result.distributions[f"cloud.{name}_ms"].mean
        assert mean == pytest.approx(getattr(result.phases, f"{name}_ms"))


def test_failed_requests_are_counted() -> None:
    result = found([sample()], failures=["no answer within 1 s"])
    assert any("1 of 3 requests failed: no answer within 1 s" in note for note in result.notes)
