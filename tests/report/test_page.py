"""The page: whole in itself, complete, and safe whatever names the store holds."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from edgewise.errors import InputError
from edgewise.records import App, Evidence, Measurement, Model, Target
from edgewise.report import parts, write
from edgewise.store import Store

_NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u2028.tflite"


class Page(HTMLParser):
    """What a browser would make of the tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def data(self) -> dict[str, Any]:
        decoded = json.loads(self.scripts[0])
        assert isinstance(decoded, dict)
        return decoded

    def downloads(self, ending: str) -> dict[str, bytes]:
        return {
            str(link["download"]): base64.b64decode(str(link["href"]).partition(",")[2])
            for link in self.all("a")
            if str(link.get("download", "")).endswith(ending)
        }


def made(store: Store, folder: Path) -> str:
    out = folder / "report.html"
    write(store, out)
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(survey: Store, tmp_path_factory: pytest.TempPathFactory) -> str:
    return made(survey, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_all_that_it_shows_is_inside(page: Page) -> None:
    reached = [
        str(attributes.get(name))
        for _, attributes in page.tags
        for name in ("src", "href", "action", "data", "poster", "srcset")
        if name in attributes
    ]
    assert [each for each in reached if not each.startswith(("#", "data:"))] == []
    assert not page.all("link")


def test_its_policy_forbids_requests_and_foreign_scripts(page: Page) -> None:
    (policy,) = (m["content"] for m in page.all("meta") if m.get("http-equiv"))
    assert policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy
    for script in page.scripts[1:]:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_every_section_that_has_an_answer_is_there(page: Page) -> None:
    names = [s["id"] for s in page.all("section")]
    assert names == [
        "verdict", "overview", "apps", "shipped", "models", "reuse", "cost", "layers", "weights"
    ]  # fmt: skip


def test_all_four_outcomes_are_counted(text: str) -> None:
    assert "3 opaque, 3 rejected, 0 not examined" in text
    assert "no end-of-central-directory record" in text


def test_every_picture_has_its_numbers_and_says_what_it_shows(page: Page) -> None:
    charts = [d for d in page.all("div") if d.get("class") == "chart"]
    assert len(charts) == len(page.data()["specs"]) == len(page.all("figure"))
    assert all(chart.get("aria-label") and chart.get("role") == "img" for chart in charts)
    tables, captions = page.all("table"), page.all("caption")
    assert len(tables) == len(captions) > len(charts)
    assert len(page.downloads(".csv")) == len(page.downloads(".json")) == len(tables)


def test_the_numbers_are_those_of_the_picture(page: Page) -> None:
    downloads = page.downloads(".json")
    taken = [json.loads(content) for content in downloads.values()]
    for spec in page.data()["specs"].values():
        assert spec["data"]["values"] in taken


def test_csv_holds_the_raw_numbers(page: Page) -> None:
    rows = list(csv.DictReader(io.StringIO(page.downloads(".csv")["models.csv"].decode())))
    mobilenet = next(row for row in rows if row["model"] == "mobilenet_v1_224_quant.tflite")
    assert (mobilenet["macs"], mobilenet["places"]) == ("568740352", "2")


def test_unknown_work_is_not_zero(page: Page) -> None:
    rows = json.loads(page.downloads(".json")["models.json"])
    assert next(row for row in rows if row["model"] == "text_encoder.onnx")["macs"] is None


def test_the_query_that_it_shows_gives_its_numbers(text: str, page: Page, survey: Store) -> None:
    queries = re.findall(r"edgewise query</code></summary>\n<pre>(.*?)</pre>", text, re.DOTALL)
    assert len(queries) == len(page.all("table"))
    taken = [json.loads(content) for content in page.downloads(".json").values()]
    for query, expected in zip(queries, taken, strict=True):
        columns, rows = survey.query(html.unescape(query))
        got = [dict(zip(columns, row, strict=True)) for row in rows]
        assert json.loads(json.dumps(got)) == expected


def test_work_of_a_batch_counts_every_item(page: Page) -> None:
    rows = json.loads(page.downloads(".json")["work-against-time.json"])
    by_batch = {r["batch"]: r["macs"] for r in rows if r["model"] == "RFB-320.onnx"}
    assert by_batch == {1: 100_418_560, 4: 401_674_240}


def test_names_of_strangers_stay_text(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / _NASTY.replace("/", "_")), create=True)
    bad = Model(
        path=f"{_NASTY}!/{_NASTY}", format="tflite", sha256="aa", size_bytes=9, macs=9,
        parameters=9, weight_bytes=9, weight_dtypes={_NASTY: 9}, quantization="none", task=_NASTY,
    )  # fmt: skip
    evidence = Evidence(kind="framework", name=_NASTY, grade="class")
    store.append(
        [
            App(path=path, label=_NASTY, models=(bad,), evidence=(evidence,), error=_NASTY)
            for path in (_NASTY, f"2{_NASTY}")
        ]
    )
    store.append(
        Measurement(
            model=_NASTY, sha256="aa", target=Target(runtime=_NASTY), status="failed",
            reason=_NASTY,
        )
    )  # fmt: skip
    page = Page(made(store, tmp_path))
    assert len(page.scripts) == 4  # the data, Vega, and the page's own two
    assert not [a for tag, a in page.tags if "onerror" in a or (tag == "img" and a["src"] == "x")]
    assert "weights-by-number-type.csv" in page.downloads(".csv")
    values = [spec["data"]["values"] for spec in page.data()["specs"].values()]
    assert any(row.get("dtype") == _NASTY for rows in values for row in rows)


def test_a_name_is_no_formula_in_a_spreadsheet(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"), create=True)
    store.append(App(path="a.apk", label='=HYPERLINK("http://x")'))
    rows = Page(made(store, tmp_path)).downloads(".csv")["apps.csv"].decode()
    assert "\n\"'=HYPERLINK" in rows.replace("\r", "")


def test_an_empty_store_says_so_kindly(tmp_path: Path) -> None:
    text = made(Store.open(str(tmp_path / "store"), create=True), tmp_path)
    assert "No app, model or measurement is in this store" in text
    assert "edgewise scan app.apk --store" in text
    assert "<figure" not in text
    assert len(text) < 20_000  # nothing to draw, nothing to draw it with


def test_a_store_of_nothing_but_failures_still_tells(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"), create=True)
    store.append(Model(path="x.tflite", format="tflite", status="rejected", reason="too short"))
    failed = Measurement(
        model="x.tflite", sha256=None, target=Target(), status="failed", reason="crashed: SIGSEGV"
    )
    store.append(failed)
    text = made(store, tmp_path)
    assert "too short" in text
    assert "crashed: SIGSEGV" in text


def test_a_large_store_is_capped_and_says_by_how_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgewise.report.models.TABLE_ROWS", 10)
    store = Store.open(str(tmp_path / "store"), create=True)
    store.append(
        Model(path=f"m{n}.tflite", format="tflite", sha256=f"{n:064x}", macs=n + 1, parameters=9)
        for n in range(parts.FIGURE_ROWS + 7)
    )
    text = made(store, tmp_path)
    assert f"{parts.FIGURE_ROWS - 3:,} more rows are left out here" in text
    assert "7 more rows are left out here" in text


def test_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"), create=True)
    store.append(
        Model(path=f"{folder}/model.tflite", format="tflite", sha256=folder * 32, size_bytes=1)
        for folder in ("ab", "cd")
    )
    rows = json.loads(Page(made(store, tmp_path)).downloads(".json")["models.json"])
    assert {row["model"] for row in rows} == {"model.tflite · ababab", "model.tflite · cdcdcd"}


def test_where_it_cannot_write_it_says_so(survey: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        write(survey, tmp_path / "none" / "report.html")


def test_every_figure_says_n_unit_origin_and_leads_to_its_rows(text: str, page: Page) -> None:
    told = re.findall(r'<p class="facts">n: (.+?) · unit: (.+?) · origin: (.+?) · <a href="#', text)
    charts = [tag for tag in page.all("div") if tag.get("class") == "chart"]
    assert len(told) == len(charts) > 5
    assert all(re.match(r"\d", n) for n, _, _ in told)
    rows = {str(tag["href"]) for tag in page.all("a") if str(tag.get("href")).endswith("-rows")}
    assert rows == {f"#{tag['id']}-rows" for tag in charts}
    assert all(f'<div id="{row[1:]}">' in text for row in rows)
