"""Inference runtimes: load, run; nothing else.

One module per runtime, `registry.py` lists them. All of this happens in a worker process
(`edgewise.sandbox`), because a runtime may crash on a broken model; only `registry` itself is for
the parent.
"""
