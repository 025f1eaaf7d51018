"""Where a model should run: on the device or in the cloud, end to end (cli.md, `place`)."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgewise.records.base import Record
from edgewise.records.measuring import Distribution

Way = Literal["device", "cloud"]
#: How a value came about: taken by a clock or a meter here, read from a profile of earlier runs
#: (a store), from a published table, or computed by a model.
Method = Literal["measured", "profile", "published", "model"]


class DevicePhases(Record, frozen=True):
    """One request on the device: means in ms and J, None where not known.

    `total_ms = preprocess_ms + inference_ms + postprocess_ms`, with the model loaded;
    `first_total_ms = total_ms + load_ms`. So `load_ms` is all that the first answer takes longer
    than a later one: the load, and of it `warmup_ms`, by which the first inference is slower.
    `energy_j` is the device's compute for a later answer, `first_energy_j` for the first one.
    """

    load_ms: float | None = None
    preprocess_ms: float | None = None
    inference_ms: float | None = None
    postprocess_ms: float | None = None
    total_ms: float | None = None
    first_total_ms: float | None = None
    energy_j: float | None = None
    warmup_ms: float | None = None
    first_energy_j: float | None = None


class CloudPhases(Record, frozen=True):
    """One request to the service: means in ms and J, None where not known.

    `total_ms` is the sum of all phases but `connect_ms`: a request that finds its connection open.
    `first_total_ms = total_ms + connect_ms`. So `connect_ms` is all that a request on a new
    connection takes longer: handshakes, a window that is still small (of it `slow_start_ms`, where
    that is known apart), and the promotion of a radio that only the first request finds asleep;
    where all find it so, `upload_ms` holds it. `promotion_ms` is the promotion in either, None
    where it is not known apart. `preprocess_ms` is on both sides; of it `server_preprocess_ms` on
    the server. `upload_ms` and `download_ms` are half a round trip each with the time on the rate.

    `energy_j` is the device's energy per request of a run of `Placement.requests` that share the
    radio's promotion and tail, and `first_energy_j` of a request by itself on a new connection:
    `radio_j` (promotion, transfer, waiting, tail) and `compute_j` (preprocess, encode,
    postprocess) add up to `energy_j`, with `base_j` of base and screen where they count.
    `single_energy_j` is that of a run of one: the whole tail is its own. The server's energy
    is not counted.
    """

    preprocess_ms: float | None = None
    encode_ms: float | None = None
    connect_ms: float | None = None
    upload_ms: float | None = None
    queue_ms: float | None = None
    inference_ms: float | None = None
    download_ms: float | None = None
    postprocess_ms: float | None = None
    total_ms: float | None = None
    first_total_ms: float | None = None
    energy_j: float | None = None
    server_preprocess_ms: float | None = None
    slow_start_ms: float | None = None
    promotion_ms: float | None = None
    first_energy_j: float | None = None
    radio_j: float | None = None
    compute_j: float | None = None
    base_j: float | None = None
    single_energy_j: float | None = None


class BreakEven(Record, frozen=True):
    """Where both ways take the same time, all else as in the row; None: nowhere, and why.

    The cloud is faster above `uplink_mbps` and below `rtt_ms`. Where somebody has to prepare a
    photo, it is whoever makes the answer sooner there.
    """

    uplink_mbps: float | None = None
    rtt_ms: float | None = None
    uplink_reason: str | None = None
    rtt_reason: str | None = None


class FrontierPoint(Record, frozen=True):
    """The uplink above which the cloud is faster at a round trip; None where `faster` is, at any
    rate."""

    rtt_ms: float
    uplink_mbps: float | None = None
    faster: Way | None = None


class Placement(Record, frozen=True):
    """A model on a device against a service behind a link.

    `connection` says what a request finds: `warm` compares `total_ms` of both ways; with `fresh`
    every request opens its connection and the cloud counts with `first_total_ms`, the model
    staying loaded on the device. `first_faster` compares the very first answers, `first_total_ms`
    of both. `time_ratio` and `energy_ratio` are the device's over the cloud's: above 1 the cloud is
    faster, or spares the battery (`frugal`); `single_frugal` and `single_energy_ratio` are those of
    one request alone, with the model loaded on the device. `radio` says how the first of `requests`
    requests finds it; before each later one there are `gap_ms` of silence, in which the radio falls
    asleep if they exceed its tail. `where_to_preprocess` says who makes the model's input of a
    photo in the cloud's way, and `preprocess_gain_ms` how much longer the cloud's answer took
    otherwise.
    `frontier` is the break-even uplink over round trips, all else as in the row.

    `methods` maps a field (`on_device.inference_ms`) to how it came about, `distributions` some
    of them to all that was seen, in ms. `cloud_share` is the fraction of requests that the cloud
    answered sooner, where single ones were compared. A row that has no numbers has a `reason`.
    """

    model: str
    device: str
    server: str
    link: str
    connection: Literal["warm", "fresh"] = "warm"
    on_device: DevicePhases | None = None
    cloud: CloudPhases | None = None
    faster: Way | None = None
    frugal: Way | None = None
    time_ratio: float | None = None
    energy_ratio: float | None = None
    break_even: BreakEven = BreakEven()
    frontier: tuple[FrontierPoint, ...] = ()
    methods: dict[str, Method] = msgspec.field(default_factory=dict)
    distributions: dict[str, Distribution] = msgspec.field(default_factory=dict)
    verdict: tuple[str, ...] = ()
    first_faster: Way | None = None
    first_time_ratio: float | None = None
    first_energy_ratio: float | None = None
    single_frugal: Way | None = None
    single_energy_ratio: float | None = None
    where_to_preprocess: Way | None = None
    preprocess_gain_ms: float | None = None
    cloud_share: float | None = None
    radio: Literal["active", "idle"] = "active"
    requests: int = 1
    gap_ms: float = 0.0
    payload_bytes: float | None = None
    reply_bytes: float | None = None
    uplink_mbps: float | None = None
    downlink_mbps: float | None = None
    rtt_ms: float | None = None
    sha256: str | None = None
    family: str | None = None
    recipe: str | None = None
    started_at: str | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()


class PlacementMix(Record, frozen=True):
    """One model for many users, each behind a link of their own.

    `cloud_share` is the fraction of users whom the cloud answers sooner, `cloud_frugal_share` of
    those whose battery it spares (of the users whose radio is known: `frugal_users_share`), in a
    run of requests that share the radio's tail; `single_cloud_j` and `single_cloud_frugal_share`
    are those of one request alone.
    Means are over users, in ms and J; `best_ms` sends every user the faster way.
    `cost_per_million` is the server's for a million requests that all go to the cloud,
    `best_cost_per_million` where only those go that the cloud answers sooner: in the currency of
    `price_per_core_hour`, `service_ms` of `cores` at `utilisation`. `by_link` maps a link's name to
    its share, `cloud_by_link` to the fraction of its users whom the cloud answers sooner.
    """

    model: str
    device: str
    server: str
    mix: str
    users: int
    connection: Literal["warm", "fresh"]
    cloud_share: float
    device_ms: float
    cloud_ms: float
    best_ms: float
    cloud_frugal_share: float | None = None
    frugal_users_share: float | None = None
    single_cloud_frugal_share: float | None = None
    device_j: float | None = None
    cloud_j: float | None = None
    single_cloud_j: float | None = None
    service_ms: float | None = None
    cores: float = 1.0
    utilisation: float | None = None
    price_per_core_hour: float | None = None
    cost_per_million: float | None = None
    best_cost_per_million: float | None = None
    by_link: dict[str, float] = msgspec.field(default_factory=dict)
    cloud_by_link: dict[str, float] = msgspec.field(default_factory=dict)
    methods: dict[str, Method] = msgspec.field(default_factory=dict)
    notes: tuple[str, ...] = ()
