"""Comparisons of small models, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fake_server import Fake

from edgewise.family import Preprocess
from edgewise.placement.comparison import Comparison
from edgewise.placement.server import Wanted

DIGITS = Preprocess(scale=(255.0,))


def wanted(digits: Path, **more: Any) -> Comparison:
    given: dict[str, Any] = {
        "models": (str(digits / "digits-s.tflite"),), "given": (digits / "heldout.npz",),
        "how": DIGITS, "requests": 3, "processes": 2,
    }  # fmt: skip
    return Comparison(**given | more)


def fake(digits: Path, server: Fake, **more: Any) -> Comparison:
    more = {"processes": 1, **more}
    return wanted(digits, server=Wanted(server.url, "m"), **more)
