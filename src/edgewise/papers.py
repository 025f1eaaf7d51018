"""What papers state publicly, as data, beside what comes out here.

A paper is a TOML file beside the code that repeats it: its statements, each with the words or the
number that were published, where they stand, and the name of the query that answers it here. Only
what is public and was read is a statement: a figure that nobody could look up is left out.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from edgewise.errors import InputError
from edgewise.intervals import wilson
from edgewise.records import Agreement, PublishedFinding

T = TypeVar("T")
#: An interval of a share that is wider tells nothing by holding the paper's.
_WIDEST = 0.3


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One finding as it was published. `theirs` is its number, or its words where it has none;
    `where` the place that was read; `query` answers it here; `differs` says why another answer is
    no wonder."""

    query: str
    statement: str
    theirs: float | str
    where: str
    differs: str
    unit: str = ""


class Paper(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A paper. `read` says what of it was read and what was not; `figures` begin the names that
    `edgewise plot` has for its kinds of figures."""

    name: str
    title: str
    authors: str
    venue: str
    url: str
    read: str
    statement: tuple[Statement, ...]
    figures: tuple[str, ...] = ()


class Answer(NamedTuple):
    """What comes out here: of `n` things, whether it agrees, what more there is to say, and the
    rows that it rests on."""

    ours: float | str | None
    n: int
    agrees: Agreement
    why: str = ""
    details: tuple[dict[str, Any], ...] = ()


def read_paper(file: Path) -> Paper:
    """The paper that a TOML file states.

    Raises:
        InputError: it cannot be read, or lacks something.
    """
    try:
        return msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Paper)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"the paper {file} cannot be read: {error}") from error
    except msgspec.ValidationError as error:
        raise InputError(f"the paper {file}: {error}") from error


def beside(
    paper: Paper, queries: Mapping[str, Callable[[Statement, T], Answer]], of: T
) -> list[PublishedFinding]:
    """Every statement of a paper beside what its query says of `of`, in the paper's order.

    Raises:
        KeyError: a statement names a query that is none: a mistake in the paper's file.
    """
    return [_beside(paper, each, queries[each.query](each, of)) for each in paper.statement]


def _beside(paper: Paper, stated: Statement, here: Answer) -> PublishedFinding:
    why = [here.why, *([stated.differs] if here.agrees != "yes" else [])]
    return PublishedFinding(
        paper=paper.name,
        statement=stated.statement,
        theirs=stated.theirs,
        where=stated.where,
        ours=here.ours,
        unit=stated.unit,
        n=here.n,
        agrees=here.agrees,
        why="; ".join(filter(None, why)),
        details=here.details,
    )


def of_share(stated: Statement, part: int, n: int, of: str) -> Answer:
    """A share in percent beside the paper's: by Wilson's interval, the `n` taken as independent.

    One that the interval leaves out differs; one that a wide interval holds tells nothing.
    """
    if n == 0:
        return Answer(None, 0, "cannot tell", f"there are no {of} here")
    low, high = (100 * end for end in wilson(part / n, n))
    why = f"{part:,} of {n:,} {of}, 95 % interval {low:.1f} to {high:.1f} %"
    if not low <= float(stated.theirs) <= high:
        return Answer(100 * part / n, n, "no", why)
    if high - low > 100 * _WIDEST:
        return Answer(100 * part / n, n, "cannot tell", f"{why}: too few")
    return Answer(100 * part / n, n, "yes", why)


def is_below(part: int, n: int, limit: float) -> Agreement:
    """Whether a share lies below a limit, both ends of Wilson's interval together; few cannot
    tell."""
    low, high = wilson(part / n, n)
    if high < limit:
        return "yes"
    return "no" if low >= limit else "cannot tell"


def all_agree(each: Iterable[Agreement]) -> Agreement:
    """One that differs is enough; one that cannot tell leaves the rest open."""
    said = set(each)
    return "no" if "no" in said else "cannot tell" if "cannot tell" in said else "yes"
