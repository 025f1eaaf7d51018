"""Fixtures that several rooms share."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _beside(folder: str) -> Path:
    path = SHARED / folder
    if not path.is_dir():
        pytest.skip(f"no {folder} beside the checkout")
    return path


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The reference corpus: real packages and models. Use with the marker `corpus`."""
    return _beside("corpus")


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Published numbers and traces. Use with the marker `corpus`."""
    return _beside("data")


@pytest.fixture(scope="session")
def digits() -> Path:
    """The demo's family of models, which comes with the package."""
    return Path(str(files("edgewise"))) / "demo" / "data" / "digits"
