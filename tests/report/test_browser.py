"""The page in a real browser: it draws every chart, its tables work, and it asks nobody for
anything."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import chromium
from edgewise.records import App, Model
from edgewise.report import write
from edgewise.store import Store

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="no chromium here")

#: What a reader's clicks save is kept in `saved` instead; the functions are a reader's hands.
_READER = """
window.saved = [];
HTMLAnchorElement.prototype.click = function () { saved.push([this.download, this.href]); };
window.blobs = [];
URL.createObjectURL = (blob) => `blob:${blobs.push(blob) - 1}`;
window.rows = (title) => document.querySelector(`[data-table][data-title="${title}"]`);
window.headings = (title) => [...rows(title).querySelectorAll("th")];
window.texts = (title, heading) => {
  const place = headings(title).findIndex((each) => each.textContent === heading);
  const lines = [...rows(title).querySelectorAll("tbody tr")];
  return lines.map((line) => line.cells[place].textContent);
};
window.sort = (title, heading) =>
  headings(title).find((each) => each.textContent === heading).querySelector("button").click();
window.put = (field, value, event) => {
  field.value = value;
  field.dispatchEvent(new Event(event));
};
window.said = (title) => rows(title).querySelector(".said").textContent;
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Tab]:
    with chromium.tab() as tab:
        tab.screen(1200)
        yield tab


def opened(browser: chromium.Tab, page: Path) -> chromium.Tab:
    browser.console.clear()
    browser.requests.clear()
    browser.open(page.as_uri())
    browser.wait("document.body.dataset.complete")
    browser.run(_READER)
    return browser


@pytest.fixture(scope="module")
def report(survey: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("browser") / "report.html"
    write(survey, page)
    return page


@pytest.fixture
def page(browser: chromium.Tab, report: Path) -> Iterator[chromium.Tab]:
    yield opened(browser, report)
    assert browser.console == []
    assert browser.asked == []


def test_every_chart_is_drawn_and_nothing_is_fetched(page: chromium.Tab) -> None:
    charts, drawn, svg, stills = page.run("""[
      document.querySelectorAll(".chart").length,
      document.querySelectorAll('.chart[data-drawn="true"]').length,
      document.querySelectorAll(".chart svg").length,
      [...document.querySelectorAll("img.still")].filter((each) => each.naturalWidth > 100).length,
    ]""")
    assert charts > 5
    assert drawn == svg == stills == charts


def test_a_page_that_asks_is_seen_asking(browser: chromium.Tab, tmp_path: Path) -> None:
    page = tmp_path / "asks.html"
    page.write_text('<img src="http://127.0.0.1:9/x.png">', encoding="utf-8")
    browser.requests.clear()
    browser.open(page.as_uri())
    assert browser.asked == ["http://127.0.0.1:9/x.png"]
    assert browser.console, "and its failure is seen"


def test_tables_sort(page: chromium.Tab) -> None:
    before = page.run("texts('Models', 'MACs')")
    page.run("sort('Models', 'model')")
    names = page.run("texts('Models', 'model')")
    assert (names[0], names[-1]) == ("digits_small.tflite", "text_encoder.onnx")
    page.run("sort('Models', 'MACs')")
    upwards = page.run("texts('Models', 'MACs')")
    page.run("sort('Models', 'MACs')")
    downwards = page.run("texts('Models', 'MACs')")
    assert upwards[:2] == ["81.9 k", "31.1 M"], "by value, not by text"
    assert upwards[-1] == downwards[-1] == "–", "the unknown is last either way"
    assert downwards[:-1] == upwards[-2::-1]
    assert sorted(before) == sorted(upwards), "the script writes numbers as the page did before"


def test_charts_are_saved(page: chromium.Tab) -> None:
    buttons = page.run("""(() => {
      const buttons = [...document.querySelectorAll("figure > .save button")];
      for (const button of buttons) button.click();
      return buttons.length;
    })()""")
    page.wait(f"saved.length === {buttons}")
    assert buttons == 2 * page.run("document.querySelectorAll('.chart').length")
    for name, url in page.run("saved"):
        head, _, content = url.partition(",")
        if name.endswith(".png"):
            assert head == "data:image/png;base64"
            assert base64.b64decode(content).startswith(b"\x89PNG")
        else:
            assert head == "data:image/svg+xml;charset=utf-8"
            assert unquote(content).startswith("<svg")


def saved(page: chromium.Tab, title: str, kind: str) -> tuple[str, str]:
    """The name and the text of a table's download."""
    page.run(f"""[...rows({json.dumps(title)}).querySelectorAll(".save button")]
        .find((button) => button.textContent === {json.dumps(kind)}).click()""")
    name, url = page.run("saved.at(-1)")
    return name, page.run(f"blobs[{url.removeprefix('blob:')}].text()")


def _app(number: int) -> App:
    model = Model(path=f"{number}.apk!/m.tflite", format="tflite", sha256=f"{number % 7:064x}")
    return App(
        path=f"{number}.apk", sha256=f"{number:064x}", size_bytes=1000 * number,
        package=f"org.app{number}", version_name=f"{'long ' * 20}{number % 2}",
        kind="ipa" if number % 10 == 0 else "apk",
        label="=1+2" if number == 1199 else f"App <b>{number}</b>",
        models=(model,) if number < 9 else (),
    )  # fmt: skip


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 1200 apps, of names that a spreadsheet and a browser must not believe."""
    folder = tmp_path_factory.mktemp("market")
    store = Store.open(str(folder / "store"), create=True)
    store.append((_app(number) for number in range(1200)), per_part=1200)
    page = folder / "report.html"
    write(store, page)
    return page


def test_a_large_table_turns_over_filters_and_downloads(
    browser: chromium.Tab, market: Path
) -> None:
    page = opened(browser, market)
    assert page.run("said('Apps')") == "1 to 25 of 1,200 rows"
    assert page.run("texts('Apps', 'app').length") == 25
    page.run("rows('Apps').querySelectorAll('.pager button')[1].click()")
    assert page.run("said('Apps')") == "26 to 50 of 1,200 rows"
    page.run("put(rows('Apps').querySelector('.pager select'), '500', 'change')")
    assert page.run("texts('Apps', 'app').length") == 500
    page.run("put(rows('Apps').querySelector('input[type=search]'), 'APP119', 'input')")
    assert page.run("said('Apps')") == "11 rows, of 1,200"
    page.run(
        "put(rows('Apps').querySelector('.filters label:nth-of-type(2) select'), '1', 'change')"
    )
    assert page.run("texts('Apps', 'kind')") == ["ipa"], "and of one kind"
    page.run(
        "put(rows('Apps').querySelector('.filters label:nth-of-type(2) select'), '', 'change')"
    )
    page.run("sort('Apps', 'size')")
    name, text = saved(page, "Apps", "CSV")
    found = list(csv.DictReader(io.StringIO(text)))
    assert name == "apps.csv"
    assert [row["size_bytes"] for row in found] == [
        "119000", *(str(1000 * n) for n in range(1190, 1200))
    ], "the rows that are asked for, in their order, with raw numbers"  # fmt: skip
    assert found[-1]["app"] == "'=1+2", "no formula"
    assert found[1]["app"] == "App <b>1190</b>", "a name stays a text"
    objects: list[dict[str, Any]] = json.loads(saved(page, "Apps", "JSON")[1])
    assert objects[0]["size_bytes"] == 119000
    page.run("put(rows('Apps').querySelector('input[type=search]'), 'no such', 'input')")
    assert page.run("said('Apps')") == "0 rows, of 1,200"
    assert page.console == []


def test_on_paper_a_table_is_whole_or_said_to_be_in_the_file(
    browser: chromium.Tab, market: Path
) -> None:
    page = opened(browser, market)
    page.run("dispatchEvent(new Event('beforeprint'))")
    assert page.run("said('Apps')").startswith("1,200 rows: too many for paper, in the file")
    assert page.run("rows('Apps').classList.contains('unprinted')")
    page.run("dispatchEvent(new Event('afterprint'))")
    page.run("window.print = () => window.dispatchEvent(new Event('beforeprint'))")
    page.run("[...document.querySelectorAll('header button')].at(-1).click()")
    page.wait("texts('Apps', 'app').length === 1200")
    assert page.run("said('Apps')") == "1,200 rows"
    assert page.run("[...document.querySelectorAll('details:not(.sql)')].every((e) => e.open)")
    page.run("dispatchEvent(new Event('afterprint'))")
    assert page.run("texts('Apps', 'app').length") == 25


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_a_phone(browser: chromium.Tab, market: Path, dark: bool) -> None:
    browser.screen(390, 844, dark=dark)
    try:
        page = opened(browser, market)
        assert page.run("document.documentElement.scrollWidth") <= 390
    finally:
        browser.screen(1200)


def test_controls_have_names_and_tables_say_how_they_are_sorted(page: chromium.Tab) -> None:
    unnamed = page.run("""[...document.querySelectorAll("button, input, select, a")]
      .filter((each) => !(each.textContent.trim() || each.ariaLabel || each.labels?.length))
      .map((each) => each.outerHTML)""")
    assert unnamed == []
    page.run("sort('Models', 'MACs')")
    assert page.run("rows('Models').querySelectorAll('th[aria-sort=ascending]').length") == 1
    assert page.run("rows('Models').querySelector('.said').getAttribute('role')") == "status"
