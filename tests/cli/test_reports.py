"""`report` and `query` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgewise.cli.main import run
from edgewise.records import App, Model
from edgewise.store import Store


@pytest.fixture
def store(tmp_path: Path) -> str:
    url = str(tmp_path / "store")
    models = tuple(
        Model(path=f"a.apk!/{n}\x1b[31m", format="tflite", macs=n, ops={"CONV_2D": n})
        for n in range(5)
    )
    Store.open(url, create=True).append(App(path="a.apk", models=models))
    return url


def lines(capfd: pytest.CaptureFixture[str]) -> list[object]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_a_row_is_an_object(store: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["query", store, "select macs, ops from models where macs > 3", "--json"]) == 0
    assert lines(capfd) == [{"macs": 4, "ops": {"CONV_2D": 4}}]


def test_json_holds_what_sql_can_give(store: str, capfd: pytest.CaptureFixture[str]) -> None:
    sql = """select date '2026-02-03' as d, timestamp '2026-02-03 04:05:06' as t,
      1.25::decimal(9, 2) as n, 2::hugeint ** 70 as h, 'nan'::double as nan,
      '\\xAA\\x01'::blob as b,
      {'a': [1, null], 'd': [date '2026-02-03']} as s, map {1: 'x'} as m,
      interval 90 minutes as i, true as y, 1 as same, 2 as same,
      '6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid as u"""
    assert run(["query", store, sql, "--json"]) == 0
    assert lines(capfd) == [
        {
            "d": "2026-02-03", "t": "2026-02-03T04:05:06", "n": 1.25, "h": 2.0**70, "nan": None,
            "b": "aa01", "s": {"a": [1, None], "d": ["2026-02-03"]}, "m": {"1": "x"}, "i": 5400.0,
            "y": True, "same": 1, "same_2": 2, "u": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        }
    ]  # fmt: skip


def test_a_table_is_cut_and_says_so(store: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["query", store, "select path from models order by macs", "--limit", "2"]) == 0
    shown = capfd.readouterr().out
    assert "a.apk!/1" in shown
    assert "a.apk!/2" not in shown
    assert "2 rows; more with --limit or --json" in shown


def test_names_do_not_reach_the_terminal_as_codes(
    store: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["query", store, "select path, '[bold]x[/bold]' from models limit 1"]) == 0
    shown = capfd.readouterr().out
    assert "\x1b" not in shown
    assert "\\x1b[31m" in shown
    assert "[bold]x[/bold]" in shown


def test_wrong_sql_is_one_line_with_the_tables(
    store: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["query", store, "select * from aps"]) == 2
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert "tables: apps, sightings, evidence, " in said[0]


def test_no_store_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for verb in (["query", str(tmp_path / "none"), "select 1"], ["report", str(tmp_path / "none")]):
        assert run(verb) == 1
        assert "no store there" in capfd.readouterr().err


def test_a_store_in_the_other_place_is_said(store: str, capfd: pytest.CaptureFixture[str]) -> None:
    for verb in (["query", "select 1", store], ["plot", store, "nosuch"],
                 ["study", store, "gaugenn"]):  # fmt: skip
        assert run(verb) == 2
        assert f"{store} is the store, '{verb[1 if verb[0] == 'query' else 2]}' is none" in (
            capfd.readouterr().err
        )


def test_report_writes_where_it_is_told(
    store: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pictures.html"
    assert run(["report", store, "-o", str(out)]) == 0
    assert str(out) in capfd.readouterr().out
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_time_with_a_zone_is_shown(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "select timestamptz '2026-01-02 03:04:05+00' as t"
    assert run(["query", store, sql, "--json"]) == 0
    assert "2026-01-02T03:04:05" in capsys.readouterr().out
