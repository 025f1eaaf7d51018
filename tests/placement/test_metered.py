"""Joules that a meter saw, in a store, and a measured comparison."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import fake_server
import pytest
from comparisons import fake
from fake_server import Fake

from edgewise.devices.host import describe_context
from edgewise.placement.compare import measured
from edgewise.records import Context, Distribution, Energy, Measurement, Target
from edgewise.store import Store

for peer in ("ai_edge_litert", "PIL", "httptools"):
    pytest.importorskip(peer, reason="a comparison runs a model and a client")


def test_joules_that_a_store_has_of_this_very_case_count(digits: Path, tmp_path: Path) -> None:
    if (processor := describe_context().cpu_model) is None:
        pytest.skip("this machine does not tell what it is")
    store = Store.open(str(tmp_path / "mine"), create=True)
    sha256 = hashlib.sha256((digits / "digits-s.tflite").read_bytes()).hexdigest()
    for changes, energy in (
        ({}, Energy(inference_j=0.5, mean_w=None, idle_w=None, method="meter")),
        ({"threads": 2}, Energy(inference_j=7.0, mean_w=None, idle_w=None, method="meter")),
        ({"device": "phone"}, Energy(inference_j=9.0, mean_w=None, idle_w=None, method="meter")),
    ):
        store.append(
            Measurement(
                model="digits-s.tflite", sha256=sha256, target=Target(**changes),
                latency_ms=Distribution(n=10, mean=1.0), energy=energy,
                context=Context(cpu_model=processor),
            )
        )  # fmt: skip
    server = Fake()
    with fake_server.running(server):
        common: dict[str, Any] = {
            "links": ("wifi",), "power": "nexus-5", "connections": ("warm",),
        }  # fmt: skip
        (row,) = measured(fake(digits, server, store=store.url, **common))
        empty = Store.open(str(tmp_path / "empty"), create=True)
        (other,) = measured(fake(digits, server, store=empty.url, **common))
    here = row.on_device
    assert here is not None and here.energy_j is not None
    others_ms = (here.total_ms or 0) - (here.inference_ms or 0)
    assert here.energy_j == pytest.approx(0.5 + 1.468 * others_ms / 1e3)
    assert row.methods["on_device.energy_j"] == "profile"
    assert other.on_device is not None
    assert other.on_device.energy_j == pytest.approx(1.468 * (other.on_device.total_ms or 0) / 1e3)
    assert other.methods["on_device.energy_j"] == "model"
