"""A browser as a device: `browser` (any that opens the page), `browser:SERIAL` (by cable)."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgewise import records
from edgewise.devices.adb.client import Adb, quoted, start_server
from edgewise.devices.browser import certificate, fixing, packages
from edgewise.devices.browser.server import Desk, Server, own_addresses
from edgewise.devices.contract import Device, Offer, Options
from edgewise.devices.job import Job, Report
from edgewise.errors import DeviceError, MissingExtra, RuntimeRefused, UsageError
from edgewise.records import Context, DeviceFacts, DeviceState, Target
from edgewise.sandbox import Limits

NAME = "browser"
SYNTAX = "browser, browser:SERIAL"
_LITERT, _ONNX = "litert.js", "onnxruntime-web"
RUNTIMES: tuple[str, ...] | None = (_LITERT, _ONNX)
_OPENED_WITHIN_S = 600.0


def open(name: str, options: Options) -> Sequence[Device]:
    """See `Kind.open`."""
    return [Browser(name, options)]


def present() -> Sequence[records.Device]:
    """See `Kind.present`. One can be had wherever the packages are prepared."""
    try:
        where = packages.folder(None)
    except DeviceError as error:
        why = str(error)
        return [
            records.Device(
                name=NAME, kind=NAME, description="any browser that opens the page",
                available=False, notes=(why,),
            )
        ]  # fmt: skip
    runtimes = tuple(
        records.RuntimeInfo(
            name=each.name, version=packages.version(where, each.name), delegates=each.delegates,
            formats=each.formats,
        )
        for each in Browser.offers or ()
    )  # fmt: skip
    return [
        records.Device(
            name=NAME, kind=NAME, description="any browser that opens the page", runtimes=runtimes
        )
    ]


def prepare(name: str, options: Options) -> Iterator[str]:
    """See `Kind.prepare`: the files of LiteRT.js and onnxruntime-web, into the cache."""
    return packages.prepare(options.packages, options.url)


def check_affinity(name: str, affinity: tuple[int, ...]) -> None:
    """See `Kind.check_affinity`."""
    raise UsageError("a browser does not pin its threads: leave out the affinity")


class Browser:
    """One browser, from when it opens the page. See `Device`."""

    kind = NAME
    offers: tuple[Offer, ...] | None = (
        Offer(_LITERT, ("tflite",), ("wasm", "webgpu"), "wasm"),
        Offer(_ONNX, ("onnx",), ("wasm",), "wasm"),
    )
    phases = frozenset({"load"})

    def __init__(self, name: str, options: Options) -> None:
        serial = name.partition(":")[2]
        self.name = name
        # Anybody's browser may be one of this machine: the two are not measured at the same time.
        self.place = name if serial else "host"
        self._options = options
        self._adb = Adb(serial) if serial else None
        self._desk: Desk | None = None
        self._servers: list[Server] = []
        self._numbers = itertools.count(1)
        self._how = ""
        self._link_told = False
        self._reversed = 0
        self._begun: set[tuple[str, Target]] = set()

    def describe(self) -> records.Device:
        """See `Device.describe`."""
        said = self._hello()
        context = self.context()
        return records.Device(
            name=self.name,
            kind=self.kind,
            description=str(said.get("user_agent"))[:200],
            facts=DeviceFacts(
                cores=context.cores,
                memory_kb=None if context.memory_bytes is None else context.memory_bytes // 1024,
                reasons={"soc": "a browser does not tell", "top_khz": "a browser does not tell"},
            ),
            context=context,
            notes=tuple(self._notes()),
        )

    def context(self, *, affinity: tuple[int, ...] | None = None) -> Context:
        """See `Device.context`. Waits until the page is opened."""
        said = self._hello()
        where = self._desk_now().packages
        memory = said.get("memory_gb")
        cores = said.get("cores")
        return Context(
            cores=cores if isinstance(cores, int) else None,
            memory_bytes=int(memory * (1 << 30)) if isinstance(memory, int | float) else None,
            os=str(said.get("user_agent"))[:300],
            versions={name: packages.version(where, name) for name in packages.RUNTIMES},
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def state(self) -> DeviceState:
        """See `Device.state`: a browser tells nothing of temperature, frequency or battery."""
        return DeviceState(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            notes=("a browser tells no temperature, frequency or battery",),
        )

    def put(self, file: Path, sha256: str, *, beside: str | None = None) -> str:
        """See `Device.put`: the page fetches it."""
        if beside is not None:
            raise RuntimeRefused("a model with its weights in other files is not run in a browser")
        name = f"{sha256[:16]}{file.suffix}"
        if name not in self._desk_now().models:
            content: Path | bytes = file
            if file.read_bytes()[4:8] == b"TFL3":
                content, changed = fixing.fixed(file.read_bytes())
                if not changed:
                    content = file
            self._desk_now().models[name] = content
        return name

    def measure(self, job: Job, limits: Limits) -> Report:
        """See `Device.measure`: one frame of the page is one process."""
        self._check(job)
        number = str(next(self._numbers))
        asked = {
            "id": number,
            "model": f"models/{job.path}",
            "name": job.path,
            "runtime": job.target.runtime,
            "delegate": job.target.delegate,
            "threads": job.target.threads or 1,
            "batch": job.target.batch,
            "shapes": {name: list(shape) for name, shape in job.shapes.items()},
            "purpose": job.purpose,
            "runs": job.runs,
            "warmup_runs": job.warmup_runs,
            "min_s": job.min_time_s,
            "max_s": job.max_time_s,
            "limit_s": limits.seconds,
            "seed": job.seed,
        }
        said = self._desk_now().ask(asked, limits.seconds + 5)
        if "failed" in said:
            raise RuntimeRefused(str(said["failed"])[:300])
        version = packages.version(self._desk_now().packages, job.target.runtime)
        first = (job.path, job.target) not in self._begun
        self._begun.add((job.path, job.target))
        return _report(said, job, self._notes(), version, first=first)

    def close(self) -> None:
        """See `Device.close`."""
        if self._desk is not None:
            self._desk.close()
        for server in self._servers:
            if self._adb is not None:
                self._adb.unreverse(self._reversed)
            server.close()
        self._servers = []

    def _check(self, job: Job) -> None:
        if job.input_path is not None:
            raise RuntimeRefused("inputs are made in the browser: leave out --input")
        if job.rate_hz is not None:
            raise RuntimeRefused("the page does not pace its runs: leave out --rate")
        if job.target.runtime == _LITERT and (job.target.batch != 1 or job.shapes):
            raise RuntimeRefused("LiteRT.js does not resize inputs: leave out --batch and --shape")

    def _desk_now(self) -> Desk:
        if self._desk is None:
            self._desk = Desk(packages.folder(self._options.packages))
            self._listen(self._desk)
        return self._desk

    def _hello(self) -> dict[str, Any]:
        """What the browser told when it opened the page; waits for one.

        Raises:
            DeviceError: none came.
        """
        desk = self._desk_now()
        if not desk.came.wait(_OPENED_WITHIN_S):
            raise DeviceError(f"no browser opened the page within {_OPENED_WITHIN_S:g} s")
        assert desk.hello is not None
        if self._options.on_link is not None and not self._link_told:
            self._link_told = True
            self._options.on_link(_rows(desk.hello.get("link")))
        return desk.hello

    def _listen(self, desk: Desk) -> None:
        """By plain http on this machine's loopback (a secure page), and to the network by https."""
        host, _, port = (self._options.listen or "").rpartition(":")
        local = Server(desk, ("127.0.0.1", 0 if host else int(port or 0)), None)
        self._servers.append(local)
        page = f"http://localhost:{local.port}/{desk.token}/"
        if self._adb is not None:
            start_server()
            self._reversed = self._adb.reverse(local.port)
            page = f"http://localhost:{self._reversed}/{desk.token}/"
            self._adb.shell(f"am start -a android.intent.action.VIEW -d {quoted(page)}")
            self._how = "by cable (adb reverse)"
            self._tell(f"open on the phone, if it does not open itself: {page}")
            return
        self._tell(f"on this machine: {page}")
        addresses = [host] if host else own_addresses()
        if not addresses:
            return
        tls, scheme = None, "http"
        if not self._options.plain:
            try:
                tls, fingerprint = certificate.context(addresses)
                scheme = "https"
                self._tell(
                    "the certificate was made just now; the browser warns once. Its SHA-256 "
                    f"fingerprint: {fingerprint}"
                )
            except MissingExtra as error:
                self._tell(f"plain http, so one thread and a coarse clock: {error}")
        server = Server(desk, (addresses[0], int(port or 0) if host else 0), tls)
        self._servers.append(server)
        address = f"{scheme}://{addresses[0]}:{server.port}/{desk.token}/"
        self._tell(f"on a phone: {address}")
        self._tell(qr_code(address))

    def _tell(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def _notes(self) -> list[str]:
        """What a reader of the record should know about this browser."""
        said = self._hello()
        secure, isolated = said.get("secure"), said.get("isolated")
        step = said.get("clock_step_ms")
        how = self._how or f"by {str(said.get('protocol')).rstrip(':')}"
        notes = [
            f"browser: opened {how}, secure: {_yes(secure)}, isolated: {_yes(isolated)}, "
            f"WebGPU: {_yes(said.get('webgpu'))}"
        ]
        if isinstance(step, int | float):
            notes.append(f"browser: its clock has steps of {step * 1e3:.3g} µs")
        if not isolated:
            notes.append("browser: not isolated, so one thread only and a coarse clock")
        return notes


def _rows(told: object) -> list[list[float]]:
    """What the page told of its requests, as far as they are rows of four numbers."""
    rows = told if isinstance(told, list) else []
    return [
        [float(each) for each in row]
        for row in rows
        if isinstance(row, list) and len(row) == 4 and all(isinstance(e, int | float) for e in row)
    ]


def _yes(value: object) -> str:
    return "yes" if value is True else "no"


def qr_code(text: str) -> str:
    """A QR code for a terminal; a sentence where the extra is missing."""
    try:
        import io

        import segno
    except ImportError:
        return "(a QR code needs the extra 'browser': pip install 'edgewise[browser]')"
    out = io.StringIO()
    segno.make(text, error="l").terminal(out=out, compact=True)
    return out.getvalue()


def _report(
    said: dict[str, Any], job: Job, notes: list[str], version: str, *, first: bool
) -> Report:
    """What a frame measured.

    Raises:
        RuntimeRefused: it is no measurement.
    """
    try:
        samples = [round(float(ms) * 1e6) for ms in said["samples_ms"]]
        warmup = [round(float(ms) * 1e6) for ms in said["warmup_ms"]]
        load_ms, first_ms = float(said["load_ms"]), float(said["first_ms"])
        calls, runtime_ms = int(said["calls"]), float(said["runtime_ms"])
    except (KeyError, TypeError, ValueError) as error:
        raise RuntimeRefused(f"the page told no measurement: {error}") from error
    if calls > 1:
        notes = [*notes, f"each sample is the mean of {calls} calls: the clock is too coarse"]
    if said.get("visible") != "visible":
        notes = [*notes, "the page was not in front: browsers slow such pages down"]
    if first:
        notes = [*notes, f"the runtime itself started in {runtime_ms:.0f} ms, not in load_ms"]
        if job.target.runtime == _ONNX:
            notes.append("load_ms has the compilation of the runtime's WebAssembly in it")
    if job.target.delegate == "webgpu" and said.get("warnings"):
        notes.append(f"the console said: {str(said['warnings'][-1])[:200]}")
    return Report(
        versions={job.target.runtime: version},
        load_ns=round(load_ms * 1e6),
        first_ns=round(first_ms * 1e6),
        evicted=False,
        warmup_ns=warmup,
        timed_ns=samples,
        spent_s=(sum(samples) * calls + sum(warmup)) / 1e9,
        notes=notes,
    )
