"""`simulate`, `links` and `eval` as commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from edgewise.cli import selection
from edgewise.cli.evaluate import evaluate
from edgewise.cli.links import links
from edgewise.errors import EdgewiseError, UsageError

FIELDS = {
    "policy", "network", "sla_ms", "requests", "accuracy", "attainment", "effective_accuracy",
    "mean_ms", "p99_ms", "usage",
}  # fmt: skip


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(selection.simulate)
    app.command()(links)
    app.command("eval")(evaluate)

    def call(*arguments: str) -> tuple[int, str]:
        status = app(args=list(arguments), standalone_mode=False)
        return status or 0, capsys.readouterr().out

    return call


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_published_sweep(run) -> None:  # type: ignore[no-untyped-def]
    rows = objects(run("simulate", "--json", "--requests", "500")[1])
    assert len(rows) == 51 * 6
    assert set(rows[0]) >= FIELDS
    assert {row["sla_ms"] for row in rows} == {10.0 * i for i in range(51)}
    assert rows == objects(run("simulate", "--json", "--requests", "500", "--jobs", "2")[1])


def test_one_object_per_policy_network_and_deadline(run) -> None:  # type: ignore[no-untyped-def]
    text = run(
        "simulate", "--json", "--profiles", "c5", "--network", "campus", "--network", "30,5",
        "--network", "lte", "--sla", "200,400", "--policy", "greedy,cnnselect:threshold=20",
        "--requests", "700", "--seed", "3",
    )[1]  # fmt: skip
    keys = [(row["network"], row["sla_ms"], row["policy"]) for row in objects(text)]
    assert keys == [
        (network, sla_ms, policy)
        for network in ("campus", "30,5", "lte")
        for sla_ms in (200.0, 400.0)
        for policy in ("greedy", "cnnselect:threshold=20")
    ]


def test_people_get_a_table_that_fits(run) -> None:  # type: ignore[no-untyped-def]
    text = run("simulate", "--requests", "700")[1]
    assert "p2 over artificial" in text and "mdinference" in text
    assert "One deadline in" in text
    assert len(text.splitlines()) < 90


def test_where_one_policy_beats_another(run) -> None:  # type: ignore[no-untyped-def]
    arguments = (
        "simulate",
        "--compare",
        "cnnselect,greedy",
        "--profiles",
        "p2",
        "--profiles",
        "c5",
    )
    (first, second) = objects(run(*arguments, "--requests", "2000", "--json")[1])
    assert (first["profiles"], second["profiles"]) == ("p2", "c5")
    assert 130 <= first["attainment_peak_at_ms"] <= 190  # type: ignore[operator]
    assert "cnnselect less greedy" in run(*arguments, "--requests", "700")[1]


@pytest.mark.parametrize("suffix", ["svg", "html", "png"])
def test_a_picture(run, tmp_path: Path, suffix: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"out.{suffix}"
    run("simulate", "--requests", "300", "--sla", "0:400:100", "--plot", str(path), "--json")
    content = path.read_bytes()
    assert len(content) > 10_000
    if suffix == "svg":
        assert b"Effective accuracy" in content and b"Regret" in content


def test_rows_go_to_a_store(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from edgewise.records import SimulationRow
    from edgewise.store import Store

    store = str(tmp_path / "s")
    run("simulate", "--requests", "700", "--sla", "100,200", "--store", store, "--json")
    rows = Store.open(store).read(SimulationRow)
    assert len(rows) == 12 and sum(rows[0].usage.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--policy", "nope"], ["--network", "nope"], ["--profiles", "nope"], ["--sla", "-5"],
        ["--sla", "1:2"], ["--sla", "x"], ["--sla", "5:1:1"], ["--sla", "0:1:0"], ["--sla", "nan"],
        ["--sla", "0:1e9:0.001"], ["--requests", "0"], ["--seed", "-1"], ["--compare", "greedy"],
        ["--duplicate", "p2"], ["--duplicate", "p2:nope"],
        ["--network", "lte", "--published"], ["--workers", "2"], ["--policy", "greedy,greedy"],
        ["--network", "lte", "--payload", "-1"], ["--network", "-3,1"],
        ["--plot", "out.gif", "--requests", "1000000000"], ["--sla", "1e308"],
        ["--plot", "no/such/folder/out.png", "--requests", "1000000000"],
        ["--network", "1e300,1"], ["--network", "lte", "--payload", "1e300"],
        ["--policy", "mdinference+queue"], ["--arrivals", "poisson:1", "--policy", "greedy,greedy"],
        ["--arrivals", "poisson:1", "--policy", ""],
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line(run, arguments: list[str]) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(EdgewiseError) as error:
        run("simulate", *arguments)
    assert "\n" not in str(error.value) and len(str(error.value)) > 10


def test_links_are_listed(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    mine = tmp_path / "mine.toml"
    mine.write_text('[[link]]\nname = "mine"\nuplink_mbps = 5\ndownlink_mbps = 9\nrtt_ms = 33\n')
    rows = {
        (row["kind"], row["name"]): row for row in objects(run("links", str(mine), "--json")[1])
    }
    assert rows["link", "mine"]["rtt_ms"] == 33
    assert rows["link", "lte"]["radio"] == "lte-2012" and rows["link", "lte"]["source"]
    assert rows["pair", "artificial"]["one_way_mean_ms"] == 50
    assert "5g-mmwave" in run("links")[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0:20:10", [0, 10, 20]), ("0:25:10", [0, 10, 20]), ("50,20", [50, 20]), ("7:7:1", [7]),
     ("0:0.3:0.1", [0, 0.1, 0.2, 0.3])],
)  # fmt: skip
def test_both_ends_of_a_range_are_included(text: str, expected: list[float]) -> None:
    assert selection.parse_deadlines(text) == expected


def test_eval_fills_a_store_and_says_what_failed(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("ai_edge_litert")
    from importlib.resources import files

    digits = Path(str(files("edgewise.demo"))) / "data" / "digits"
    rubbish = tmp_path / "rubbish.tflite"
    rubbish.write_bytes(b"rubbish" * 20)
    status, text = run(
        "eval", str(digits / "digits-xs.tflite"), str(rubbish), "--data",
        str(digits / "heldout.npz"), "--scale", "255", "--store", str(tmp_path / "s"), "--json",
    )  # fmt: skip
    good, bad = objects(text)
    assert status == 1
    assert good["accuracy"] == pytest.approx(93.06, abs=0.01) and good["error"] is None
    assert bad["accuracy"] is None and bad["error"]
    for wrong in (["--scale", "0"], ["--mean", "x"], ["--colour", "pink"]):
        with pytest.raises(UsageError):
            run("eval", str(rubbish), "--data", str(digits / "heldout.npz"), *wrong)
