"""Pictures of policies hold the rows they are drawn from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgewise.errors import InputError, UsageError
from edgewise.records import SimulationRow
from edgewise.report.curves import policy_curves, write_picture


def row(policy: str, sla_ms: float, effective: float, bound: float | None = None) -> SimulationRow:
    return SimulationRow(
        policy=policy, network="lte", sla_ms=sla_ms, requests=1000, accuracy=80.0, attainment=0.5,
        effective_accuracy=effective, mean_ms=10.0, p99_ms=20.0, usage={"a": 0.25, "b": 0.75},
        fluid_bound=bound, profiles="p2",
    )  # fmt: skip


def panels(rows: list[SimulationRow]) -> dict[str, list[dict[str, object]]]:
    """Values of the panels by their vertical axis."""
    found = {}
    for panel in policy_curves(rows)["vconcat"]:
        encoding = panel.get("encoding") or panel["spec"]["encoding"]
        found[encoding["y"]["field"]] = panel["data"]["values"]
    return found


def test_curves_usage_and_regret() -> None:
    rows = [row("greedy", 100, 40), row("oracle", 100, 55)]
    rows += [row("greedy", 200, 50), row("oracle", 200, 60)]
    seen = panels(rows)
    assert set(seen) == {"accuracy", "attainment", "effective_accuracy", "regret", "usage"}
    assert [value["regret"] for value in seen["regret"]] == [15, 10]
    assert {value["policy"] for value in seen["accuracy"]} == {"greedy"}
    assert sum(v["usage"] for v in seen["usage"] if v["sla_ms"] == 100) == 1  # type: ignore[misc]


def test_the_fluid_bound_is_drawn_where_there_is_load() -> None:
    seen = panels([row("greedy", 100, 40, bound=70.0), row("fastest", 100, 40, bound=70.0)])
    bounds = [v for v in seen["effective_accuracy"] if v["policy"] == "fluid bound"]
    assert [bound["effective_accuracy"] for bound in bounds] == [70.0]
    assert "regret" not in seen


def test_a_policy_has_one_colour_in_all_panels() -> None:
    rows = [row(policy, 100, 40, bound=70.0) for policy in ("mdinference", "deadline")]
    domains = [
        panel["encoding"]["color"]["scale"]["domain"]
        for panel in policy_curves(rows)["vconcat"]
        if "encoding" in panel and panel["encoding"]["y"]["field"] != "usage"
    ]
    policies = ["mdinference", "deadline"]
    assert domains == [policies, policies, [*policies, "fluid bound"]]


def test_pictures_are_written_by_their_name(tmp_path: Path) -> None:
    spec = policy_curves([row("greedy", 100, 40), row("greedy", 200, 50)])
    json.dumps(spec)
    for suffix, head in ((".png", b"\x89PNG"), (".svg", b"<svg"), (".html", b"<!DOCTYPE html>")):
        write_picture(spec, tmp_path / f"out{suffix}")
        assert (tmp_path / f"out{suffix}").read_bytes().startswith(head)
    with pytest.raises(UsageError, match=r"\.png, \.svg or \.html"):
        write_picture(spec, tmp_path / "out.gif")
    with pytest.raises(InputError, match="cannot be written"):
        write_picture(spec, tmp_path / "gone" / "out.svg")
