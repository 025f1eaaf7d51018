"""What is simulated: profiles or samples, a network, and the draws of a block of requests.

All draws of a block depend only on the seed, the deadline and the block's number: every policy,
network and profile set meets the same random numbers, in whatever process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgewise.errors import UsageError
from edgewise.network.link import Network, Pair, Path
from edgewise.records import Profile
from edgewise.selection.policies.protocol import Indices
from edgewise.selection.profiles.sources import Samples
from edgewise.selection.profiles.table import Floats, ProfileTable

#: Requests that the predictor of downloads has seen before the simulation begins.
HISTORY = 2000
#: Groups of like uploads whose downloads are told apart.
_GROUPS = 10


@dataclass(frozen=True)
class Setup:
    """One network and one set of profiles.

    `published`: one transfer time for both directions, known when choosing. Otherwise the upload
    is measured, the download predicted from it by the line through a history of transfers.
    `duplicate`: the model that the device runs at the same time (MDInference): its answer is used
    where the server's is late.
    """

    table: ProfileTable
    network: Network
    published: bool
    requests: int
    seed: int
    samples: Samples | None = None
    duplicate: Profile | None = None

    def __post_init__(self) -> None:
        if self.published and not isinstance(self.network, Pair):
            raise UsageError(
                f"the published set-up draws one time from a pair; '{self.network.name}' is none",
                hint="leave --published away, or name a pair",
            )
        if self.requests < 1:
            raise UsageError(f"{self.requests} requests", hint="simulate at least one")
        if self.seed < 0:
            raise UsageError(f"a seed of {self.seed}", hint="it is zero or more")

    @cached_property
    def predictor(self) -> Predictor | None:
        """How downloads are expected from uploads; None where they are known."""
        return None if self.published else predictor(self.network, self.seed)

    @property
    def network_error_ms(self) -> Floats | None:
        """Sample of (actual − expected) network times, None where they are known."""
        return None if self.predictor is None else self.predictor.errors_ms


@dataclass(frozen=True, eq=False)
class Predictor:
    """The median of the download given the upload, linear between the medians of groups of like
    uploads, `upload_ms` and `median_ms` (G,), and the sorted errors that it made on the history.

    Where now and then nothing passes, a mean would be several medians: more time than most have.
    """

    upload_ms: Floats
    median_ms: Floats
    errors_ms: Floats

    def download_ms(self, upload_ms: Floats) -> Floats:
        """Expected download times, shape as `upload_ms`."""
        return np.interp(upload_ms, self.upload_ms, self.median_ms)


def predictor(network: Network, seed: int) -> Predictor:
    """Over a history of its own, which has seen all of a trace; a correlation of ranks that chance
    explains is none."""
    if isinstance(network, Path):
        longest_ms = max(network.uplink.period_ms, network.downlink.period_ms)
        spacing_ms = max(network.spacing_ms, longest_ms / HISTORY)
        network = replace(network, spacing_ms=spacing_ms)
    upload_ms, download_ms = network.transfers(HISTORY, generator(seed, "history"))
    order, downs = np.argsort(upload_ms), np.argsort(np.argsort(download_ms))
    related = float(np.corrcoef(np.arange(HISTORY), downs[order])[0, 1])
    groups = np.array_split(order, _GROUPS if abs(related) > 3 / np.sqrt(HISTORY) else 1)
    ups_ms, downs_ms = (
        np.array([np.median(times[group]) for group in groups])
        for times in (upload_ms, download_ms)
    )
    line = Predictor(ups_ms, downs_ms, np.empty(0))
    return replace(line, errors_ms=np.sort(download_ms - line.download_ms(upload_ms)))


_STREAMS = ("history", "network", "choice", "service", "again", "duplicate", "arrivals")


def generator(seed: int, stream: str, *key: int) -> np.random.Generator:
    """The random numbers of one purpose: independent between purposes and keys."""
    sequence = np.random.SeedSequence(seed, spawn_key=(_STREAMS.index(stream), *key))
    return np.random.default_rng(sequence)


@dataclass(frozen=True, eq=False)
class NormalService:
    """μ + σz, redrawn until positive, with one z per request: it has the same luck on whatever
    model it meets, so that policies are compared on equal terms."""

    table: ProfileTable
    seed: int
    key: tuple[int, ...]
    n: int

    @cached_property
    def noise(self) -> Floats:
        """z, shape (n,)."""
        return generator(self.seed, "service", *self.key).standard_normal(self.n)

    @property
    def rows(self) -> tuple[Floats, Indices]:
        """No recorded times."""
        return np.empty((0, len(self.table))), np.empty(0, dtype=np.intp)

    def of(self, choice: Indices) -> Floats:
        """Shape (n,) of models → ms."""
        mean_ms, std_ms = self.table.mean_ms[choice], self.table.std_ms[choice]
        return self._redrawn(mean_ms + std_ms * self.noise, mean_ms, std_ms)

    def all(self) -> Floats:
        """Shape (n, M), ms."""
        shape = (self.n, len(self.table))
        mean_ms, std_ms = self.table.mean_ms, self.table.std_ms
        times = mean_ms + std_ms * self.noise[:, None]
        if (times > 0).all():
            return times
        spread = [np.broadcast_to(values, shape).ravel() for values in (mean_ms, std_ms)]
        return self._redrawn(times.ravel(), *spread).reshape(shape)

    def _redrawn(self, times: Floats, mean_ms: Floats, std_ms: Floats) -> Floats:
        """The k-th draw of a request is the same for all models and policies."""
        models = len(times) // self.n
        attempt = 0
        while len(again := np.flatnonzero(times <= 0)):
            rng = generator(self.seed, "again", *self.key, attempt)
            normals = rng.standard_normal(self.n)[again // models]
            times[again] = mean_ms[again] + std_ms[again] * normals
            attempt += 1
        return times


@dataclass(frozen=True, eq=False)
class EmpiricalService:
    """The quantile of each model's own distribution at one level per request."""

    table: ProfileTable
    seed: int
    key: tuple[int, ...]
    n: int

    noise: ClassVar[Floats] = np.empty(0)

    @property
    def rows(self) -> tuple[Floats, Indices]:
        """Times at all levels, shape (256, M), and the level of each request, shape (n,)."""
        return np.ascontiguousarray(self.table.quantiles_ms.T), self._level

    @cached_property
    def _level(self) -> Indices:
        slices = self.table.quantiles_ms.shape[1]
        return generator(self.seed, "service", *self.key).integers(0, slices, self.n)

    def of(self, choice: Indices) -> Floats:
        """Shape (n,) of models → ms."""
        return self.table.quantiles_ms[choice, self._level]

    def all(self) -> Floats:
        """Shape (n, M), ms."""
        return self.table.quantiles_ms[:, self._level].T


@dataclass(frozen=True, eq=False)
class SampledService:
    """Real times: request i is one of the recorded requests, drawn with replacement."""

    noise: ClassVar[Floats] = np.empty(0)
    samples: Samples
    seed: int
    key: tuple[int, ...]
    n: int

    @property
    def rows(self) -> tuple[Floats, Indices]:
        """Recorded times, shape (requests recorded, M), and which one each is, shape (n,)."""
        return self.samples.service_ms, self.recorded

    @cached_property
    def recorded(self) -> Indices:
        """Which recorded request each one is, shape (n,)."""
        return generator(self.seed, "service", *self.key).integers(0, len(self.samples), self.n)

    def of(self, choice: Indices) -> Floats:
        """Shape (n,) of models → ms."""
        return self.samples.service_ms[self.recorded, choice]

    def all(self) -> Floats:
        """Shape (n, M), ms."""
        return self.samples.service_ms[self.recorded]

    def correct(self, choice: Indices) -> NDArray[np.bool_]:
        """Whether the answers were right, shape (n,)."""
        return self.samples.correct[self.recorded, choice]


AnyService = NormalService | EmpiricalService | SampledService


@dataclass(frozen=True, eq=False)
class Block:
    """n requests of one deadline, drawn. Times in ms, shapes (n,).

    `budget_ms` is what a policy knows of, `left_ms` what the service may really take.
    """

    sla_ms: float
    network_ms: Floats
    budget_ms: Floats
    draw: Floats
    service: AnyService

    @property
    def left_ms(self) -> Floats:
        """Deadline less the actual network time."""
        return self.sla_ms - self.network_ms

    def __len__(self) -> int:
        return len(self.draw)


def block(setup: Setup, sla_ms: float, number: int, n: int) -> Block:
    """The draws of a block of n requests."""
    key = (round(sla_ms * 1000), number)
    rng = generator(setup.seed, "network", *key)
    if setup.predictor is None:
        assert isinstance(setup.network, Pair)
        network_ms = 2 * setup.network.one_way_ms(n, rng)
        expected_ms = network_ms
    else:
        upload_ms, download_ms = setup.network.transfers(n, rng)
        network_ms = upload_ms + download_ms
        expected_ms = upload_ms + setup.predictor.download_ms(upload_ms)
    draw = generator(setup.seed, "choice", *key).random(n)
    return Block(sla_ms, network_ms, sla_ms - expected_ms, draw, service(setup, key, n))


def service(setup: Setup, key: tuple[int, ...], n: int) -> AnyService:
    """Service times by what the profiles are: samples, quantiles, or moments."""
    if setup.samples is not None:
        return SampledService(setup.samples, setup.seed, key, n)
    if setup.table.empirical:
        return EmpiricalService(setup.table, setup.seed, key, n)
    return NormalService(setup.table, setup.seed, key, n)
