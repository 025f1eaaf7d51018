"""Papers as data: what is read, what is refused, when a share agrees; those of the package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from edgewise.apps.recipes import gaugenn
from edgewise.errors import InputError
from edgewise.papers import (
    Answer,
    Paper,
    Statement,
    all_agree,
    beside,
    is_below,
    of_share,
    read_paper,
)
from edgewise.placement.recipes import guo2018
from edgewise.selection.recipes import cnnselect

STATED = Statement(
    query="share", statement="most", theirs=86.0, where="abstract", differs="other apps", unit="%"
)
PAPERS: tuple[tuple[Paper, Mapping[str, object]], ...] = (
    (gaugenn.PAPER, gaugenn.QUERIES),
    (cnnselect.PAPER, cnnselect.QUERIES),
    (guo2018.PAPER, guo2018.QUERIES),
)


@pytest.mark.parametrize(("paper", "queries"), PAPERS, ids=lambda each: getattr(each, "name", ""))
def test_every_statement_has_a_query_a_place_and_a_reason(
    paper: Paper, queries: Mapping[str, object]
) -> None:
    assert {each.query for each in paper.statement} == set(queries)
    for each in paper.statement:
        assert all((each.statement, each.where, each.differs, each.unit))
        # A number is only stated where it was read; words say that there is none.
        assert isinstance(each.theirs, float) or each.theirs
    assert paper.url.startswith("https://arxiv.org/abs/")


@pytest.mark.parametrize(
    ("part", "n", "agrees"),
    [(860, 1000, "yes"), (500, 1000, "no"), (4, 5, "cannot tell"), (1, 21, "no"),
     (0, 0, "cannot tell")],
)  # fmt: skip
def test_a_share_agrees_by_its_interval(part: int, n: int, agrees: str) -> None:
    answer = of_share(STATED, part, n, "models")
    assert (answer.agrees, answer.n) == (agrees, n)
    assert answer.ours == (None if n == 0 else pytest.approx(100 * part / n))
    assert "models" in answer.why


def test_few_tell_no_limit_and_one_that_differs_is_enough() -> None:
    assert [is_below(0, n, 0.25) for n in (4, 100)] == ["cannot tell", "yes"]
    assert [is_below(part, 100, 0.25) for part in (20, 60)] == ["cannot tell", "no"]
    assert all_agree(["yes", "yes"]) == "yes"
    assert all_agree(["yes", "cannot tell"]) == "cannot tell"
    assert all_agree(["cannot tell", "no", "yes"]) == "no"


def test_where_they_differ_the_reason_is_told() -> None:
    paper = Paper(
        name="p", title="t", authors="a", venue="v", url="u", read="r", statement=(STATED,)
    )

    def said(agrees: str) -> Iterable[str]:
        queries = {"share": lambda _stated, _of: Answer(1.0, 7, agrees, "counted")}  # type: ignore[arg-type]
        (found,) = beside(paper, queries, None)
        assert (found.theirs, found.where, found.unit, found.n) == (86.0, "abstract", "%", 7)
        return found.why

    assert said("yes") == "counted"
    assert said("no") == said("cannot tell") == "counted; other apps"


@pytest.mark.parametrize("text", ["name = ", "name = 'x'", "name = 'x'\nmore = 1"])
def test_a_file_that_is_no_paper(text: str, tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"p\.toml"):
        read_paper(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_paper(tmp_path / "none.toml")
