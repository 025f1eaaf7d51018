"""What the report of a survey of an app market costs: to make, to keep, to open, to work with.

    python benchmarks/bench_report.py [--apps N] [--models N] [--measured N] [--store DIR]

Makes a store of records (`large_store.py`; with --store one that is there is taken, or kept), runs
the verb, and opens the file in a headless Chromium, fresh and again: when the document is parsed,
when something is painted, when it can be read (`ready`: what is in sight is drawn) and when all is
drawn. Then what a reader does: one model's page, a filter, a sort. The aim is 2 s to `ready` and
15 MB. Times are of this machine; also as CPU time, which other work disturbs less: of the verb, and
of the page's process until it is ready.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import chromium
from edgewise.store import Store
from large_store import build
from smoke import shortened

_MARKS = """(() => {
  const at = (kind, name) => performance.getEntriesByName(name, kind)[0]?.startTime;
  const { domContentLoadedEventEnd } = performance.getEntriesByType("navigation")[0];
  return [domContentLoadedEventEnd, at("paint", "first-contentful-paint"), at("mark", "ready"),
          at("mark", "complete")];
})()"""
_FILTER = """(() => {
  const place = document.querySelector('#models [data-table]');
  const search = place.querySelector('input[type=search]');
  if (!search) return [NaN, NaN]; // few rows
  const began = performance.now();
  search.value = '224';
  search.dispatchEvent(new Event('input'));
  const filtered = performance.now();
  place.querySelector('th button').click();
  return [filtered - began, performance.now() - filtered];
})()"""


def main() -> None:
    """Print a line for each thing that costs."""
    shortened("--apps", "60", "--models", "80", "--measured", "12")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--apps", type=int, default=16_000)
    parser.add_argument("--models", type=int, default=20_000)
    parser.add_argument("--measured", type=int, default=1_500)
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgewise-bench-") as folder:
        store = options.store or Path(folder) / "market"
        if not Store.is_at(str(store)):
            build(str(store), options.apps, options.models, options.measured)
        page = Path(folder) / "report.html"
        _make(store, page)
        _open(page)


def _make(store: Path, page: Path) -> None:
    command = [sys.executable, "-m", "edgewise", "report", str(store), "-o", str(page), "--quiet"]
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    print(f"verb: {time.perf_counter() - began:.1f} s, {cpu:.1f} s of CPU, "
          f"{used.ru_maxrss / 1e6:.2f} GB at its peak; load {os.getloadavg()[0]:.1f} on "
          f"{os.cpu_count()} cores")  # fmt: skip
    print(f"file: {page.stat().st_size / 1e6:.2f} MB (15 are the aim)")


def _open(page: Path) -> None:
    if chromium.PROGRAM is None:
        print("no chromium here: not opened")
        return
    with chromium.tab() as tab:
        tab.screen(1200)
        for what in ("fresh", "again", "again"):
            tab.open("about:blank")
            before = _busy(tab)
            tab.open(page.as_uri())
            tab.wait("document.body.dataset.ready", 300)
            busy = _busy(tab) - before
            tab.wait("document.body.dataset.complete", 300)
            parsed, painted, ready, complete = (each / 1e3 for each in tab.run(_MARKS))
            print(f"opened {what}: parsed {parsed:.2f} s, painted {painted:.2f} s, ready "
                  f"{ready:.2f} s (2 are the aim; {busy:.2f} s of CPU), all drawn {complete:.1f} s "
                  f"({_busy(tab) - before:.2f} s of CPU)")  # fmt: skip
        filtered, sorted_ = tab.run(_FILTER)
        print(f"the models filtered in {filtered:.0f} ms, sorted by name in {sorted_:.0f} ms")
        began = time.perf_counter()
        tab.run("document.querySelector('#models td a').click()")
        tab.wait("document.body.dataset.subject && document.querySelector('#subject h2')")
        print(f"one model's page in {(time.perf_counter() - began) * 1e3:.0f} ms")
        print(f"console: {len(tab.console)} messages; {len(tab.asked)} requests left the file")


def _busy(tab: chromium.Tab) -> float:
    """Seconds of CPU that the processes of pages have used."""
    used = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_text()
            if str(tab.folder) in command and "--type=renderer" in command:
                after_name = (process / "stat").read_text().rpartition(")")[2].split()
                used += int(after_name[11]) + int(after_name[12])
    return used / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
