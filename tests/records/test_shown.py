"""Records as HTML: what is known is there, and nothing of a name gets out of its cell."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from edgewise import records
from edgewise.records import (
    App,
    Distribution,
    Evidence,
    Measurement,
    Model,
    Placement,
    Record,
    Target,
)
from edgewise.records.shown import BARS, COLUMNS, grid, summary, table

HOSTILE = '<script>alert("x")</script>\u202e\x1b[31m'
#: Of these elements and these attributes alone a page is made.
_PLAIN = {"div", "table", "thead", "tbody", "tr", "th", "td", "b", "p", "details", "summary"}


class _Read(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.depth += 1

    def handle_endtag(self, tag: str) -> None:
        self.depth -= 1

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(page: str) -> list[str]:
    """The texts of a page that consists of nothing but tables."""
    parser = _Read()
    parser.feed(page)
    parser.close()
    assert parser.elements <= _PLAIN and parser.attributes <= {"style", "open"}
    assert parser.depth == 0, "what is opened is closed"
    return parser.words


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_fields(name: str) -> None:
    kind: type[Record] = getattr(records, name)
    for column in COLUMNS[name]:
        assert column.partition(".")[0] in kind.__struct_fields__
    assert {"macs", "latency_ms.p50", "effective_accuracy"} == BARS


def test_an_app_shows_its_models_and_evidence() -> None:
    model = Model(path="a.tflite", format="tflite", status="parsed", macs=1_234_567)
    app = App(
        path="x.apk", package="org.example", models=(model, model),
        evidence=(Evidence(kind="framework", name="tflite", grade="class"),),
    )  # fmt: skip
    words = read(app._repr_html_())
    assert {"App", "org.example", "models (2)", "evidence (1)", "1,234,567", "tflite"} <= set(words)
    assert "label" not in words, "what is not known takes no room"


@pytest.mark.parametrize("shown", [summary, lambda record: table([record])])
def test_names_of_strangers_stay_text(shown: object) -> None:
    for record in (
        App(path=HOSTILE, package=HOSTILE, error=HOSTILE, notes=(HOSTILE,),
            models=(Model(path=HOSTILE, format=HOSTILE, ops={HOSTILE: 1}, reason=HOSTILE),)),
        Model(path="m", format="onnx", reason=HOSTILE, metadata={HOSTILE: HOSTILE}),
        Placement(model=HOSTILE, device="d", server="s", link=HOSTILE, reason=HOSTILE),
    ):  # fmt: skip
        words = "".join(read(shown(record)))  # type: ignore[operator]
        assert "script" in words
        assert "\x1b" not in words and "\u202e" not in words


def test_a_table_has_a_bar_for_the_share_of_the_largest() -> None:
    rows = [
        Measurement(model=name, sha256=None, target=Target(), latency_ms=Distribution(n=3, p50=ms))
        for name, ms in (("slow", 8.0), ("quick", 2.0))
    ]
    page = table([*rows, Measurement(model="none", sha256=None, target=Target(), status="failed")])
    assert "100.0%" in page and "25.0%" in page
    words = read(page)
    assert "latency ms p50" in words and "–" in words, "what failed has no number"
    assert "latency ms ci95 low" not in words, "a column that nobody has is left out"


def test_long_tables_and_long_texts_are_cut_and_say_so() -> None:
    page = table([Model(path="x" * 500, format="tflite", macs=n) for n in range(100)])
    words = read(page)
    assert "and 40 more" in words
    assert max(map(len, words)) == 120
    assert read(table([])) == ["nothing"]


def test_plain_rows() -> None:
    assert read(grid(("table", "rows"), [("models", 1200), (HOSTILE, 3)]))[:4] == [
        "table", "rows", "models", "1,200",
    ]  # fmt: skip
