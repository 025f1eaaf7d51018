"""The page: whole in itself, complete, and safe whatever names the store holds."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from edgewise.errors import InputError
from edgewise.records import App, Evidence, Measurement, Model, Target
from edgewise.report import vega, write
from edgewise.store import Store, answer

_NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u2028.tflite"


class Page(HTMLParser):
    """What a browser with scripts would make of the tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = self._without = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._without = self._without or tag == "noscript"
        if self._without:
            return
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False
        self._without = self._without and tag != "noscript"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def data(self) -> dict[str, Any]:
        decoded = json.loads(self.scripts[0])
        assert isinstance(decoded, dict)
        return decoded

    def packs(self) -> dict[str, dict[str, Any]]:
        """All tables by name, those that are compressed too."""
        blocks = [attributes.get("data-pack") for attributes in self.all("script")]
        return self.data()["tables"] | {
            name: json.loads(zlib.decompress(base64.b64decode(text), -zlib.MAX_WBITS))
            for name, text in zip(blocks, self.scripts, strict=True)
            if name is not None
        }

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of every table as objects, by title."""
        packs = self.packs()
        return {
            str(place["data-title"]): objects(packs[str(place["data-table"])])
            for place in self.all("div")
            if "data-table" in place
        }


def objects(table: dict[str, Any]) -> list[dict[str, Any]]:
    columns = {
        each["name"]: each["values"] if "values" in each
        else [each["texts"][code] for code in each["codes"]]
        for each in table["columns"]
    }  # fmt: skip
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


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
        "subject", "verdict", "overview", "apps", "shipped", "models", "reuse", "cost", "layers",
        "weights", "unseen",
    ]  # fmt: skip


def test_all_four_outcomes_are_counted(text: str) -> None:
    assert "3 opaque, 3 rejected, 0 not examined" in text
    assert "no end-of-central-directory record" in text


def test_every_picture_has_its_numbers_and_says_what_it_shows(page: Page) -> None:
    drawn = [d for d in page.all("div") if d.get("class") == "chart"]
    assert len(drawn) == len(page.data()["charts"]) == len(page.all("figure"))
    assert all(chart.get("aria-label") and chart.get("role") == "img" for chart in drawn)
    tables, captions = page.all("table"), page.all("caption")
    assert len(tables) == len(captions) == len(page.rows()) > len(drawn)


def test_every_picture_is_there_without_scripts_and_on_paper(page: Page) -> None:
    stills = [str(image["src"]) for image in page.all("img")]
    assert len(stills) == len(page.all("figure"))
    for still in stills:
        kind, _, content = still.partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert base64.b64decode(content).startswith(b"<svg")


def test_a_chart_draws_rows_of_its_table(page: Page) -> None:
    for chart in page.data()["charts"].values():
        assert 0 < chart["rows"] <= page.packs()[chart["table"]]["rows"]
        assert chart["every"] == 1


def test_unknown_work_is_not_zero(page: Page) -> None:
    rows = page.rows()["Models"]
    assert next(row for row in rows if row["model"] == "text_encoder.onnx")["macs"] is None


def test_the_query_that_it_shows_gives_its_numbers(text: str, page: Page, survey: Store) -> None:
    queries = re.findall(r"edgewise query</code></summary>\n<pre>(.*?)</pre>", text, re.DOTALL)
    assert len(queries) == len(page.all("table"))
    with survey.connect() as connection:
        for query, expected in zip(queries, page.rows().values(), strict=True):
            columns, rows = answer(connection, html.unescape(query), survey.url)
            got = [dict(zip(columns, row, strict=True)) for row in rows]
            assert json.loads(json.dumps(got)) == expected


def test_work_of_a_batch_counts_every_item(page: Page) -> None:
    rows = page.rows()["Work against time"]
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
    blocks = [each for each in page.all("script") if "type" in each]
    assert len(page.scripts) - len(blocks) == 4  # the page's own; Vega is a block until it draws
    assert not [a for tag, a in page.tags if "onerror" in a or (tag == "img" and a["src"] == "x")]
    assert {row["dtype"] for row in page.rows()["Weights by number type"]} == {_NASTY}


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
    monkeypatch.setattr("edgewise.report.models.TABLE_ROWS", 30)
    monkeypatch.setattr("edgewise.report.page.DRAWN_ROWS", 20)
    store = Store.open(str(tmp_path / "store"), create=True)
    store.append(
        Model(path=f"m{n}.tflite", format="tflite", sha256=f"{n:064x}", macs=n + 1, parameters=9)
        for n in range(47)
    )
    text = made(store, tmp_path)
    page = Page(text)
    assert "17 more rows: the page" in text, "30 are there without scripts"
    counts = {(each["rows"], each["total"]) for each in page.packs().values()}
    assert {(30, 47), (47, 47)} < counts, "the table of models, and the chart's"
    assert "Drawn are 16 of 47 rows, evenly picked in the order of the rows." in text
    (chart,) = [each for each in page.data()["charts"].values() if each["every"] > 1]
    assert (chart["rows"], chart["every"]) == (16, 3)


def test_large_tables_are_compressed(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"), create=True)
    store.append(App(path=f"{n}.apk", label=f"App {n}", sha256=f"{n:064x}") for n in range(900))
    page = Page(made(store, tmp_path))
    assert page.data()["tables"].keys() < page.packs().keys()
    rows = page.rows()["Apps"]
    assert sorted(row["app"] for row in rows) == sorted(f"App {n}" for n in range(900))


def test_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"), create=True)
    store.append(
        Model(path=f"{folder}/model.tflite", format="tflite", sha256=folder * 32, size_bytes=1)
        for folder in ("ab", "cd")
    )
    rows = Page(made(store, tmp_path)).rows()["Models"]
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


def test_what_draws_charts_is_kept_between_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda snippet: f"made: {snippet}")
    made = vega.bundle.__wrapped__()
    (kept,) = (tmp_path / "edgewise").iterdir()
    assert made.startswith("made: ") and kept.read_text() == made
    kept.write_text("kept")
    assert vega.bundle.__wrapped__() == "kept"
    kept.write_bytes(b"\xff")
    assert vega.bundle.__wrapped__() == made
