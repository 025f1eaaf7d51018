"""How evenly an emulated slow device runs: bursts and gaps of a busy loop, in ms.

The pacer of `devices/emulated.py`, and beside it the kernel's own quota where this machine has the
cpu controller of cgroups v1 and lets us use it (root).

    python benchmarks/bench_emulated.py [SECONDS]
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from edgewise.devices import emulated
from smoke import shortened

_CGROUP = Path("/sys/fs/cgroup/cpu")
#: Pauses above this are stops; the loop itself takes well under a microsecond per turn.
_SPIN = """
import sys, time
sys.stdin.readline()
now, used = time.monotonic_ns, time.process_time()
last = start = now(); end = last + int(float(sys.argv[1]) * 1e9)
while last < end:
    time_ns = now()
    if time_ns - last > 150_000:
        print((last - start) / 1e6, (time_ns - last) / 1e6)
        start = time_ns
    last = time_ns
print(time.process_time() - used)
"""


def main() -> None:
    shortened("0.2")
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    print("share  how                     burst p50  max   gap p50  max   share reached")
    for share in (0.05, 0.1, 0.167, 0.2, 0.5):
        _row(share, "pacer, 5 ms", *_spin(seconds, lambda pid, s=share: emulated.throttled(pid, s)))
    if not os.access(_CGROUP / "cpu.cfs_quota_us", os.W_OK):
        print("the kernel's quota: no cpu controller of cgroups v1 that we may use")
        return
    for period_us, quota_us in ((5000, 1000), (5000, 2500)):
        pairs = _spin(seconds, lambda pid, p=period_us, q=quota_us: _quota(pid, p, q))
        _row(quota_us / period_us, f"quota, {quota_us} of {period_us} µs", *pairs)


def _spin(seconds: float, held) -> tuple[list[float], list[float], float]:  # type: ignore[no-untyped-def]
    process = subprocess.Popen(
        [sys.executable, "-c", _SPIN, str(seconds)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
    with held(process.pid):
        said, _ = process.communicate("\n")
    *lines, used_s = said.splitlines()
    pairs = [tuple(map(float, line.split())) for line in lines[1:]]
    share = float(used_s) / seconds
    return [burst for burst, _ in pairs], [gap for _, gap in pairs], share


@contextmanager
def _quota(pid: int, period_us: int, quota_us: int) -> Iterator[None]:
    group = _CGROUP / f"edgewise-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text(str(period_us))
        (group / "cpu.cfs_quota_us").write_text(str(quota_us))
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        group.rmdir()


def _row(share: float, how: str, bursts: list[float], gaps: list[float], reached: float) -> None:
    print(
        f"{share:5.3g}  {how:22}  {median(bursts):9.2f} {max(bursts):5.1f} "
        f"{median(gaps):8.2f} {max(gaps):5.1f}   {reached:.1%}"
    )


if __name__ == "__main__":
    main()
