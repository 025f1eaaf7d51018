"""Fixtures that several rooms share."""

from __future__ import annotations

import gc
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import settings

SHARED = Path(__file__).resolve().parents[2] / "shared"
TESTS = Path(__file__).resolve().parent
#: Rooms whose tests measure or pace: one after the other, since beside one another they would
#: disturb each other's clocks. Side by side with them run the others, which wait for what has to
#: come, however long it takes.
ON_THE_CLOCK = ("client", "load", "network", "placement", "devices")
#: Their files that do none of that.
OFF_THE_CLOCK = frozenset(
    f"test_{name}.py"
    for name in (
        "breakeven", "capped", "catalogue", "client_rules", "computed", "link", "load_parts",
        "measured", "mix", "outputs", "pacing", "plainly", "recipe_networks", "streams",
        "synthetic", "traces", "verdict",
    )
)  # fmt: skip

#: Files that take half a minute, most of them for a few tests: begun last, one worker would run
#: them and the other would wait.
LONG = frozenset(
    ("demo/test_walk.py", "report/test_page.py", "selection/test_recommend.py",
     "server/test_cluster.py", "server/test_decisions.py", "server/test_pool_faults.py",
     "server/test_rest_openapi.py", "server/test_serve.py", "test_documentation.py",
     "test_examples.py", "test_results.py")
)  # fmt: skip

# The suite is the same every time: property tests draw the same examples in every run. `make fuzz`
# draws others, and says how a failure is repeated.
settings.register_profile("suite", derandomize=True, deadline=None, database=None)
settings.register_profile("fuzz", derandomize=False, deadline=None, print_blob=True)
settings.load_profile("suite")


def pytest_collection_finish() -> None:
    """What thousands of tests are made of stays to the end: no collection need look at it."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what may run side by side (pytest-xdist, as `make test` calls it): file by file, and
    first what takes longest (xdist itself would begin with the files of most tests)."""
    for item in items:
        file = item.path.relative_to(TESTS)
        group = "clock" if _on_the_clock(item) else str(file)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: (not _on_the_clock(item), not _is_long(item)))


def _is_long(item: pytest.Item) -> bool:
    return item.path.relative_to(TESTS).as_posix() in LONG


def _on_the_clock(item: pytest.Item) -> bool:
    room = item.path.relative_to(TESTS).parts[0]
    return room in ON_THE_CLOCK and item.path.name not in OFF_THE_CLOCK


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


@pytest.fixture(scope="session")
def known() -> Path:
    """Material with known answers. Use with the marker `corpus`."""
    return _beside("known")
