"""One app's page and one model's page: found by name, whole, and in a file of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import chromium
from conftest import application, measurement, network
from edgewise.cli.main import run
from edgewise.records import (
    AccuracyRow,
    App,
    LayerTime,
    Measurement,
    Model,
    Placement,
    Target,
)
from edgewise.report import Only, subjects, write
from edgewise.report.parts import Ask
from edgewise.store import Store

_FACE = f"{3:064x}"

in_browser = pytest.mark.skipif(chromium.PROGRAM is None, reason="no chromium here")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two apps that share a model, one of them in two versions; a model that nobody ships."""
    opened = Store.open(str(tmp_path_factory.mktemp("subjects") / "mine"), create=True)
    older = application(2, (2,), "Camera")
    opened.append([application(1, (0, 2), "Photo & <b>Film</b>"), older])
    opened.append(
        App(
            path="newer.apk", sha256="ee" * 32, package=older.package, version_name="2.0",
            version_code=2, label="Camera",
            models=(network(2, "newer.apk!/m/face_detection_short.tflite"),),
        )
    )  # fmt: skip
    opened.append([network(5), measurement(2, "litert", 1), measurement(2, "litert", 2)])
    opened.append(
        Measurement(
            model="x", sha256=_FACE, target=Target(runtime="ncnn"),
            layer_times=(LayerTime(name="CONV_2D_0", op="CONV_2D", mean_ms=0.25, share=0.5),),
        )
    )  # fmt: skip
    opened.append([
        AccuracyRow(model="face", path="x", data="faces", n=100, correct=91, accuracy=91.0,
                    ci95_low=84.0, ci95_high=95.0, sha256=_FACE),
        Placement(model="face", device="host", server="here", link="lte", faster="device",
                  sha256=_FACE),
        Model(path="m.bin", format="ncnn", status="opaque", sha256="ab" * 32, size_bytes=4,
              reason="encrypted"),
    ])  # fmt: skip
    return opened


@pytest.fixture(scope="module")
def report(store: Store) -> Path:
    out = Path(store.url).parent / "report.html"
    write(store, out)
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Tab]:
    with chromium.tab() as tab:
        tab.screen(1200)
        yield tab
        assert (tab.console, tab.asked) == ([], [])


_SEEN = """(() => {
  const subject = document.getElementById("subject");
  const tables = {};
  for (const place of subject.querySelectorAll("[data-table]"))
    tables[place.dataset.title] = [...place.querySelectorAll("tbody tr")]
      .map((line) => [...line.cells].map((cell) => cell.textContent));
  return {
    tables, title: subject.querySelector("h2").textContent, address: location.hash,
    lead: subject.querySelector(".lead").textContent,
    tiles: [...subject.querySelectorAll(".tiles b")].map((each) => each.textContent),
    code: subject.querySelector("pre")?.textContent,
    bars: subject.querySelectorAll(".chart .mark-rect path").length,
    others: [...document.querySelectorAll("main > section")].filter((e) => e.offsetParent).length,
  };
})()"""


def at(browser: chromium.Tab, page: Path, address: str) -> dict[str, object]:
    browser.open("about:blank")
    browser.open(page.as_uri() + address)
    browser.wait("document.body.dataset.subject && document.querySelector('#subject h2')")
    browser.wait("document.body.dataset.complete")
    seen = browser.run(_SEEN)
    assert isinstance(seen, dict)
    return seen


@in_browser
def test_a_models_page_has_all_that_the_store_knows(browser: chromium.Tab, report: Path) -> None:
    seen = at(browser, report, f"#model/{_FACE}")
    assert seen["title"] == "face_detection_short.tflite"
    assert seen["tiles"] == ["255 kB", "117 k", "31.1 M", "4.82 MB", "234 kB", "3"]
    tables = seen["tables"]
    assert isinstance(tables, dict)
    assert len(tables["Measurements"]) == 3
    assert len(tables["Layers"]) == 25, "of 39, the first"
    assert tables["Layers"][0][:3] == ["0", "CONV_2D_0", "CONV_2D"]
    assert tables["Layers"][0][-1] == "250 µs", "measured by the runtime's profiler"
    assert tables["Layers by the runtime's own profiler"][0][2:] == [
        "CONV_2D_0", "CONV_2D", "250 µs", "50.0%"
    ]  # fmt: skip
    assert tables["Accuracy"][0][:2] == ["91", "84"]
    assert tables["Where it should run"][0][:5] == ["host", "here", "lte", "warm", "device"]
    assert sorted(row[-1] for row in tables["Found in"]) == [
        "Camera 1.2", "Camera 2.0", "Photo & <b>Film</b>"
    ]  # fmt: skip
    assert seen["bars"] == 11, "ten convolutions and the head"
    assert (
        browser.run("""Math.max(...[...document.querySelectorAll("#subject .mark-rect path")]
      .map((bar) => bar.getBoundingClientRect().height))""")
        > 100
    ), "they stand on the axis"
    assert seen["others"] == 1, "the report's sections make room"


@in_browser
def test_an_apps_page_is_found_by_its_package_and_its_newest_version_shown(
    browser: chromium.Tab, report: Path
) -> None:
    seen = at(browser, report, "#app/org.example.app2")
    assert seen["lead"] == "org.example.app2 · version 2.0"
    assert seen["address"] == "#app/" + "ee" * 32, "one of two"
    tables = seen["tables"]
    assert isinstance(tables, dict)
    assert [row[0] for row in tables["Models"]] == ["face_detection_short.tflite"]
    assert len(tables["Versions in this store"]) == 2
    older = at(browser, report, "#app/" + f"{502:064x}")
    assert older["lead"] == "org.example.app2 · version 1.2 · apk"
    assert isinstance(older["tables"], dict)
    assert [row[:3] for row in older["tables"]["What its code uses"]] == [
        ["framework", "TensorFlow Lite", "native lib"], ["accelerator", "NNAPI", "string"]
    ]  # fmt: skip


@in_browser
def test_tables_lead_to_pages_and_back(browser: chromium.Tab, report: Path) -> None:
    browser.open("about:blank")
    browser.open(report.as_uri())
    browser.wait("document.body.dataset.complete")
    browser.run("""[...document.querySelectorAll("#apps td a")]
        .find((link) => link.textContent.startsWith("Photo")).click()""")
    browser.wait("document.body.dataset.subject")
    seen = browser.run(_SEEN)
    assert seen["title"] == "Photo & <b>Film</b>", "a name stays a text"
    assert browser.run("document.activeElement.id") == "subject-title"
    assert browser.run("document.title").startswith("Photo")
    browser.run("""[...document.querySelectorAll("#subject td a")]
        .find((link) => link.textContent.startsWith("mobilenet")).click()""")
    browser.wait("document.querySelector('#subject h2')?.textContent.startsWith('mobilenet')")
    browser.run("""document.querySelector("nav a[href='#models']").click()""")
    browser.wait("!document.body.dataset.subject")
    assert browser.run("document.getElementById('models').getBoundingClientRect().top") < 300


@in_browser
def test_what_is_no_model_says_why_and_an_unknown_name_says_so(
    browser: chromium.Tab, report: Path
) -> None:
    assert "opaque · encrypted" in str(at(browser, report, "#model/ababab")["lead"])
    nothing = at(browser, report, "#model/%3Cimg%20src=x%3E")
    assert nothing["title"] == "Not in this report"
    assert nothing["lead"] == "Nothing here is called “<img src=x>”."


@in_browser
def test_netron_is_a_command_that_a_shell_takes(browser: chromium.Tab, report: Path) -> None:
    assert at(browser, report, f"#model/{6:064x}")["code"] == "netron 'digits_small.tflite'"
    code = str(at(browser, report, f"#model/{1:064x}")["code"])
    assert code == (
        "unzip -p 'app-1.apk' 'assets/mobilenet_v1_224_quant.tflite' > "
        "'mobilenet_v1_224_quant.tflite'\nnetron 'mobilenet_v1_224_quant.tflite'"
    )


@in_browser
def test_one_of_them_in_a_file_of_its_own(
    browser: chromium.Tab, store: Store, tmp_path: Path
) -> None:
    out = tmp_path / "one.html"
    assert run(["report", store.url, "--model", _FACE[-8:], "-o", str(out)]) == 2
    assert run(["report", store.url, "--model", _FACE, "-o", str(out)]) == 0
    seen = at(browser, out, "")
    assert (seen["title"], seen["others"]) == ("face_detection_short.tflite", 1)
    assert browser.run("edgewise.now('files').rows") == 1, "of others what they are of it"
    assert run(["report", store.url, "--app", "Photo & <b>Film</b>", "-o", str(out)]) == 0
    seen = at(browser, out, "")
    assert seen["title"] == "Photo & <b>Film</b>"
    tables = seen["tables"]
    assert isinstance(tables, dict)
    assert len(tables["Models"]) == 4


def test_only_what_is_there_can_be_asked_for(
    store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", store.url, "--app", "no.such", "-o", str(tmp_path / "a.html")]) == 2
    assert "no app of the store is 'no.such'" in capfd.readouterr().err
    both = ["report", store.url, "--app", "a", "--model", "b", "-o", str(tmp_path / "a.html")]
    assert run(both) == 2


def test_layers_are_of_as_many_models_as_fit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "_LAYERS", 50)
    with Ask(store) as ask:
        made = subjects.Subjects(ask)
    assert made.data()["layered"] == (1, 3)
    layers = made.tables["layers"]
    assert layers["rows"] == 39
    files = made.tables["files"]["columns"]
    names = next(each for each in files if each["name"] == "model")["values"]
    owner = next(each for each in layers["columns"] if each["name"] == "file")["values"][0]
    assert names[owner] == "face_detection_short.tflite", "the measured one comes first"


_CUT = ("apps", "models", "evidence", "measurements", "accuracies", "placements")


def test_one_app_alone_leaves_the_rest_of_the_store_out(store: Store) -> None:
    with Ask(store, Only("app", "org.example.app1")) as ask:
        counts = [ask.one(f"select count(*) as n from {table}")["n"] for table in _CUT]
    assert counts == [1, 4, 3, 3, 1, 1]
