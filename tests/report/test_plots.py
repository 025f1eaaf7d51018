"""`plot`: figures of the report by name, as files, with their data."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from edgewise.cli.main import run
from edgewise.errors import UsageError
from edgewise.report import charts, plots
from edgewise.report.parts import Figure, Numbers
from edgewise.store import Store

_BAR = {
    "mark": "bar",
    "height": 80,
    "encoding": {
        "x": {"field": "macs", "type": "quantitative", "axis": charts.size_axis("MACs")},
        "y": charts.rows_by("model"),
    },
}


def figure(title: str = "MACs, by model") -> Figure:
    rows = [("=cmd()", 3_000_000), ("b.onnx", 1_000_000)]
    numbers = Numbers(("model", "macs"), rows, 2, "select 1")
    return Figure(title, "", "two bars", _BAR, numbers, unit="MACs", origin="made up")


def several(*names: str) -> dict[str, plots.Named]:
    return {name: plots.Named(name, "Models", figure()) for name in names}


@pytest.mark.parametrize(
    ("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<svg"), (".pdf", b"%PDF-")]
)
def test_every_kind_of_picture(tmp_path: Path, suffix: str, magic: bytes) -> None:
    out = tmp_path / f"figure{suffix}"
    assert plots.draw(figure(), out) == tmp_path / "figure.csv"
    assert out.read_bytes().startswith(magic)
    rows = list(csv.reader(io.StringIO((tmp_path / "figure.csv").read_text())))
    assert rows == [["model", "macs"], ["'=cmd()", "3000000"], ["b.onnx", "1000000"]]


def test_the_width_is_what_was_asked_for(tmp_path: Path) -> None:
    sizes = []
    for width in (300, 600):
        out = tmp_path / f"{width}.png"
        assert plots.draw(figure(), out, width=width, data=False) is None
        sizes.append(int.from_bytes(out.read_bytes()[16:20], "big"))
    assert sizes[1] - sizes[0] == 600, "two pixels of a PNG for each"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["300.png", "600.png"]


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"png, \.svg, \.pdf"):
        plots.draw(figure(), tmp_path / "figure.gif")
    assert not list(tmp_path.iterdir())


def test_a_name_or_its_beginning() -> None:
    known = several("macs", "macs-by-layer", "latency")
    assert plots.named(known, "macs").name == "macs"
    assert plots.named(known, "lat").name == "latency"
    with pytest.raises(UsageError, match=r"several figures are called 'm'.*macs, macs-by-layer"):
        plots.named(known, "m")
    with pytest.raises(UsageError, match=r"no figure is called 'x'.*latency"):
        plots.named(known, "x")
    with pytest.raises(UsageError, match="no numbers for any"):
        plots.named({}, "x")


def test_figures_of_a_store_have_names_of_their_own(survey: Store) -> None:
    found = plots.figures(survey)
    assert len(found) > 3
    for name, each in found.items():
        assert name == each.name
        assert name.strip("-") and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert each.figure.numbers.rows


def test_every_figure_of_a_store_is_drawn(survey: Store, tmp_path: Path) -> None:
    for name, each in plots.figures(survey).items():
        out = tmp_path / f"{name}.svg"
        plots.draw(each.figure, out)
        assert "<svg" in out.read_text(encoding="utf-8")
        rows = list(csv.reader(io.StringIO(out.with_suffix(".csv").read_text("utf-8"))))
        assert len(rows) == 1 + len(each.figure.numbers.rows)


def test_a_listed_name_gives_its_picture(
    survey: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["plot", survey.url, "--json"]) == 0
    first, *_ = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    out = tmp_path / "figure.pdf"
    assert run(["plot", first["name"], survey.url, "-o", str(out)]) == 0
    assert capfd.readouterr().out.splitlines()[:2] == [str(out), str(tmp_path / "figure.csv")]


def test_wrong_usage_is_one_line(
    survey: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for given, said in (
        (["macs"], "no store there"),
        (["a", "b", "c"], "plot a b c"),
        (["nothing-called-so", survey.url], "no figure is called"),
    ):
        assert run(["plot", *given]) == 2
        assert said in capfd.readouterr().err
    name = next(iter(plots.figures(survey)))
    assert run(["plot", name, survey.url, "-o", str(tmp_path / "x.gif")]) == 2
    assert run(["plot", name, survey.url, "-o", str(tmp_path / "none" / "x.png")]) == 1
