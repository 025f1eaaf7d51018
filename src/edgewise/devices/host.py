"""This machine: what it is, what state it is in, which meters it has.

Everything is read from `/proc` and `/sys` where they exist (Linux), through `platform` and `sysctl`
elsewhere. What the machine does not tell is None, never a guess.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from edgewise import __version__
from edgewise.devices import cores
from edgewise.records import Context, Device, DeviceFacts

NAME = "host"
_ROOT = Path("/")
_CPUS = "sys/devices/system/cpu"
_CPU_SENSORS = re.compile(r"x86_pkg_temp|cpu|soc|coretemp|k10temp", re.I)
_CONTAINERS = re.compile(r"docker|kubepods|containerd|libpod|lxc", re.I)


class Processor(NamedTuple):
    """An x86 processor by its numbers, which tell generations apart that share a name."""

    vendor: str
    family: int
    model: int
    stepping: int

    def is_of(self, kind: str) -> bool:
        """Whether it is of a kind: `GenuineIntel 6 85 5-7`, the steppings left out where all are
        meant."""
        vendor, family, model, *steppings = kind.split()
        first, _, last = (steppings[0] if steppings else "0-255").partition("-")
        is_model = (vendor, int(family), int(model)) == self[:3]
        return is_model and int(first) <= self.stepping <= int(last or first)


def processor(root: Path = _ROOT) -> Processor | None:
    """This machine's processor, None where the system does not tell (or it is no x86)."""
    lines = (_text(root / "proc/cpuinfo") or "").partition("\n\n")[0].splitlines()
    said = {
        name.strip(): value.strip() for name, _, value in (each.partition(":") for each in lines)
    }
    try:
        numbers = [int(said[name]) for name in ("cpu family", "model", "stepping")]
        return Processor(said["vendor_id"], *numbers)
    except (KeyError, ValueError):
        return None


def describe() -> Device:
    """The device, without its runtimes: those are found by starting them."""
    context = describe_context()
    parts = (context.cpu_model, f"{context.cores} cores", context.os)
    return Device(
        name=NAME,
        kind="host",
        description=", ".join(part for part in parts if part),
        meters=meters(),
        facts=_facts(context),
        context=context,
    )


def _facts(context: Context) -> DeviceFacts:
    top = top_khz()
    big, little = cores.big_and_little(top)
    reasons = {} if top else {"top_khz": "the kernel has no cpufreq here"}
    memory = context.memory_bytes
    return DeviceFacts(
        soc=context.cpu_model, abi=context.architecture, cores=context.cores, top_khz=top, big=big,
        little=little, memory_kb=None if memory is None else memory // 1024, reasons=reasons,
    )  # fmt: skip


def describe_context(
    *,
    affinity: tuple[int, ...] | None = None,
    versions: Mapping[str, str] | None = None,
    root: Path = _ROOT,
) -> Context:
    """The circumstances now. `affinity`: CPUs that a measurement is pinned to.

    `root` is where `/proc` and `/sys` are, for tests.
    """
    cpu = affinity[0] if affinity else 0
    return Context(
        cpu_model=_cpu_model(root),
        architecture=platform.machine() or None,
        cores=os.cpu_count(),
        affinity=affinity if affinity is not None else available_cpus(),
        governor=_text(root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"),
        frequency_mhz=_frequency_mhz(root, cpu),
        load_average=_load_average(),
        temperature_c=temperature_c(root),
        memory_bytes=_memory_bytes(),
        os=_os_name(root),
        kernel=f"{platform.system()} {platform.release()}".strip() or None,
        container=_container(root),
        python=platform.python_version(),
        versions={"edgewise": __version__, **(versions or {})},
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def available_cpus() -> tuple[int, ...] | None:
    """The CPUs this process may use, None where the system does not tell."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    return tuple(sorted(os.sched_getaffinity(0)))


def meters(root: Path = _ROOT) -> tuple[str, ...]:
    """Names of what could measure power here: RAPL domains, and batteries that report a current."""
    found = [
        f"rapl:{_text(zone / 'name') or zone.name}"
        for zone in sorted((root / "sys/class/powercap").glob("*:*"))
        if (zone / "energy_uj").exists()
    ]
    for supply in sorted((root / "sys/class/power_supply").glob("*")):
        reports = any((supply / name).exists() for name in ("power_now", "current_now"))
        if _text(supply / "type") == "Battery" and reports:
            found.append(f"battery:{supply.name}")
    return tuple(found)


def _text(path: Path) -> str | None:
    """A one-line file of the kernel, None where it is absent, empty or not for us."""
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None


def _cpu_model(root: Path) -> str | None:
    for line in (_text(root / "proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "Hardware", "cpu model"):
            return value.strip() or None
    if sys.platform == "darwin":
        return _sysctl("machdep.cpu.brand_string")
    return platform.processor() or None


def _sysctl(name: str) -> str | None:
    answer = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def _frequency_mhz(root: Path, cpu: int) -> float | None:
    """The CPU's frequency now; from cpuinfo where there is no cpufreq (virtual machines)."""
    khz = _text(root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq")
    if khz and khz.isdigit():
        return int(khz) / 1e3
    all_mhz = re.findall(r"^cpu MHz\s*:\s*([\d.]+)", _text(root / "proc/cpuinfo") or "", re.M)
    return float(all_mhz[cpu]) if cpu < len(all_mhz) else None


def frequencies_khz() -> tuple[int | None, ...]:
    """The frequency of every CPU now; empty where the kernel has no cpufreq."""
    return _cpufreq_khz("scaling_cur_freq")


def top_khz() -> tuple[int | None, ...]:
    """The highest frequency of every CPU; empty where the kernel has no cpufreq."""
    return _cpufreq_khz("cpuinfo_max_freq")


def _cpufreq_khz(name: str) -> tuple[int | None, ...]:
    folder = _ROOT / _CPUS
    present = len(list(folder.glob("cpu[0-9]*")))
    read = [_text(folder / f"cpu{n}/cpufreq/{name}") for n in range(present)]
    found = tuple(int(khz) if khz and khz.isdigit() else None for khz in read)
    return found if any(found) else ()


def _load_average() -> float | None:
    """Mean number of runnable threads over the last minute."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None


def temperature_c(root: Path = _ROOT) -> float | None:
    """The hottest sensor of the processor."""
    readings = []
    for zone in (root / "sys/class/thermal").glob("thermal_zone*"):
        value = _text(zone / "temp")
        if _CPU_SENSORS.search(_text(zone / "type") or "") and value and value.isdigit():
            readings.append(int(value) / 1e3)
    return max(readings, default=None)


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return None


def _os_name(root: Path) -> str | None:
    for line in (_text(root / "etc/os-release") or "").splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip('"') or None
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    return platform.system() or None


def _container(root: Path) -> str | None:
    """The kind of container, "none" where there is no sign of one, None where it cannot be told."""
    for marker, kind in ((".dockerenv", "docker"), ("run/.containerenv", "podman")):
        if (root / marker).exists():
            return kind
    groups = _text(root / "proc/self/cgroup")
    if groups is None:
        return None
    found = _CONTAINERS.search(groups)
    return found.group().lower() if found else "none"
