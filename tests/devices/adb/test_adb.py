"""What is read of a phone, without one: states, listings, temperatures, masks, flags, ports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgewise.devices import lock
from edgewise.devices.adb import binaries, hub, measuring, program, state, states, usb
from edgewise.devices.adb.client import Adb, Done, Lost, parse_devices
from edgewise.devices.job import Job
from edgewise.errors import DeviceError, RuntimeRefused, UsageError
from edgewise.records import Target


def job(**changes: Any) -> Job:
    known: dict[str, Any] = {
        "path": "/m", "files": (), "target": Target(delegate="xnnpack"), "purpose": "timed",
        "evicted": False, "shapes": {}, "input_path": None, "seed": 0, "runs": 50,
        "min_time_s": 1.0, "max_time_s": 20.0, "warmup_runs": None,
    }  # fmt: skip
    return Job(**(known | changes))


def test_every_state_of_the_listing_has_a_sentence() -> None:
    listed = parse_devices(
        "* daemon started successfully\nList of devices attached\n"
        "R5CT1 device usb:1-1 product:o1s model:SM_G991B\n"
        "192.168.1.4:5555\tunauthorized\n"
        "adb-X._adb-tls-connect._tcp offline transport_id:3\n"
        "0123 no permissions (user in plugdev group; are your udev rules wrong?); see [http://x]\n"
        "emu recovery\n\n"
    )
    assert [(serial, one) for serial, (one, _) in listed.items()] == [
        ("R5CT1", "device"), ("192.168.1.4:5555", "unauthorized"),
        ("adb-X._adb-tls-connect._tcp", "offline"), ("0123", "no permissions"),
        ("emu", "recovery"),
    ]  # fmt: skip
    sentences = {one: states.sentence(one) for _, (one, _) in listed.items()}
    assert sentences.pop("device") is None
    assert len(set(sentences.values())) == 4 and all(sentences.values())
    assert "'dreaming'" in (states.sentence("dreaming") or "")


THERMAL = """IsStatusOverride: false
Thermal Status: 3
Cached temperatures:
\tTemperature{mValue=27.0, mType=3, mName=skin, mStatus=0}
HAL Ready: true
Current temperatures from HAL:
\tTemperature{mValue=39.6, mType=0, mName=CPU, mStatus=0}
\tTemperature{mValue=41.5, mType=3, mName=skin, mStatus=3}
\tTemperature{mValue=0.0, mType=2, mName=SUBBAT, mStatus=0}
\tTemperature{mValue=NaN, mType=3, mName=skin2, mStatus=0}
Current cooling devices from HAL:
\tTemperature{mValue=99.0, mType=3, mName=none, mStatus=0}
"""


def test_only_what_the_sensors_say_now_counts() -> None:
    found = state.temperatures(THERMAL, "  temperature: 312\n")
    assert (found.skin, found.battery, found.status) == (41.5, 31.2, 3)
    assert found.ignored == ("SUBBAT", "skin2")
    now = state.parse({"thermal": THERMAL, "saver": "1\n", "doze": "IDLE\n"})
    assert now.battery_saver is True
    assert ["severe" in now.notes[0], "saver" in now.notes[1], "dozes" in now.notes[2]] == 3 * [
        True
    ]
    without = state.temperatures("HAL Ready: false\n", "  temperature: 298\n")
    assert (without.skin, without.battery) == (None, 29.8)


def test_a_mask_and_what_the_kernel_made_of_it() -> None:
    assert measuring.mask((0, 1, 2, 3)) == "f" and measuring.mask((8,)) == "100"
    all_nine = tuple(range(9))

    def check(had: str, asked: tuple[int, ...]) -> str | None:
        return measuring.pinned_as_asked(Done(f"Cpus_allowed:\t{had}\n", 0), asked, all_nine)

    assert check("100", (8,)) is None
    with pytest.raises(RuntimeRefused, match="all of them all the same"):
        check("1ff", (8,))
    assert "the kernel says [0, 1]" in (check("3", (8,)) or "")
    assert "does not tell" in (measuring.pinned_as_asked(Done("", 0), (8,), all_nine) or "")


def test_which_of_the_two_programs_and_its_flags() -> None:
    assert program.which(b"\x7fELF... --use_npu dispatch_library_path") == "litert2"
    assert program.which(b"#!/bin/sh\necho --use_nnapi") == "tflite"
    said = program.flags("tflite", job(target=Target(delegate="gpu", threads=4)), "/m")
    assert {"--graph=/m", "--num_threads=4", "--num_runs=50", "--use_gpu=true"} <= {*said}
    assert "--use_npu=true" in program.flags("litert2", job(target=Target(delegate="npu")), "/m")
    assert "--run_frequency=15" in program.flags("tflite", job(rate_hz=15.0), "/m")
    external = job(target=Target(delegate="external=/data/local/tmp/libQnn.so"))
    assert "--external_delegate_path=/data/local/tmp/libQnn.so" in program.flags(
        "tflite", external, "/m"
    )
    shaped = program.flags("tflite", job(shapes={"a": (1, 2), "b": (3,)}), "/m")
    assert {"--input_layer=a,b", "--input_layer_shape=1,2:3"} <= {*shaped}
    for wrong, which in (
        ({"target": Target(delegate="nnapi")}, "litert2"),
        ({"target": Target(delegate="npu")}, "tflite"),
        ({"target": Target(delegate="xnnpack", batch=4)}, "tflite"),
        ({"input_path": "x.npy"}, "tflite"),
    ):
        with pytest.raises(RuntimeRefused):
            program.flags(which, job(**wrong), "/m")  # type: ignore[arg-type]


def test_a_binary_for_another_abi_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    file = tmp_path / "benchmark_model"
    file.write_bytes(b"\x7fELF\x02\x01" + bytes(12) + b"\xb7\x00" + bytes(40))
    assert binaries.read(file, "arm64-v8a")
    with pytest.raises(RuntimeRefused, match="is for arm64-v8a, the phone runs armeabi-v7a"):
        binaries.read(file, "armeabi-v7a")


def test_a_fetched_binary_is_kept_with_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "there").write_bytes(b"a program")
    assert binaries.cached("arm64-v8a") is None
    file, sha256 = binaries.fetch("arm64-v8a", (tmp_path / "there").as_uri())
    assert file.read_bytes() == b"a program" and sha256.startswith("d69ea8cd")
    assert binaries.cached("arm64-v8a") == file
    with pytest.raises(DeviceError, match="no benchmark_model is published for mips"):
        binaries.fetch("mips")


def test_hubs_locks_and_usb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.parse("1-1.4:2") == hub.Port("1-1.4", 2)
    with pytest.raises(UsageError, match="LOCATION:PORT"):
        hub.parse("2")
    tool = tmp_path / "uhubctl"
    tool.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/said\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    hub.without_power(hub.Port("1-1", 2), 0)
    said = (tmp_path / "said").read_text().splitlines()
    assert said == ["-l 1-1 -p 2 -a off", "-l 1-1 -p 2 -a on"]
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    first, second = lock.Lock("1.2.3.4:5"), lock.Lock("1.2.3.4:5")
    first.take()
    with pytest.raises(DeviceError, match="in use by another run"):
        second.take()
    first.release()
    second.take()
    second.release()
    assert lock.file_name("a:b/c") != lock.file_name("a.b/c")
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")
    assert not usb.worth_asking(tmp_path)
    interface = tmp_path / "sys/bus/usb/devices/1-1:1.0"
    interface.mkdir(parents=True)
    for name, value in (("Class", "ff"), ("SubClass", "42"), ("Protocol", "01")):
        (interface / f"bInterface{name}").write_text(f"{value}\n")
    assert usb.worth_asking(tmp_path)


@pytest.mark.parametrize(
    ("said", "output", "status"),
    [
        ("hello\n\nedgewise-end:0\n", "hello\n", 0),
        ("a\r\n\r\nedgewise-end:1\r\n", "a\n", 1),
        # The shell's own word comes another way, and so perhaps later than its last line.
        ("a\n\nedgewise-end:139\nSegmentation fault\n", "a\n\nSegmentation fault\n", 139),
        ("edgewise-end:7\n\nedgewise-end:0\n", "edgewise-end:7\n", 0),
    ],
)
def test_a_commands_end_is_told_by_its_last_mark(
    said: str, output: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Adb, "_run", lambda *_, **__: (0, said))
    assert Adb("R5CT1").once("true") == Done(output, status)


@pytest.mark.parametrize("said", ["", "half of it", "edgewise-end:", "x edgewise-end:0\n"])
def test_output_without_an_end_means_that_the_device_went_away(
    said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Adb, "_run", lambda *_, **__: (1, said))
    with pytest.raises(Lost, match="went away"):
        Adb("R5CT1").once("true")
