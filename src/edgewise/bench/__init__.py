"""Measuring a model on a target.

::

    plan.py        what to measure, on which targets, how thoroughly
    sources.py     from a path as users write it to a file that a runtime can open
    job.py         what is asked of one worker process, and what it reports
    worker.py      the process that measures: load, first inference, warm-up, timed runs
      inputs.py      shapes and values of a model's inputs
      timing.py      the loops around the runtime's call
      memory.py      high-water mark and page cache
    cases.py       what a plan comes to: models on targets of devices, or why there is none
    run.py         processes of all models and targets, interleaved; the entry point `measure`
    assemble.py    from the reports of all processes to one Measurement
    statistics.py  distributions, intervals, comparisons
    stability.py   noisy, drifting or stable
    inventory.py   which devices there are, with their runtimes
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """`edgewise.bench` is this room and, in the Python interface, the verb: it can be called."""

    def __call__(self, *paths: Any, **settings: Any) -> Any:
        """See `edgewise.api.bench`."""
        from importlib import import_module

        return import_module("edgewise.api").bench(*paths, **settings)


sys.modules[__name__].__class__ = _Callable
