"""Joules of computing: a meter's word before a model's, net of idle."""

from __future__ import annotations

import pytest

from edgewise.energy.computing import Computing, metered
from edgewise.energy.power import power
from edgewise.records import Energy

#: 3 J in half a second: 6 W, of which 2 W are taken anyway.
ENERGY = Energy(inference_j=3.0, mean_w=6.0, idle_w=2.0, method="rapl:package-0")


def test_idle_power_is_taken_off_by_hand() -> None:
    found = metered(ENERGY, 500.0)
    assert found is not None
    assert found.inference_j == pytest.approx(3.0 - 2.0 * 0.5)
    assert found.busy_w == pytest.approx(4.0)
    assert found.net


def test_a_meter_that_does_not_tell_idle_power_is_gross_and_says_so() -> None:
    found = metered(Energy(inference_j=3.0, mean_w=6.0, idle_w=None, method="wall"), 500.0)
    assert found is not None
    assert (found.inference_j, found.busy_w, found.net) == (3.0, 6.0, False)
    assert any("idle power with it" in note for note in Computing(meter=found).notes("phone"))


@pytest.mark.parametrize(
    "energy",
    [
        None,
        Energy(inference_j=None, mean_w=6.0, idle_w=2.0, method="wall"),
        Energy(inference_j=0.9, mean_w=1.8, idle_w=2.0, method="wall"),
        Energy(inference_j=float("nan"), mean_w=None, idle_w=None, method="wall"),
    ],
)
def test_what_no_meter_saw_is_none(energy: Energy | None) -> None:
    assert metered(energy, 500.0) is None


def test_a_meter_beats_a_model_and_each_fills_in_for_the_other() -> None:
    phone, meter = power("nexus-5"), metered(ENERGY, 500.0)
    both, alone, model = Computing(phone, meter), Computing(meter=meter), Computing(phone)
    assert both.inference_j(500.0, 4) == alone.inference_j(500.0, 4) == pytest.approx(2.0)
    assert both.other_j(100.0) == pytest.approx(0.1468)
    assert alone.other_j(100.0) == pytest.approx(0.4)
    assert model.inference_j(500.0, 2) == pytest.approx(2 * 1.468 * 0.5)
    assert (both.method, alone.method, model.method) == ("profile", "profile", "model")
    assert Computing().inference_j(1.0, 1) is Computing().other_j(1.0) is None
