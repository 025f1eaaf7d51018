"""Fixtures that several rooms share."""

from __future__ import annotations

import gc
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

SHARED = Path(__file__).resolve().parents[2] / "shared"
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
    """First what takes longest."""
    items.sort(key=lambda item: _place(_file(item.nodeid)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Say what may run side by side (pytest-xdist, as `make test` calls it): file by file. The
    groups of its own `--dist loadgroup` it writes where pytest 9.2 no longer looks."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = _file(nodeid)
            return "clock" if _on_the_clock(file) else file

    return ByFile(config, log)


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0].removeprefix("tests/")


def _place(file: str) -> tuple[bool, bool]:
    return not _on_the_clock(file), file not in LONG


def _on_the_clock(file: str) -> bool:
    room, _, name = file.partition("/")
    return room in ON_THE_CLOCK and Path(name).name not in OFF_THE_CLOCK


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
