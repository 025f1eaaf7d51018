"""Open-loop load against a running service: when each request is due is fixed beforehand, and its
latency counts from then, however late the service, the link or the generator is.

`run.drive(settings)` is the way in; `docs/load.md` tells what is measured and how.
"""
