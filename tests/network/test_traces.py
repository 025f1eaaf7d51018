"""Traces in three formats, and what is wrong with those that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.errors import EdgewiseError, InputError
from edgewise.network.catalogue import Carried, resolve
from edgewise.network.traces import read_trace


def written(folder: Path, text: str, name: str = "trace") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_mahimahi_delivers_one_packet_per_line(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "2\n2\n5\n10\n"))
    assert trace.period_ms == 10
    assert trace.mean_mbps == pytest.approx(4 * 1500 / 10 / 125)
    starts = np.array([0.0, 0.0, 0.0, 5.0, 10.0])
    sizes = np.array([1500.0, 3000.0, 4500.0, 1500.0, 3000.0])
    # The n-th packet has passed in its line's millisecond; two in the same one share it.
    assert trace.drained_ms(starts, sizes).tolist() == [1.5, 2, 5, 10, 12]


def test_the_first_millisecond_of_mahimahi_is_the_last_of_a_repetition(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "0\n4\n"))
    assert trace.drained_ms(np.array([0.0]), 3000.0)[0] == 4


def test_one_packet_per_millisecond_is_12_mbps(tmp_path: Path) -> None:
    assert read_trace(written(tmp_path, "1\n")).mean_mbps == pytest.approx(12)


def test_seconds_and_mbps_hold_until_their_line(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "0.0\t8\n1.0\t16\n2.0\t4\n"))
    assert trace.edges_ms.tolist() == [0, 1000, 2000, 3000]
    assert trace.rate_mbps.tolist() == [8, 16, 4]
    assert trace.drained_ms(np.array([500.0]), 1e6 * 0.5 + 1000)[0] == pytest.approx(1000.5)


CSV = "seq_num,a_mbps,b_mbps,who\n0,1,10,x\n1,2,20,x\n0,3,30,y\n1,4,40,y\n2,5,50,y\n"


def test_csv_columns_and_rows_are_chosen_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, CSV, "t.csv")
    assert read_trace(path, ["b_mbps", "who=y"]).rate_mbps.tolist() == [30, 40, 50]
    with pytest.raises(InputError, match=r"2 columns in Mbps.*a_mbps"):
        read_trace(path, ["who=x"])
    with pytest.raises(InputError, match=r"does not rise in line 4.*column=value"):
        read_trace(path, ["a_mbps"])
    with pytest.raises(InputError, match="no column z"):
        read_trace(path, ["z"])
    with pytest.raises(InputError, match="no column z"):
        read_trace(path, ["a_mbps", "z=1"])
    with pytest.raises(InputError, match="0 rows"):
        read_trace(path, ["a_mbps", "who=z"])


@pytest.mark.parametrize(
    "text",
    [
        "\ufefftime,throughput_mbps\n0,5.5\n1,7\n2,6\n",
        "time;throughput_mbps\r\n0;5,5\r\n1;7\r\n2;6\r\n",
        "Time\tThroughput_Mbps\t\n0\t5.5\t\n1\t7\t\n2\t6\t\n",
        "time_ms, dl_kbps\n0, 5500\n1000, 7000\n2000, 6000\n",
        "0,5.5\n1,7\n2,6\n",
        "\ufeff0 5.5\n1 7\n2 6\n",
    ],
)
def test_the_same_trace_is_written_in_many_ways(tmp_path: Path, text: str) -> None:
    trace = read_trace(written(tmp_path, text))
    assert trace.edges_ms.tolist() == [0, 1000, 2000, 3000]
    assert trace.rate_mbps.tolist() == [5.5, 7, 6]


def test_csv_without_time_has_a_row_per_second(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "throughput_mbps\n3\n5\n", "t.csv"))
    assert trace.edges_ms.tolist() == [0, 1000, 2000]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("0 1\n1 2\n2\n", "hole in line 3"),
        ("0 1\n1 nan\n2 3\n", "hole in line 2: 'nan'"),
        ("0 1\n1 x\n", "hole in line 2"),
        ("0 1\n2 2\n1 3\n", "does not rise in line 3"),
        ("0 1\n1 -2\n", "negative rate in line 2"),
        ("0 0\n1 0\n", "never delivers"),
        ("0 1\n", "1 rows"),
        ("".join(f"{t} 1\n" for t in [0, 1, 2, 3, 60, 61]), "hole of 57 s before line 5"),
        ("1\n2\n\nx\n", "hole in line 4"),
        ("3\n2\n", "time falls in line 2"),
        ("0\n0\n", "ends at 0 ms"),
        ("1.5\n2\n", "hole in line 1"),
        ("seq_num,mbps\n0,1\n1,\n2,3\n", "hole in line 3"),
        ("seq_num,mbps\n0,1\n1,2\n4,3\n", "hole of 3 s before line 4"),
        ("seq_num,who\n0,1\n", "no columns in Mbps"),
        ("seq_num,mbps\n0,1\n1\n", "line 3: not as many values"),
        ("0 nan\n1 2\n", "hole in line 1: 'nan'"),
        ("0 1e308\n1 2\n", "absurd rate in line 1"),
    ],
)
def test_a_trace_with_a_hole_says_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_trace(written(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_hole_can_be_bridged(tmp_path: Path) -> None:
    path = written(tmp_path, "seq_num,mbps\n0,1\n1,2\n4,3\n", "t.csv")
    assert read_trace(path, ["bridge"]).edges_ms.tolist() == [0, 1000, 2000, 5000]


@given(
    st.one_of(
        st.binary(max_size=200),
        st.text("0123456789.,- \n\tabnife:", max_size=200).map(str.encode),
    )
)
def test_rubbish_ends_in_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.mktemp("rubbish") / "trace"
    path.write_bytes(raw)
    try:
        trace = read_trace(path)
    except EdgewiseError:
        return
    assert np.isfinite(trace.drained_ms(np.array([0.0, 3.3]), 1000.0)).all()


def test_neighbours_on_a_trace_are_alike(tmp_path: Path) -> None:
    path = written(tmp_path, "".join(f"{t} {9 if t // 100 % 2 else 1}\n" for t in range(2000)))
    network = resolve(str(path), Carried(payload_bytes=50_000, rtt_ms=20))
    upload_ms = network.transfers(4000, np.random.default_rng(0)).upload_ms
    assert np.corrcoef(upload_ms[1:], upload_ms[:-1])[0, 1] > 0.8
    again = network.transfers(4000, np.random.default_rng(0)).upload_ms
    assert (upload_ms == again).all()


@pytest.mark.corpus
def test_the_reference_traces_can_be_read(reference_data: Path) -> None:
    traces = reference_data / "traces"
    for path in (traces / "norway_fcc" / "cooked_test_traces").iterdir():
        trace = read_trace(path)
        rows = np.loadtxt(path)
        assert trace.period_ms / 1000 == pytest.approx(rows[-1, 0], rel=0.2)
        assert rows[:, 1].min() <= trace.mean_mbps <= rows[:, 1].max()
    up = read_trace(traces / "mahimahi" / "ATT-LTE-driving-2016.up")
    lines = (traces / "mahimahi" / "ATT-LTE-driving-2016.up").read_text().split()
    assert up.mean_mbps == pytest.approx(len(lines) * 12 / int(lines[-1]))
    walking = read_trace(traces / "5gophers" / "03-User-Mobility" / "walking-trace.csv")
    assert walking.period_ms == 603_000
    driving = traces / "5gophers" / "03-User-Mobility" / "car-driving-trace-1.csv"
    with pytest.raises(InputError, match="hole of 7 s"):
        read_trace(driving, ["Verizon_throughput_mbps"])
    assert read_trace(driving, ["Verizon_throughput_mbps", "bridge"]).period_ms == 126_000
