"""What was warmed up compiles nothing when requests come."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

#: In a process of its own: here other tests have compiled everything already.
_CHECK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numba.core.dispatcher as dispatcher
import numpy as np
import test_service as parts
from edgewise.selection.engine.scheduling import Assignment, Ticket
from edgewise.server.warming import warm_up

catalogue = parts._catalogue(Path(sys.argv[2]))
warm_up(parts._scheduler(catalogue, "deadline", 2), catalogue.families)

def compiled():
    return {
        (module, name): len(each.signatures)
        for module, of in list(sys.modules.items()) if module.startswith("edgewise.")
        for name, each in vars(of).items() if isinstance(each, dispatcher.Dispatcher)
    }

before = compiled()
assert sum(before.values()) > 5, before
scheduler, (family, *_) = parts._scheduler(catalogue, "deadline", 2), catalogue.families
random, now_ms, running = np.random.default_rng(1), 0.0, []
for number in range(600):
    now_ms += random.exponential(8.0 if number < 300 else 3.0)
    sla_ms = float(random.choice([20.0, 60.0, 200.0]))
    scheduler.arrive(Ticket(number, family, now_ms, now_ms + sla_ms, sla_ms), now_ms)
    for end_ms, action in sorted(running, key=lambda each: each[0]):
        if end_ms <= now_ms:
            scheduler.done(action, end_ms, inference_ms=5.0, service_ms=5.0, cold_ms=0.0)
            running.remove((end_ms, action))
    for action in scheduler.next(now_ms):
        if isinstance(action, Assignment):
            running.append((now_ms + random.gamma(8.0), action))
    if scheduler.refit_due:
        scheduler.refit()
print({name: count for name, count in compiled().items() if before.get(name) != count})
"""


def test_later_requests_compile_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CHECK, str(Path(__file__).parent), str(tmp_path)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "{}"
