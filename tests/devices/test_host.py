"""This machine as a device; a machine that tells nothing gives None, never a guess."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edgewise.devices import host
from edgewise.devices.context import same_context


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A made-up `/proc` and `/sys`."""

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write("proc/cpuinfo", "processor\t: 0\nmodel name\t: Example 3000\ncpu MHz\t\t: 2400.5\n")
    write("proc/self/cgroup", "0::/kubepods/pod1\n")
    write("etc/os-release", 'ID=debian\nPRETTY_NAME="Example OS 1"\n')
    for cpu, governor in ((0, "powersave"), (1, "performance")):
        folder = f"sys/devices/system/cpu/cpu{cpu}/cpufreq"
        write(f"{folder}/scaling_governor", f"{governor}\n")
        write(f"{folder}/scaling_cur_freq", f"{1_000_000 * (cpu + 1)}\n")
    write("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n")
    write("sys/class/thermal/thermal_zone0/temp", "45500\n")
    write("sys/class/thermal/thermal_zone1/type", "wifi\n")
    write("sys/class/thermal/thermal_zone1/temp", "99000\n")
    write("sys/class/powercap/intel-rapl:0/energy_uj", "1\n")
    write("sys/class/powercap/intel-rapl:0/name", "package-0\n")
    write("sys/class/power_supply/BAT0/type", "Battery\n")
    write("sys/class/power_supply/BAT0/current_now", "1\n")
    write("sys/class/power_supply/AC/type", "Mains\n")
    return tmp_path


def test_context_is_read(machine: Path) -> None:
    context = host.describe_context(root=machine, versions={"litert": "2"})
    assert context.cpu_model == "Example 3000"
    assert (context.governor, context.frequency_mhz) == ("powersave", 1000)
    assert context.temperature_c == 45.5
    assert context.container == "kubepods"
    assert context.os == "Example OS 1"
    assert context.versions["litert"] == "2"


def test_pinned_cpu_tells_governor_and_frequency(machine: Path) -> None:
    context = host.describe_context(root=machine, affinity=(1,))
    assert (context.governor, context.frequency_mhz) == ("performance", 2000)
    assert context.affinity == (1,)


def test_meters(machine: Path) -> None:
    assert host.meters(machine) == ("rapl:package-0", "battery:BAT0")


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    context = host.describe_context(root=tmp_path)
    assert context.governor is context.frequency_mhz is context.temperature_c is None
    assert context.container is None
    assert host.meters(tmp_path) == ()


def test_contexts_agree_unless_machine_or_versions_differ(machine: Path) -> None:
    a = host.describe_context(root=machine)
    assert same_context(a, msgspec.structs.replace(a, load_average=9.0, frequency_mhz=1.0))
    assert not same_context(a, msgspec.structs.replace(a, versions={"litert": "3"}))
    assert not same_context(a, msgspec.structs.replace(a, affinity=(1,)))


CPUINFO = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R) Xeon(R) Processor
stepping\t: 7

processor\t: 1
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 79
stepping\t: 1
"""


def test_a_processor_by_its_numbers(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(CPUINFO)
    found = host.processor(tmp_path)
    assert found == ("GenuineIntel", 6, 85, 7)
    assert found.is_of("GenuineIntel 6 85")
    assert found.is_of("GenuineIntel 6 85 7")
    assert found.is_of("GenuineIntel 6 85 5-7")
    assert not found.is_of("GenuineIntel 6 85 0-4")
    assert not found.is_of("AuthenticAMD 6 85")


@pytest.mark.parametrize("text", ["", "processor: 0\nHardware: a phone\n", "model: x\n"])
def test_a_processor_that_tells_no_numbers_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(text)
    assert host.processor(tmp_path) is None
