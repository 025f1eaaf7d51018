"""Gives a service's workers a runtime that takes as long as the input says, whatever the machine
does: see `paced_family.py`, whose environment puts this on the path of `edgewise serve`.

An inference of a variant in the file that `EDGEWISE_PACED` names ends when its time is over, and
sleeps until shortly before. Any other runs as ever.
"""

import os
import sys

if "EDGEWISE_PACED" in os.environ and "worker.serve()" in " ".join(sys.orig_argv):
    import time
    from typing import Any

    import numpy as np

    from edgewise.runtimes import onnxruntime

    #: Woken this much before the end, in seconds: a sleep may end that late.
    _EARLY_S = 0.0003
    _load = onnxruntime.load
    with np.load(os.environ["EDGEWISE_PACED"]) as content:
        _sorted_s = {name: content[name] / 1000 for name in content}

    def _paced(session: Any, sorted_s: Any) -> None:
        feed, invoke = session.feed, session.invoke
        drawn_s = 0.0

        def fed(values: Any) -> None:
            nonlocal drawn_s
            level = float(next(iter(values.values())).flat[0]) % 1.0
            drawn_s = float(sorted_s[int(level * len(sorted_s))])
            feed(values)

        def wait() -> None:
            end = time.perf_counter() + drawn_s
            invoke()
            time.sleep(max(end - time.perf_counter() - _EARLY_S, 0.0))
            while time.perf_counter() < end:
                pass

        session.feed, session.invoke = fed, wait

    def _loaded(path: Any, **more: Any) -> Any:
        session = _load(path, **more)
        if path.stem in _sorted_s:
            _paced(session, _sorted_s[path.stem])
        return session

    onnxruntime.load = _loaded  # type: ignore[assignment]
