"""One's own link, measured against a running server of the Open Inference Protocol.

`probing` asks the server, `network.streams` makes round trip and rates of what it saw.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgewise.network.measured import Estimate, Measured
from edgewise.network.streams import ENDS_MBPS, Stalls, measured, stalls
from edgewise.placement.probing import USUAL, Effort, Prober
from edgewise.protocol.http.target import parse
from edgewise.records import LinkProfile


@dataclass(frozen=True)
class OwnLink:
    """What was found. A rate is None where `notes` say why; the upper end of its interval is
    infinite where it is known to be at least so fast."""

    url: str
    measured: Measured
    notes: tuple[str, ...]

    def described(self, name: str) -> dict[str, object]:
        """The fields of a `LinkProfile`, with 95 % intervals; None where not known, such as the
        upper end of a rate that is at least so high."""
        found = self.measured
        up, down = found.uplink_mbps, found.downlink_mbps
        return {
            "name": name,
            "uplink_mbps": up.value if up else None,
            "downlink_mbps": down.value if down else None,
            "rtt_ms": found.rtt_ms.value,
            "jitter_ms": found.jitter_ms,
            "description": f"measured against {self.url}",
            "uplink_ci95_mbps": _interval(up),
            "downlink_ci95_mbps": _interval(down),
            "rtt_ci95_ms": _interval(found.rtt_ms),
            "observations": found.observations,
            "notes": list(self.notes),
        }

    def profile(self, name: str, radio: str | None = None) -> LinkProfile:
        """As a link for everything that takes one; what kind of network it is, no measuring tells.

        Raises:
            InputError: a rate is not known.
        """
        return self.measured.profile(name, radio)


def _interval(of: Estimate | None) -> tuple[float, float | None] | None:
    return None if of is None else (of.low, None if math.isinf(of.high) else of.high)


def measure_link(
    url: str,
    *,
    token: str | None = None,
    ca: Path | None = None,
    timeout_s: float = 30.0,
    effort: Effort = USUAL,
) -> OwnLink:
    """The link between here and a server; takes up to half a minute.

    Raises:
        UsageError, InputError: no URL, nobody answers, or not in time.
    """
    target = parse(url, token, ca).resolved()
    prober = Prober(target, timeout_s, effort)
    asyncio.run(prober.observe())
    found = measured(prober.pings_ms, prober.ups, prober.downs)
    seen = stalls(prober.pings_ms, [*prober.ups, *prober.downs])
    return OwnLink(target.url, found, (*prober.notes, *_at_least(found), *_stalled(seen)))


def _stalled(seen: Stalls) -> Iterator[str]:
    if seen.times:
        often, part = seen.watched_ms / seen.times, seen.stalled_ms / seen.watched_ms
        yield (
            f"the link stalls: {seen.stalled_ms / seen.times:.0f} ms every {often / 1000:.1f} s in "
            f"the mean, {part:.0%} of the time; a request takes so much longer where it meets one"
        )


def _at_least(found: Measured) -> Iterator[str]:
    for way, rate in (("uplink", found.uplink_mbps), ("downlink", found.downlink_mbps)):
        if rate is None or not math.isinf(rate.high):
            continue
        why = (
            "at such rates what both ends do shows as well"
            if rate.value >= ENDS_MBPS
            else "the times vary too much to say how fast"
        )
        yield f"{way}: at least {rate.low:.3g} Mbps; {why}"


def as_toml(links: Sequence[LinkProfile]) -> str:
    """Links as a file that every option for links takes."""
    return "\n".join(_table(link) for link in links)


def _table(link: LinkProfile) -> str:
    fields = {name: getattr(link, name) for name in link.__struct_fields__}
    lines = [f"{name} = {json.dumps(value)}" for name, value in fields.items() if value]
    return "\n".join(["[[link]]", *lines, ""])
