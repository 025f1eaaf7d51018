"""Declared power models: data, checked, and power × time."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgewise.devices.host import Processor
from edgewise.energy import power as module
from edgewise.energy.power import compute_energy, power, powers
from edgewise.errors import InputError, UsageError

MINE = """
[[power]]
name = "board"
core_w = 2.0
shared_w = 0.5
cores = 4
source = "a wall meter"
"""


def test_power_times_time_by_hand() -> None:
    phone = power("pixel-3")
    assert compute_energy(phone, 250.0, threads=4) == pytest.approx((0.105 + 4 * 0.977) * 0.25)
    assert compute_energy(phone, 250.0, threads=8) == compute_energy(phone, 250.0, threads=4)


def test_every_model_names_its_source() -> None:
    assert all(len(one.source) > 20 and one.core_w > 0 for one in powers().values())


def test_every_processor_has_at_most_one_model() -> None:
    for one in (
        Processor("GenuineIntel", 6, model, stepping)
        for model in (63, 79, 85, 106, 143)
        for stepping in range(12)
    ):
        assert sum(any(map(one.is_of, model.processors)) for model in powers().values()) <= 1


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        (("GenuineIntel", 6, 85, 4), "server-skylake"),
        (("GenuineIntel", 6, 85, 7), "server-cascade-lake"),
        (("GenuineIntel", 6, 85, 11), None),
        (("AuthenticAMD", 23, 49, 0), "server-epyc-2"),
        (("AuthenticAMD", 23, 1, 1), None),
        (("GenuineIntel", 6, 142, 10), None),
    ],
)
def test_this_machines_power_is_that_of_its_processor(
    monkeypatch: pytest.MonkeyPatch, numbers: tuple[str, int, int, int], name: str | None
) -> None:
    monkeypatch.setattr(module, "processor", lambda: Processor(*numbers))
    module.power_here.cache_clear()
    try:
        assert module.power_here() == name
    finally:
        module.power_here.cache_clear()


def test_a_model_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "power.toml"
    file.write_text(MINE)
    assert power(str(file)).busy_w(2) == 4.5
    assert power(f"{file}:board").name == "board"
    with pytest.raises(UsageError, match="board"):
        power(f"{file}:other")


@pytest.mark.parametrize(
    "change",
    [("core_w = 2.0", "core_w = -2.0"), ("cores = 4", "cores = 0"), ("shared_w", "shared_watt"),
     ("[[power]]", "[[power"), ("name", "nom")],
)  # fmt: skip
def test_models_that_are_none_are_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    file = tmp_path / "power.toml"
    file.write_text(MINE.replace(*change))
    with pytest.raises(InputError, match=r"power\.toml"):
        power(str(file))


def test_an_unknown_device_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="nexus-5"):
        power("toaster")
