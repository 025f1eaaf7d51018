"""A maker's limit by default, the table with `--no-cap-radio`, and the notes that tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgewise.cli.main import run


def placed(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, object]:
    arguments = ["place", "inception_v3", "--profiles", "pixel3", "--server", "p2", "--json"]
    assert run([*arguments, "--connection", "warm", *options]) == 0
    row = json.loads(capsys.readouterr().out)
    assert isinstance(row, dict)
    return row


def test_over_fast_wifi_the_cap_lowers_the_cloud_s_energy_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table, capped = (
        placed(capsys, "--link", "wifi", "--no-cap-radio"),
        placed(capsys, "--link", "wifi"),
    )
    assert capped["cloud"]["energy_j"] < table["cloud"]["energy_j"]  # type: ignore[index]
    assert capped["on_device"] == table["on_device"]
    assert any("not counted: --no-cap-radio" in note for note in table["notes"])  # type: ignore[attr-defined]
    assert any("counted here" in note for note in capped["notes"])  # type: ignore[attr-defined]


def test_over_a_faster_lte_than_of_2012_it_says_what_is_counted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "fast.toml").write_text(
        '[[link]]\nname = "fast"\nuplink_mbps = 50\ndownlink_mbps = 10\nrtt_ms = 40\n'
        'radio = "lte-2012"\n'
    )
    row = placed(capsys, "--link", f"{tmp_path}/fast.toml")
    [said] = [note for note in row["notes"] if "its row" in note]  # type: ignore[attr-defined]
    assert "at 50 Mbps up lte-2012 would take 23 W" in said
    assert "fitted up to 6 Mbps; at the end of that range it says 3.9 W, counted here" in said


def test_over_lte_there_is_nothing_to_cap(capsys: pytest.CaptureFixture[str]) -> None:
    assert placed(capsys, "--link", "lte") == placed(capsys, "--link", "lte", "--no-cap-radio")
