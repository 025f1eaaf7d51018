"""The page in a real browser: it draws every chart and asks nobody for anything."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edgewise.report import write
from edgewise.store import Store

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


def browsed(page: Path, profile: Path, *options: str) -> str:
    assert _CHROMIUM
    done = subprocess.run(
        [
            _CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={profile}", "--virtual-time-budget=8000",
            "--enable-logging=stderr", *options, page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    console = [line for line in done.stderr.splitlines() if ":CONSOLE:" in line]
    # Vega-Lite says so of every chart whose height follows its rows, as is meant.
    assert [line for line in console if 'Dropping "fit-y"' not in line] == []
    return done.stdout


def asked(log: Path) -> list[str]:
    """The requests that a page made, by the browser's own log; its own errands are no origin's."""
    lines = log.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if '"initiator":"' in line and "not an origin" not in line]


@pytest.mark.skipif(_CHROMIUM is None, reason="no chromium here")
def test_every_chart_is_drawn_and_nothing_is_fetched(survey: Store, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write(survey, page)
    log = tmp_path / "net.json"
    dom = browsed(page, tmp_path / "profile", "--dump-dom", f"--log-net-log={log}")
    charts = page.read_text(encoding="utf-8").count('class="chart"')
    assert charts > 5
    assert dom.count('data-drawn="true"') == charts
    assert dom.count("<svg") >= charts
    assert dom.count('class="paper') == charts, "each has its light copy for paper"
    assert asked(log) == []


@pytest.mark.skipif(_CHROMIUM is None, reason="no chromium here")
def test_a_page_that_asks_is_seen_asking(tmp_path: Path) -> None:
    page = tmp_path / "asks.html"
    page.write_text('<img src="http://127.0.0.1:9/x.png">', encoding="utf-8")
    log = tmp_path / "net.json"
    browsed(page, tmp_path / "profile", "--dump-dom", f"--log-net-log={log}")
    assert any("127.0.0.1:9" in line for line in asked(log))
