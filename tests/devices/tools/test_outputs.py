"""Outputs of benchmark tools: every known case gives its record, however it was carried here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgewise.cli.main import run
from edgewise.devices.tools import registry
from edgewise.errors import InputError

STATS = (
    "INFO: STARTING!\nINFO: Num threads: [2]\nINFO: Graph: [/data/local/tmp/m.tflite]\n"
    "INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds\n"
    "INFO: count=9 first=9000 curr=8 min=4000 max=9000 avg=5e3 std=3\n\n"
    "INFO: Running benchmark for at least 50 iterations and at least 1 seconds\n"
    "INFO: count=50 first=5 curr=4 min=4000 max=6000 avg=1.23457e+06 std=3 p5=1 median=4500 p95=3\n"
    "\nINFO: Inference timings in us: Init: 12500, First inference: 9000, Warmup (avg): 5e3, "
    "Inference (avg): 1.23457e+06\n"
)


@pytest.fixture(scope="session")
def cases() -> Path:
    path = Path(__file__).resolve().parents[4] / "shared" / "devices" / "logs" / "cases"
    if not path.is_dir():
        pytest.skip("no devices beside the checkout")
    return path


def differs(got: Any, want: Any, record: dict[str, Any]) -> bool:
    if isinstance(want, float) and isinstance(got, int | float):
        allowed = max(abs(want) * (record.get("tolerance") or 0), record.get("tolerance_ms") or 0)
        return abs(got - want) > allowed * 1.001 + 1e-12
    return bool(got != want)


@pytest.mark.corpus
def test_every_case_gives_its_record(cases: Path) -> None:
    wrong = []
    for file in sorted(cases.glob("*.expected.json")):
        expected = json.loads(file.read_text())
        name = file.name.removesuffix(".expected.json")
        (source,) = (each for each in cases.glob(f"{name}.*") if each != file)
        found = registry.read(source.read_bytes(), expected.get("exit"))
        records = expected.get("records", [expected])
        assert len(found) == len(records), name
        for one, record in zip(found, records, strict=True):
            got = msgspec.json.decode(msgspec.json.encode(one))
            if record.get("reason"):
                assert record["reason"] in got["reason"], name
            wrong += [
                (name, key, want, got.get(key))
                for key, want in record.items()
                if key not in ("tolerance", "tolerance_ms", "reason")
                and differs(got.get(key), want, record)
            ]
    assert not wrong


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings_and_line_ends_as_found(ends: str, encoding: str) -> None:
    (found,) = registry.read(STATS.replace("\n", ends).encode(encoding))
    assert (found.mean_ms, found.p50_ms, found.n, found.init_ms) == (1234.57, 4.5, 50, 12.5)


@pytest.mark.parametrize(
    "prefix",
    [
        "05-31 10:38:42.592 22206 22207 I tflite  : ",
        "I/tflite  (22206): ",
        "05-31 10:38:42.592 I/tflite  (22206): ",
        "2023-06-14 10:55:21.084 22206-22207 tflite       org.tensorflow.lite.benchmark  I  ",
        "2021-06-14 10:55:21.084 22206-22207/org.tensorflow.lite.benchmark I/tflite: ",
    ],
)
def test_logcats_formats(prefix: str) -> None:
    text = "".join(f"{prefix}{line.removeprefix('INFO: ')}\n" for line in STATS.splitlines())
    other = text.replace("22206", "333").replace("count=50", "count=70")
    interleaved = "\n".join(
        line for both in zip(text.splitlines(), other.splitlines(), strict=True) for line in both
    )
    assert [each.n for each in registry.read(interleaved.encode())] == [50, 70]


def test_several_runs_in_one_file() -> None:
    found = registry.read((STATS + STATS.replace("Num threads: [2]", "Num threads: [4]")).encode())
    assert [each.threads for each in found] == [2, 4]


@pytest.mark.parametrize(
    ("status", "words"),
    [(137, "out of memory"), (132, "built for newer cores"), (139, "SIGSEGV"), (-1, "went away")],
)
def test_an_exit_status_tells_why(status: int, words: str) -> None:
    (found,) = registry.read(STATS.partition("INFO: Running")[0].encode(), status)
    assert found.status == "failed" and words in (found.reason or "")
    assert found.mean_ms is None


def test_llama_bench_in_all_its_forms() -> None:
    row = {"build_commit": "a", "model_type": "llama", "n_threads": "4", "backends": "CPU"}
    row |= {"n_prompt": "0", "n_gen": "128", "avg_ns": "1000000", "avg_ts": "3.5", "stddev_ts": "1"}
    forms = (
        json.dumps(row) + "\n" + json.dumps(row),
        ",".join(row) + "\n" + 2 * (",".join(f'"{each}"' for each in row.values()) + "\n"),
        "CREATE TABLE IF NOT EXISTS test (x);\n"
        + 2 * f"INSERT INTO test ({', '.join(row)}) VALUES ({str(list(row.values()))[1:-1]});\n",
    )
    for form in forms:
        found = registry.read(form.encode())
        assert [(each.test, each.tokens_per_s, each.mean_ms) for each in found] == 2 * [
            ("tg128", 3.5, 1.0)
        ]


def test_csv_of_runs_and_of_samples() -> None:
    (one,) = registry.read(b"model,threads,mean_ms,p50_ms\nm.tflite,2,5.5,\n")
    assert (one.model, one.threads, one.mean_ms, one.p50_ms) == ("m.tflite", 2, 5.5, None)
    found = registry.read(b"model,ms\na,1\na,3\nb,5\n")
    assert [(each.model, each.n, each.mean_ms, each.samples_ms) for each in found] == [
        ("a", 2, 2.0, (1.0, 3.0)), ("b", 1, 5.0, (5.0,))
    ]  # fmt: skip
    with pytest.raises(InputError, match="line 2: mean_ms is 'fast'"):
        registry.read(b"model,mean_ms\nm,fast\n")


@pytest.mark.parametrize(
    "data",
    [b"", b"hello\n", bytes(40), b"[" * 100_000, b'{"latency": {"avg_ms": []}}', b"\x12\x05"],
)
def test_what_no_tool_wrote(data: bytes) -> None:
    with pytest.raises(InputError):
        registry.read(data)


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.txt").write_text(STATS)
    (tmp_path / "odd.txt").write_text("nothing of interest\n")
    both = [str(tmp_path / name) for name in ("odd.txt", "run.txt")]
    store = str(tmp_path / "store")
    assert run(["import", *both, "--json", "--store", store, "--device", "my phone"]) == 1
    odd, good = map(json.loads, capsys.readouterr().out.splitlines())
    assert "no tool that is known" in odd["error"]
    assert good["origin"] == "imported" and good["target"]["device"] == "my phone"
    assert good["latency_ms"]["p50"] == 4.5 and good["latency_ms"]["p95"] is None
    assert good["peak_memory_bytes"] is None and good["reported"]["p95_ms"] == 0.003
    assert run(["query", store, "select origin, reported.n from measurements", "--json"]) == 0
    assert '"imported"' in capsys.readouterr().out
