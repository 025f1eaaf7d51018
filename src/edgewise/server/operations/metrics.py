"""Prometheus metrics: plain numbers, turned into families of samples when somebody scrapes.

Names and units follow Prometheus's conventions (seconds, bytes, ratios of 0 … 1, counters end in
`_total`). `docs/serving.md` lists them with the questions that they answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from edgewise.server.inventory import Inventory, Sources
from edgewise.server.operations.histogram import Histogram
from edgewise.server.operations.tally import FamilyTally, Mean, Tally, VariantTally

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

#: The text format that every Prometheus reads; our names need nothing newer.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Values with the values of their labels.
Values = Iterable[tuple[tuple[str, ...], float]]


class Metrics:
    """The metrics of a service in a registry of their own.

    `dropped` gives, by the log's name, how many of its records were lost.
    """

    def __init__(
        self,
        tally: Tally,
        inventory: Inventory,
        sources: Sources,
        dropped: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        from prometheus_client import CollectorRegistry
        from prometheus_client.process_collector import ProcessCollector

        self._tally, self._inventory = tally, inventory
        self._sources, self._dropped = sources, dropped
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> tuple[bytes, str]:
        """The exposition and its content type. Some 5 ms, so call it in a thread."""
        from prometheus_client import generate_latest

        parts = []
        for metric in self._registry.collect():
            parts.append(generate_latest(_Only(metric)))
            time.sleep(0)  # lets the event loop have the interpreter
        return b"".join(parts), CONTENT_TYPE

    def describe(self) -> list[Metric]:
        """Nothing: what there is shows when it is collected."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families of samples, as Prometheus's registry asks for them."""
        families = list(self._tally.families.items())
        yield from _requests(families)
        yield from _quality(families)
        yield from _times(families)
        yield from _variants(families)
        yield from self._profiles()
        yield from self._standing()

    def _profiles(self) -> Iterator[Metric]:
        profiles = list(self._sources.profiles())
        labels = ("family", "variant")
        yield _gauge(
            "edgewise_profile_mean_seconds",
            "Mean hot service time of a variant as learned now.",
            labels,
            (((p.family, p.variant), p.mean_ms / 1000) for p in profiles),
        )
        yield _gauge(
            "edgewise_profile_drift_ratio",
            "Mean hot service time as learned now over the one known at the start.",
            labels,
            (
                ((p.family, p.variant), p.mean_ms / p.start_mean_ms)
                for p in profiles
                if p.start_mean_ms > 0
            ),
        )

    def _standing(self) -> Iterator[Metric]:
        inventory, live = self._inventory, self._sources.live()
        plain = {
            "edgewise_queue_length": ("Requests that wait for a worker.", live.queue_length),
            "edgewise_backlog_seconds": (
                "Expected unfinished work per worker.", live.backlog_ms / 1000,
            ),
            "edgewise_workers_configured": ("Workers as set.", self._sources.workers),
            "edgewise_workers_alive": ("Workers that stand ready.", len(inventory.workers)),
            "edgewise_workers_busy": ("Workers at work.", live.workers_busy),
            "edgewise_draining": ("1 while the service takes no new requests.", inventory.draining),
            "edgewise_start_time_seconds": (
                "When the service started, seconds since 1970.", inventory.started_at_s,
            ),
        }  # fmt: skip
        for name, (help_, value) in plain.items():
            yield _gauge(name, help_, (), [((), value)])
        if (budget := self._sources.memory_budget_bytes) is not None:
            yield _gauge(
                "edgewise_memory_budget_bytes",
                "What all workers together may keep resident.",
                (),
                [((), budget)],
            )
        yield _gauge(
            "edgewise_variant_set_aside",
            "1 where a variant does not load or ended worker after worker, and is run no more.",
            ("family", "variant"),
            (
                ((p.family, p.variant), float((p.family, p.variant) in live.set_aside))
                for p in self._sources.profiles()
            ),
        )
        resident = inventory.resident_bytes()
        yield _gauge(
            "edgewise_resident_bytes",
            "What a variant takes in all workers that have it loaded.",
            ("family", "variant"),
            ((key, size) for key, (size, _) in resident.items()),
        )
        yield _gauge(
            "edgewise_resident_workers",
            "Workers that have a variant loaded.",
            ("family", "variant"),
            ((key, count) for key, (_, count) in resident.items()),
        )
        yield _gauge(
            "edgewise_build_info",
            "The version of Edgewise and the policy that runs, as labels; always 1.",
            ("version", "policy"),
            [((inventory.version, self._sources.policy), 1)],
        )
        yield from self._happened()

    def _happened(self) -> Iterator[Metric]:
        inventory = self._inventory
        labels = ("family", "variant")
        yield _counter("edgewise_worker_losses", "Workers that died.", (), [((), inventory.losses)])
        yield _counter(
            "edgewise_reloads", "Times that the families were read again.", (),
            [((), inventory.reloads)],
        )  # fmt: skip
        yield _counter(
            "edgewise_loads", "Times that a worker loaded a variant.", labels,
            list(inventory.loads.items()),
        )  # fmt: skip
        yield _counter(
            "edgewise_evictions", "Times that a worker dropped a variant.", labels,
            list(inventory.evictions.items()),
        )  # fmt: skip
        yield _counter(
            "edgewise_log_records_dropped", "Records that a log could not keep up with.", ("log",),
            [((log,), count) for log, count in self._dropped().items()],
        )  # fmt: skip


class _Only:
    """A registry of one metric."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> list[Metric]:
        """It."""
        return [self._metric]


Families = list[tuple[str, FamilyTally]]


def _requests(families: Families) -> Iterator[Metric]:
    yield _counter(
        "edgewise_arrivals", "Requests that were whole and named a known model.", ("family",),
        [((name,), family.arrived) for name, family in families],
    )  # fmt: skip
    yield _counter(
        "edgewise_requests",
        "Requests by how they ended: each in exactly one outcome.",
        ("family", "outcome"),
        [
            ((name, outcome), count)
            for name, family in families
            for outcome, count in _outcomes(family).items()
        ],
    )
    yield _counter(
        "edgewise_shed", "Requests that were refused unexecuted, by reason.", ("family", "reason"),
        [((name, why), n) for name, family in families for why, n in list(family.shed.items())],
    )  # fmt: skip
    yield _counter(
        "edgewise_failures", "Requests that ended in an error, by its type.", ("family", "kind"),
        [((name, kind), n) for name, f in families for kind, n in list(f.failures.items())],
    )  # fmt: skip
    yield _counter(
        "edgewise_cancellations",
        "Requests whose caller went away, by where they were.",
        ("family", "state"),
        [
            ((name, state), count)
            for name, family in families
            for state, count in (
                ("queued", family.cancelled_queued),
                ("running", family.cancelled_running),
            )
        ],
    )
    yield _counter(
        "edgewise_budget_basis",
        "Requests by whose word on the network their budget rests on.",
        ("family", "basis"),
        [((name, basis), n) for name, f in families for basis, n in list(f.basis.items())],
    )


def _outcomes(family: FamilyTally) -> dict[str, int]:
    return {
        "in_time": family.in_time,
        "late": family.late,
        "no_deadline": family.no_deadline,
        "shed": sum(family.shed.values()),
        "failed": family.failed,
        "cancelled": family.cancelled_queued + family.cancelled_running,
    }


def _quality(families: Families) -> Iterator[Metric]:
    def means(pick: Callable[[FamilyTally], Mean]) -> list[tuple[str, Mean]]:
        return [(name, pick(family)) for name, family in families]

    yield _summary(
        "edgewise_attainment_ratio",
        "Of the requests with a deadline: sum is those answered in time, count is all of them.",
        means(lambda family: family.attained),
    )
    yield _summary(
        "edgewise_accuracy_ratio",
        "Accuracy of the variants that answered: sum over count is the mean accuracy delivered.",
        means(lambda family: family.accuracy),
    )
    yield _summary(
        "edgewise_effective_accuracy_ratio",
        "The same over all that was offered; late, shed and failed requests count 0.",
        means(lambda family: family.effective),
    )
    yield _summary(
        "edgewise_batch_requests",
        "Requests that ran together with an answered one, itself included.",
        means(lambda family: family.batched),
    )


def _times(families: Families) -> Iterator[Metric]:
    yield _histogram(
        "edgewise_request_duration_seconds",
        "From the last byte of a request to its result.",
        ("family",),
        [((name,), family.total) for name, family in families],
    )
    yield _histogram(
        "edgewise_queue_wait_seconds",
        "From a request's arrival to the start of its work.",
        ("family",),
        [((name,), family.queue) for name, family in families],
    )


def _variants(families: Families) -> Iterator[Metric]:
    labels = ("family", "variant")
    known: list[tuple[tuple[str, str], VariantTally]] = [
        ((name, variant), tally)
        for name, family in families
        for variant, tally in list(family.variants.items())
    ]
    yield _counter(
        "edgewise_choices", "Answers by the variant that gave them.", labels,
        [(key, tally.answers) for key, tally in known],
    )  # fmt: skip
    yield _counter(
        "edgewise_probes", "Answers whose variant ran to keep its profile fresh.", labels,
        [(key, tally.probes) for key, tally in known],
    )  # fmt: skip
    for name, help_, pick in (
        ("preprocess_duration", "Decoding, resizing and normalising.", "preprocess"),
        ("inference_duration", "The runtime's call.", "inference"),
        ("cold_start_duration", "Loading a variant, with its first inference.", "cold"),
    ):
        yield _histogram(
            f"edgewise_{name}_seconds",
            help_,
            labels,
            [(key, times) for key, tally in known if any((times := getattr(tally, pick)).counts)],
        )


def _counter(name: str, help_: str, labels: tuple[str, ...], values: Values) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    metric = CounterMetricFamily(name, help_, labels=labels)
    for key, value in values:
        metric.add_metric(key, value)
    return metric


def _gauge(name: str, help_: str, labels: tuple[str, ...], values: Values) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    metric = GaugeMetricFamily(name, help_, labels=labels)
    for key, value in values:
        metric.add_metric(key, float(value))
    return metric


def _summary(name: str, help_: str, means: list[tuple[str, Mean]]) -> Metric:
    from prometheus_client.core import SummaryMetricFamily

    metric = SummaryMetricFamily(name, help_, labels=("family",))
    for family, mean in means:
        metric.add_metric((family,), count_value=mean.count, sum_value=mean.sum)
    return metric


def _histogram(
    name: str,
    help_: str,
    labels: tuple[str, ...],
    histograms: list[tuple[tuple[str, ...], Histogram]],
) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    metric = HistogramMetricFamily(name, help_, labels=labels)
    for key, histogram in histograms:
        metric.add_metric(key, buckets=histogram.cumulated(), sum_value=histogram.sum_ms / 1000)
    return metric
