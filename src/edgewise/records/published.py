"""What a paper states publicly, beside what comes out here."""

from __future__ import annotations

from typing import Any, Literal

from edgewise.records.base import Record

Agreement = Literal["yes", "no", "cannot tell"]


class PublishedFinding(Record, frozen=True):
    """One public statement of a paper, and the answer to the same question from data at hand.

    `theirs` and `ours` are numbers in `unit`, or words where one number does not tell it; `ours` is
    null where there is nothing to answer from. `where` is the place of the paper that was read. `n`
    counts what `ours` was computed of. `why` says what was counted, and where they differ, why.
    `details` are the rows that `ours` rests on.
    """

    paper: str
    statement: str
    theirs: float | str
    where: str
    ours: float | str | None
    unit: str
    n: int
    agrees: Agreement
    why: str
    details: tuple[dict[str, Any], ...] = ()
