"""What an operator sees of a service, put together: its listeners, and what HTTP asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgewise.server.events import Event, Listener
from edgewise.server.home import at_home
from edgewise.server.inventory import Inventory, Sources
from edgewise.server.operations.decisions import DecisionLog
from edgewise.server.operations.logs import JsonLog
from edgewise.server.operations.metrics import Metrics
from edgewise.server.operations.tally import Tally
from edgewise.server.status.page import page
from edgewise.server.status.snapshot import Snapshots
from edgewise.server.status.timeline import Timelines


class Operations:
    """Metrics, status page, JSON log and decision log of one service.

    Make it on the service's event loop. Subscribe `listen` to the service, or each of
    `listeners`, which saves a call.
    """

    def __init__(
        self, sources: Sources, *, log: JsonLog | None = None, decisions: DecisionLog | None = None
    ) -> None:
        self._log, self._decisions = log, decisions
        # The service is not to be looked at while it works; metrics are made in a thread.
        sources = replace(sources, live=at_home(sources.live), profiles=at_home(sources.profiles))
        tally, timelines, inventory = Tally(), Timelines(), Inventory()
        self._metrics = Metrics(tally, inventory, sources, self._dropped)
        self._snapshots = Snapshots(timelines, inventory, sources)
        self.listeners: tuple[Listener, ...] = (
            tally.listen,
            timelines.listen,
            inventory.listen,
            *([log.listen] if log else []),
            *([decisions.listen] if decisions else []),
        )

    def listen(self, event: Event) -> None:
        """Tell all of them."""
        for listener in self.listeners:
            listener(event)

    def metrics(self) -> tuple[bytes, str]:
        """Prometheus's text and its content type. Some 5 ms: call it in another thread."""
        return self._metrics.text()

    def page(self) -> bytes:
        """The status page, HTML in UTF-8."""
        return page()

    def snapshot(self) -> dict[str, Any]:
        """What the page asks for, of builtins only. Some 2 ms once a second, else nothing."""
        return self._snapshots.take()

    def close(self) -> None:
        """Write out what the logs still hold. Blocks up to 12 s: call it in a thread."""
        if self._decisions:
            self._decisions.close()
        if self._log:
            self._log.close()

    def _dropped(self) -> dict[str, int]:
        dropped = {}
        if self._log:
            dropped["requests"] = self._log.dropped
        if self._decisions:
            dropped["decisions"] = self._decisions.dropped
        return dropped
