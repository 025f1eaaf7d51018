"""How long `scan` takes, and how much memory, against doing only what cannot be avoided.

    python benchmarks/bench_scan.py [PACKAGE…] [--rounds 9] [--mib 100]

Without packages: those of the reference corpus beside the checkout, if it is there, and always a
synthetic one of `--mib` MiB, built on the spot. All of one package's contenders run in one process
in interleaved rounds; what is printed are ratios of their medians, since times depend on the
machine. Below 1: scan is faster.

    scan       scan_package(): hash, directory, manifest, every entry's head, every model
    needed     zlib inflates what scan has to inflate whole (manifest, resources, models, nested
               archives) and the heads of all others; nothing is parsed or hashed
    + hash     the same, and the SHA-256 of the package, by which a record names it
    all        zlib inflates every deflated entry
    androguard androguard's APK() and reading every entry (where it can be imported)
"""

from __future__ import annotations

import argparse
import hashlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from edgewise.apps.manifest import ANDROID
from edgewise.apps.scan import scan_package
from edgewise.archive import Archive, Budget, DiskFile, opens_as_archive
from edgewise.formats.candidates import is_candidate
from smoke import fewer, shortened

HERE = Path(__file__).resolve().parent
CORPUS = HERE.parents[1] / "shared" / "corpus" / "apks"
DIGITS = HERE.parent / "src" / "edgewise" / "demo" / "data" / "digits"
MIB = 1 << 20
HEAD = 512

Contender = Callable[[], object]


def main() -> None:
    """Print one line per package, then the whole command's time."""
    shortened("--rounds", "1", "--mib", "2")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--mib", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgewise-bench-") as folder:
        packages = options.packages or fewer(sorted(CORPUS.glob("*.apk")), [])
        synthetic = Path(folder) / f"synthetic-{options.mib}MiB.apk"
        build(synthetic, options.mib * MIB)
        print(f"{'package':46} {'MB':>6} {'entries':>7} {'scan ms':>8}  scan / "
              f"{'needed':>6} {'+ hash':>6} {'all':>6} "
              f"{'androguard':>10}  {'peak MiB':>8}")  # fmt: skip
        for package in (*packages, synthetic):
            print(line(package, options.rounds), flush=True)
        whole_command(packages[0] if packages else synthetic, options.rounds)
    if androguard(synthetic) is None:
        print("androguard: left out, it cannot be imported here")


def line(package: Path, rounds: int) -> str:
    """One package's row of the table."""
    try:
        archive = Archive(DiskFile(package), Budget())
    except Exception as error:  # noqa: BLE001 (a row, whatever the package)
        return f"{package.name[:46]:46} {error}"
    contenders: dict[str, Contender] = {
        "scan": lambda: scan_package(str(package)),
        "needed": zlib_needed(package, archive),
        "hashed": zlib_needed(package, archive, hashed=True),
        "all": zlib_all(package),
    }
    other = androguard(package)
    if other is not None:
        contenders["androguard"] = other
    medians = interleaved(contenders, rounds)
    ratios = {
        name: f"{medians['scan'] / medians[name]:.2f}" if medians.get(name) else "–"
        for name in ("needed", "hashed", "all", "androguard")
    }
    return (
        f"{package.name[:46]:46} {package.stat().st_size / 1e6:6.1f} {len(archive):7} "
        f"{medians['scan'] * 1e3:8.2f}         {ratios['needed']:>6} "
        f"{ratios['hashed']:>6} {ratios['all']:>6} "
        f"{ratios['androguard']:>10}  {peak_mib(package):8.0f}"
    )


def interleaved(contenders: dict[str, Contender], rounds: int) -> dict[str, float]:
    """Medians in seconds, each round running every contender once after one warm-up."""
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for index in range(rounds + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if index:
                samples[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in samples.items()}


def zlib_needed(package: Path, archive: Archive, *, hashed: bool = False) -> Contender:
    """Inflating, with zlib, what scan reads: whole where it must, else heads."""
    whole = {ANDROID, "resources.arsc"}
    whole |= {e.entry_name for e in archive if is_candidate(e) or opens_as_archive(e.head(4))}
    parts = streams(package)

    def run() -> None:
        for name, data in parts:
            if name in whole:
                zlib.decompress(data, -15)
            else:
                zlib.decompressobj(-15).decompress(data[: 2 * HEAD], HEAD)
        if hashed:
            with package.open("rb") as stream:
                hashlib.file_digest(stream, "sha256")

    return run


def zlib_all(package: Path) -> Contender:
    """Inflating every entry with zlib."""
    parts = streams(package)
    return lambda: [len(zlib.decompress(data, -15)) for _, data in parts]


def streams(package: Path) -> list[tuple[str, memoryview]]:
    """The deflate streams of a package, in memory already."""
    data = memoryview(package.read_bytes())
    found = []
    with zipfile.ZipFile(package) as archive:
        for info in archive.infolist():
            if info.compress_type == zipfile.ZIP_DEFLATED:
                at = info.header_offset
                sizes = int.from_bytes(data[at + 26 : at + 28], "little")
                sizes += int.from_bytes(data[at + 28 : at + 30], "little")
                start = at + 30 + sizes
                found.append((info.orig_filename, data[start : start + info.compress_size]))
    return found


def androguard(package: Path) -> Contender | None:
    """androguard's `APK()`, and every entry read; None where it is not installed."""
    try:
        from androguard.core.apk import APK
        from loguru import logger
    except ImportError:
        return None
    logger.remove()

    def run() -> None:
        apk = APK(str(package))
        for name in apk.get_files():
            apk.get_file(name)

    try:
        run()
    except Exception:  # noqa: BLE001 (it fails on some odd packages: no ratio then)
        return lambda: None
    return run


def peak_mib(package: Path) -> float:
    """High-water mark of a fresh process that scans the package."""
    code = (
        "import sys; from edgewise.apps.scan import scan_package; scan_package(sys.argv[1]);"
        "print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, package], capture_output=True, text=True, check=True
    )
    return int(done.stdout) / 1024


def whole_command(package: Path, rounds: int) -> None:
    """The command as a user runs it, against starting the interpreter."""

    def command(*arguments: str) -> Contender:
        return lambda: subprocess.run(
            [sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True
        )

    medians = interleaved(
        {
            "bare interpreter": command("-c", "pass"),
            "edgewise --version": command("-m", "edgewise", "--version"),
            f"edgewise scan {package.name}": command("-m", "edgewise", "scan", str(package)),
        },
        rounds,
    )
    print()
    for name, seconds in medians.items():
        print(f"{name:60} {seconds * 1e3:7.1f} ms")


def build(path: Path, size: int) -> None:
    """A package with what large apps have: much code, many small files, images, some models."""
    rng = random.Random(0)
    models = sorted(DIGITS.glob("*.tflite"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for index, model in enumerate(models):
            name = f"assets/models/{model.name}" if index % 2 else f"res/raw/clip{index}.mp3"
            archive.writestr(name, model.read_bytes())
        # A flatbuffer may be followed by anything: this makes a model too large for memory.
        large = models[0].read_bytes() if models else b""
        archive.writestr("assets/large.tflite", large + weights(rng, size // 4))
        for index in range(2000):
            archive.writestr(f"res/layout/l{index}.xml", code_like(rng, 2048))
        index = 0
        while archive.fp.tell() < size:
            index += 1
            archive.writestr(f"classes{index}.dex", b"dex\n035\0" + code_like(rng, 9 * MIB))
            image = zipfile.ZipInfo(f"res/drawable/i{index}.webp")
            archive.writestr(image, rng.randbytes(2 * MIB))


def code_like(rng: random.Random, size: int) -> bytes:
    """Bytes that deflate to about 45 %, as real dex does: words of unequal frequency."""
    words = [rng.randbytes(rng.randint(2, 9)) for _ in range(3000)]
    chosen = rng.choices(words, [1 / (rank + 9) for rank in range(3000)], k=size // 5)
    return b"".join(chosen)[:size]


def weights(rng: random.Random, size: int) -> bytes:
    """Bytes that deflate to about 90 %, as float weights do."""
    block = bytearray(rng.randbytes(MIB))
    block[3::4] = bytes(rng.choice((60, 61, 62, 188, 189, 190)) for _ in block[3::4])
    return b"".join(bytes(block[i:] + block[:i]) for i in range(0, size // MIB * 4, 4))


if __name__ == "__main__":
    main()
