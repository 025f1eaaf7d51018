"""How many threads one inference may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgewise.errors import UsageError
from edgewise.server.settings import ServerSettings


def test_at_least_one() -> None:
    assert ServerSettings().threads == 1
    with pytest.raises(UsageError, match="0 threads"):
        ServerSettings(threads=0)


def test_reaches_every_worker(digits: Path) -> None:
    pytest.importorskip("onnxruntime")
    from edgewise.server.setup import Deployment

    deployment = Deployment([digits / "family.toml"], ServerSettings(threads=3))
    runnables = deployment._reading().runnables.values()
    assert {runnable.threads for runnable in runnables} == {3}
