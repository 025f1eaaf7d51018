"""What this installation has, what is missing for what, and how to mend it. Changes nothing."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Literal

from edgewise import __version__, extras
from edgewise.errors import DeviceError, EdgewiseError, MissingExtra
from edgewise.records.base import Record

Status = Literal["ok", "missing", "problem"]


class Finding(Record, frozen=True):
    """One part: `what` it is, whether it is there, the verbs that want it, and how to mend it.

    `missing` stops only what `needed_for` says; a `problem` is there and does not work.
    """

    what: str
    status: Status
    needed_for: str
    detail: str
    mend: str | None = None


#: What each extra is wanted for.
EXTRAS: Mapping[str, str] = {
    "store": "--store, query, study, URLs of object storage: a store",
    "select": "simulate, recommend, serve: which variant per request",
    "report": "report, plot, ui, simulate --plot: pictures",
    "litert": "bench, eval, place, serve: TFLite models",
    "onnx": "bench, eval, place, serve: ONNX models",
    "openvino": "bench, eval, serve: OpenVINO models, and others through it",
    "ncnn": "bench, eval, serve: ncnn models",
    "mnn": "bench, eval, serve: MNN models",
    "executorch": "bench, eval, serve: ExecuTorch programs",
    "llamacpp": "bench: GGUF models",
    "images": "eval, bench, place, serve: pictures as inputs",
    "client": "edgewise.Client, load, place: asking a service",
    "serve": "serve, load, place, demo: the service",
    "fetch": "fetch: signatures of F-Droid repositories",
    "bom": "scan --bom: a bill of materials",
    "adb": "bench --device adb: an adb client where the system has none",
    "browser": "bench --device browser: https and a code to scan",
    "ray": "scan --ray, serve on a cluster",
}
#: Programs of others: names to look for, what for, how to get one.
_TOOLS = (
    ("adb", ("adb",), "bench, fetch, devices: phones", "apt-get install adb"),
    ("ssh", ("ssh",), "bench --device ssh: boards", "apt-get install openssh-client"),
    ("chromium", ("chromium", "chromium-browser", "google-chrome", "chrome"),
     "bench --device browser: a browser on this machine", "apt-get install chromium"),
    ("uhubctl", ("uhubctl",), "bench --hub: cutting a phone's USB power",
     "apt-get install uhubctl"),
    ("apkeep", ("apkeep",), "fetch play:…: packages of Google Play", "cargo install apkeep"),
    ("fdroidserver", ("fdroid",), "a repository of your own, for fetch to read",
     "apt-get install fdroidserver"),
)  # fmt: skip


def findings() -> Iterator[Finding]:
    """All of them, each as soon as it is known; a look that fails is a finding too."""
    parts: tuple[Callable[[], Iterator[Finding]], ...] = (
        _versions, _extras, _tools, _devices, meters, _folders, _completion,
    )  # fmt: skip
    for part in parts:
        try:
            yield from part()
        except (EdgewiseError, OSError, ImportError) as error:
            what = part.__name__.strip("_")
            yield Finding(what=what, status="problem", needed_for="", detail=str(error))


def _versions() -> Iterator[Finding]:
    every = "every verb"
    yield Finding(what="edgewise", status="ok", needed_for=every, detail=__version__)
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system()} {platform.machine()}"
    yield Finding(what="python", status="ok", needed_for=every, detail=f"{interpreter}, {system}")


def _extras() -> Iterator[Finding]:
    brought = packages_distributions()
    for extra, modules in extras.MODULES.items():
        needed_for = EXTRAS.get(extra, "")
        if absent := extras.missing_modules(extra):
            yield Finding(
                what=f"extra {extra}", status="missing", needed_for=needed_for,
                detail=f"not installed: {', '.join(absent)}",
                mend=MissingExtra(extra, needed_for).hint,
            )  # fmt: skip
            continue
        # Of a namespace such as google, any package may bring the part that is meant.
        names = {
            name
            for module in modules
            for name in (brought.get(module) or [])[:1]
        } | ({"protobuf"} if "google.protobuf" in modules else set())  # fmt: skip
        detail = ", ".join(f"{name} {version(name)}" for name in sorted(names, key=str.lower))
        yield Finding(
            what=f"extra {extra}", status="ok", needed_for=needed_for, detail=detail or "installed"
        )


def _tools() -> Iterator[Finding]:
    for name, programs, needed_for, mend in _TOOLS:
        found = next(filter(None, map(shutil.which, programs)), None)
        if found is None and name == "adb":
            found = _adb_of_the_extra()
        yield Finding(
            what=f"tool {name}", status="ok" if found else "missing", needed_for=needed_for,
            detail=found or "not on the PATH", mend=None if found else mend,
        )  # fmt: skip


def _adb_of_the_extra() -> str | None:
    from edgewise.devices.adb import client

    try:
        return client.binary()
    except DeviceError:
        return None


def _devices() -> Iterator[Finding]:
    """Devices, and whether the runtimes that are installed here start: each in a process."""
    from edgewise.bench import inventory

    absent = extras.missing(extras.MODULES)
    for device in inventory.devices():
        usable = device.available
        # A name without an address is a kind of device that nothing was prepared for yet.
        status: Status = "ok" if usable else "problem" if ":" in device.name else "missing"
        yield Finding(
            what=f"device {device.name}", status=status,
            needed_for=f"bench --device {device.name}",
            detail=device.description + (": not prepared" if status == "missing" else ""),
            mend=None if usable else "; ".join(device.notes) or None,
        )  # fmt: skip
        for runtime in device.runtimes:
            reason = runtime.reason or ""
            if not runtime.available and any(f"'{extra}'" in reason for extra in absent):
                continue  # the extra's own finding says it
            yield Finding(
                what=f"runtime {runtime.name} on {device.name}",
                status="ok" if runtime.available else "problem",
                needed_for=f"bench --runtime {runtime.name}: {', '.join(runtime.formats)}",
                detail=reason or f"{runtime.version or 'version unknown'}; "
                f"{', '.join(runtime.delegates)}",
            )  # fmt: skip


def meters(root: Path = Path("/")) -> Iterator[Finding]:
    """The kinds of meters that a system below `root` can have, and whether they can be read."""
    from edgewise.energy.meters import registry
    from edgewise.energy.meters.files import Folder

    for kind in registry.kinds():
        if not kind.HOMES:  # it reads recordings, or has hardware of its own
            continue
        status: Status = "missing"
        detail, mend = f"no such meter here: {kind.HELP}", None
        try:
            if gauge := registry.find(Folder(root), kind.NAME):
                status, detail = "ok", f"measures {gauge.boundary}"
        except DeviceError as error:
            status, detail, mend = "problem", error.message, error.hint
        yield Finding(
            what=f"meter {kind.NAME}", status=status,
            needed_for=f"bench --meter {kind.NAME}: energy", detail=detail, mend=mend,
        )  # fmt: skip


def _folders() -> Iterator[Finding]:
    from edgewise.devices.adb.binaries import cache_folder

    folder = cache_folder()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    yield Finding(
        what="cache folder", status="ok" if writable else "problem",
        needed_for="devices prepare: what is fetched for devices", detail=str(folder),
        mend=None if writable else f"make {there} writable, or set XDG_CACHE_HOME",
    )  # fmt: skip
    yield _compiled()


def _compiled() -> Finding:
    needed_for = "simulate, recommend, serve: a quick start"
    if extras.missing(["select"]):
        return Finding(
            what="compiled code", status="missing", needed_for=needed_for,
            detail="what compiles it is not installed",
            mend=MissingExtra("select", needed_for).hint,
        )  # fmt: skip
    from edgewise.selection import compiled

    folder = compiled.folder()
    if folder is None:
        return Finding(
            what="compiled code", status="problem", needed_for=needed_for,
            detail="no folder for it can be written: every run compiles anew",
            mend="set NUMBA_CACHE_DIR to a folder that can be written",
        )  # fmt: skip
    kept = sum(1 for _ in folder.rglob("*.nbi"))
    return Finding(
        what="compiled code", status="ok" if kept else "missing", needed_for=needed_for,
        detail=f"{kept} functions in {folder}",
        mend=None if kept else "made by the first `edgewise simulate`, which takes longer",
    )  # fmt: skip


def _completion() -> Iterator[Finding]:
    shell = Path(os.environ.get("SHELL", "")).name
    written = {
        "bash": Path(".bash_completions/edgewise.sh"),
        "zsh": Path(".zfunc/_edgewise"),
        "fish": Path(".config/fish/completions/edgewise.fish"),
    }.get(shell)
    there = written is not None and (Path.home() / written).is_file()
    yield Finding(
        what="shell completion", status="ok" if there else "missing",
        needed_for="completing verbs and options with the tab key",
        detail=str(Path.home() / written) if there and written
        else f"not set up for {shell or 'an unknown shell'}",
        mend=None if there else "edgewise --install-completion",
    )  # fmt: skip
