"""Records <-> Parquet files in a folder or object store; read back through DuckDB.

`docs/store.md` documents the tables; `tables.py` lists them.
"""

from edgewise.store.gathering import Gathering
from edgewise.store.running import Reporter, Running, running
from edgewise.store.store import Store
from edgewise.store.views import answer

__all__ = ["Gathering", "Reporter", "Running", "Store", "answer", "running"]
