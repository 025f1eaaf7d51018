"""Energy of computing, by a power model that was declared for a device: data with their source.

What a model gives is labelled `model` wherever it is used; metered energy takes its place where a
store has some (`computing`).
"""

from __future__ import annotations

import math
import tomllib
from functools import cache
from pathlib import Path

import msgspec

from edgewise.devices.host import processor
from edgewise.errors import InputError, UsageError

_DATA = Path(__file__).parent / "data" / "power.toml"


class PowerModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A processor's power while it computes, above that of the idle device.

    `shared_w` is taken whenever a core is busy, `core_w` by each busy core of the `cores` that
    compute. `idle_w` is there for the record: it is not counted. `screen_w` is what
    the whole device takes that only waits with its screen on. `processors` are those whose
    machines it is of, as `devices.host.Processor.is_of` reads them.
    """

    name: str
    core_w: float
    cores: int
    source: str
    shared_w: float = 0.0
    idle_w: float | None = None
    screen_w: float | None = None
    description: str = ""
    processors: tuple[str, ...] = ()

    def busy_w(self, threads: int = 1) -> float:
        """Power with so many threads; more threads than cores take no more."""
        return self.shared_w + min(threads, self.cores) * self.core_w


@cache
def powers() -> dict[str, PowerModel]:
    """The power models that come with the package, by device."""
    return read_powers(_DATA)


@cache
def power_here() -> str | None:
    """The model that was declared for machines with this one's processor, None: there is none."""
    here = processor()
    for model in powers().values() if here else ():
        if here is not None and any(map(here.is_of, model.processors)):
            return model.name
    return None


def power(spec: str) -> PowerModel:
    """A power model by the device's name, or from a TOML file (`FILE.toml:NAME` of several).

    Raises:
        UsageError: an unknown name.
        InputError: a file that cannot be read.
    """
    file, _, name = spec.partition(".toml")
    known = read_powers(Path(f"{file}.toml")) if ".toml" in spec else powers()
    name = name.removeprefix(":") if ".toml" in spec else spec
    if not name and len(known) == 1:
        return next(iter(known.values()))
    if name in known:
        return known[name]
    raise UsageError(
        f"no power model '{name}'", hint=f"known: {', '.join(known)}; or FILE.toml:NAME"
    )


def read_powers(file: Path) -> dict[str, PowerModel]:
    """Power models of a TOML file, in the layout of the package's own.

    Raises:
        InputError: not TOML, an unknown key, a power that is none, a name twice.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        models = msgspec.convert(content.get("power", []), list[PowerModel])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"the power models {file} cannot be read: {error}") from error
    except msgspec.ValidationError as error:
        raise InputError(f"the power models {file}: {error}") from error
    for one in models:
        watts = (one.core_w, one.shared_w, one.idle_w or 0.0, one.screen_w or 0.0)
        if one.cores < 1 or not all(math.isfinite(value) and value >= 0 for value in watts):
            raise InputError(f"the power models {file}: '{one.name}' has a power that is none")
    by_name = {one.name: one for one in models}
    if len(by_name) < len(models) or not models:
        raise InputError(f"the power models {file}: none, or a name is used twice")
    return by_name


def compute_energy(of: PowerModel, busy_ms: float, threads: int = 1) -> float:
    """Joules of computing for `busy_ms` on so many threads: power × time. By a model."""
    return of.busy_w(threads) * busy_ms / 1e3
