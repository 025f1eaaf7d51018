"""Limits on what an app may ship, from a TOML file.

::

    unknown = "allow"            # a cost that is not known passes; else it is a violation

    [app]                        # all models of the app together
    models = 3
    size_bytes = 10_000_000
    weight_bytes = 8_000_000

    [model]                      # each model
    size_bytes = 5_000_000
    macs = 600e6
    parameters = 5e6
    weight_bytes = 5_000_000
    peak_activation_bytes = 20e6
    quantization = ["full", "weights"]
    status = ["parsed"]
    reach = ["loaded", "referenced"]

    [deny]                       # evidence by name, `*` for all of its kind
    cloud_api = ["*"]
    packer = ["*"]

    [allow]                      # of these kinds, nothing but
    framework = ["tflite"]

    [growth]                     # beside `--baseline`: by how much it may be worse
    size_bytes = "5%"
    macs = 1_000_000
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from edgewise.errors import InputError, UsageError
from edgewise.records import EvidenceKind, Reach, Status


class AppLimits(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """On all models of an app together."""

    models: float | None = None
    size_bytes: float | None = None
    weight_bytes: float | None = None


class ModelLimits(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """On each model: the most of a number, or which of some words."""

    size_bytes: float | None = None
    macs: float | None = None
    parameters: float | None = None
    weight_bytes: float | None = None
    peak_activation_bytes: float | None = None
    quantization: tuple[str, ...] | None = None
    status: tuple[Status, ...] | None = None
    reach: tuple[Reach, ...] | None = None


class Budget(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """See the module. `growth` is a number of units, or a percentage as text."""

    app: AppLimits = AppLimits()
    model: ModelLimits = ModelLimits()
    deny: dict[EvidenceKind, tuple[str, ...]] = msgspec.field(default_factory=dict)
    allow: dict[EvidenceKind, tuple[str, ...]] = msgspec.field(default_factory=dict)
    growth: dict[str, float | str] = msgspec.field(default_factory=dict)
    unknown: str = "refuse"


#: Costs that are compared with a baseline.
COMPARED = ("size_bytes", "macs", "parameters", "weight_bytes", "peak_activation_bytes")


def read_budget(path: str) -> Budget:
    """Read a budget.

    Raises:
        InputError: the file cannot be read.
        UsageError: it is no budget; says where.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        budget = msgspec.convert(tomllib.loads(text), Budget)
        for name, growth in budget.growth.items():
            if name not in COMPARED:
                raise ValueError(f"growth of {name!r}: one of {', '.join(COMPARED)}")
            allowed(growth, 0)
        if budget.unknown not in ("refuse", "allow"):
            raise ValueError('unknown is "refuse" or "allow"')
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise UsageError(f"{path}: {error}", hint="docs/check.md shows a budget") from error
    return budget


def allowed(growth: float | str, before: float) -> float:
    """The most that something of `before` may grow to.

    Raises:
        ValueError: it is neither a number nor a percentage.
    """
    if isinstance(growth, str):
        number = growth.strip()
        if not number.endswith("%"):
            raise ValueError(f"{growth!r} is neither a number nor a percentage such as '5%'")
        return before * (1 + float(number[:-1]) / 100)
    return before + growth
