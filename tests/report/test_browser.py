"""The page in a real browser: it draws every chart and asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

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


#: Waits until all is drawn, then does as a reader does; what came of it is left in the page.
_READER = """
const seen = { saved: [], columns: {}, failed: [] };
HTMLAnchorElement.prototype.click = function () { seen.saved.push([this.download, this.href]); };
addEventListener("securitypolicyviolation", (event) => seen.failed.push(event.violatedDirective));
const tables = [...document.querySelectorAll("table")];
const table = tables.find((each) => each.caption.textContent === "Models");
function column(title, clicks) {
  const heading = [...table.tHead.rows[0].cells].find((cell) => cell.textContent === title);
  for (let i = 0; i < clicks; i++) heading.querySelector("button").click();
  const texts = [...table.tBodies[0].rows].map((row) => row.cells[heading.cellIndex].textContent);
  seen.columns[title + " " + heading.getAttribute("aria-sort")] = texts;
}
async function read() {
  if (!document.body.dataset.paper) return setTimeout(read, 50);
  column("model", 1), column("MACs", 1), column("MACs", 1);
  const buttons = [...document.querySelectorAll(".save button")];
  for (const button of buttons) button.click();
  while (seen.saved.length < buttons.length) await new Promise((r) => setTimeout(r, 50));
  const told = document.createElement("pre");
  told.id = "seen";
  told.textContent = JSON.stringify(seen);
  document.body.append(told);
}
read();
"""


def played(page: Path, script: str, folder: Path) -> Any:
    """What a reader's script leaves in an element `seen`; the page's policy lets it in, and no
    more."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = page.read_text(encoding="utf-8").replace(
        "; script-src ", f"; script-src 'sha256-{digest}' "
    )
    changed = folder / "read.html"
    before, end, after = text.rpartition("</body>")
    changed.write_text(f"{before}<script>{script}</script>{end}{after}", encoding="utf-8")
    log = folder / "read.json"
    dom = browsed(changed, folder / "reader", "--dump-dom", f"--log-net-log={log}")
    assert asked(log) == []
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.DOTALL)
    assert found, "all was drawn and clicked"
    return json.loads(html.unescape(found[1]))


@pytest.mark.skipif(_CHROMIUM is None, reason="no chromium here")
def test_tables_sort_and_charts_are_saved(survey: Store, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write(survey, page)
    seen = played(page, _READER, tmp_path)
    assert seen["failed"] == [], "the policy had to forbid nothing"
    columns = seen["columns"]
    assert columns["model ascending"][0] == "digits_small.tflite"
    assert columns["model ascending"][-1] == "text_encoder.onnx"
    upwards, downwards = columns["MACs ascending"], columns["MACs descending"]
    assert upwards[:2] == ["81.9 k", "31.1 M"], "by value, not by text"
    assert upwards[-1] == downwards[-1] == "–", "the unknown is last either way"
    assert downwards[:-1] == upwards[-2::-1]
    saved = dict(seen["saved"])
    charts = page.read_text(encoding="utf-8").count('class="chart"')
    assert len(saved) == 2 * charts
    for name, url in saved.items():
        head, _, content = url.partition(",")
        if name.endswith(".png"):
            assert head == "data:image/png;base64"
            assert base64.b64decode(content).startswith(b"\x89PNG")
        else:
            assert head == "data:image/svg+xml;charset=utf-8"
            assert unquote(content).startswith("<svg")
