"""What changed between two versions of an app, and what a budget does not allow."""

from __future__ import annotations

from typing import Literal

from edgewise.records.apps import Owner, Reach
from edgewise.records.base import Record
from edgewise.records.related import Kinship


class Cost(Record, frozen=True):
    """What a model costs, as far as it is known."""

    size_bytes: int | None = None
    macs: int | None = None
    parameters: int | None = None
    weight_bytes: int | None = None
    peak_activation_bytes: int | None = None
    quantization: str | None = None


class Change(Record, frozen=True):
    """One difference of two apps.

    `subject` is a model or a piece of evidence. `old` and `new` are paths of models in their app,
    or what evidence says (version, sizes). `relation` says what a model became of another; None
    where the two seem to have nothing in common; `notes` say how much, or how that was told.
    """

    app: str
    subject: Literal["app", "model", "evidence"]
    change: Literal["added", "removed", "replaced", "moved", "changed"]
    name: str
    old: str | None = None
    new: str | None = None
    relation: Kinship | None = None
    before: Cost | None = None
    after: Cost | None = None
    reach_before: Reach | None = None
    reach_after: Reach | None = None
    owner_before: Owner | None = None
    owner_after: Owner | None = None
    notes: tuple[str, ...] = ()


class Violation(Record, frozen=True):
    """A limit that an app exceeds. `limit` and `value` are of the same unit, which `rule`'s last
    word names; `value` is None where it is not known, so that the limit cannot be shown to hold."""

    app: str
    rule: str
    subject: str
    message: str
    limit: float | str | None = None
    value: float | str | None = None
