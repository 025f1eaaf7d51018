"""`edgewise load` as a command: what it prints, stores and exits with."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from load_server import Server, running

from edgewise.cli.main import run
from edgewise.records import LoadRun
from edgewise.store import Store


@pytest.fixture
def tensors(tmp_path: Path) -> str:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.ones((5, 4), np.float32))
    return str(path)


def call(server: Server, tensors: str, *more: str) -> int:
    return run(
        ["load", server.url, "--model", "m", "--input", tensors, "--arrivals", "gamma:200,0",
         "--requests", "20", "--sla", "5000", "--quiet", *more]
    )  # fmt: skip


def test_json_is_one_object_with_every_field(
    tensors: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(Server(kinds=("ok", "refuse"))) as server:
        assert call(server, tensors, "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert set(found) == set(LoadRun.__struct_fields__)
    assert (found["answered"], found["refused"], found["attainment"]) == (10, 10, 0.5)
    assert found["latency_ms"]["p99"] is None, "ten answers are too few"
    assert found["samples"] == []


def test_people_read_a_table(tensors: str, capsys: pytest.CaptureFixture[str]) -> None:
    with running(Server(kinds=("ok", "error"))) as server:
        assert call(server, tensors) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "50.00 % within 5000 ms" in text
    assert "10 failed (http 500 10)" in text
    assert "80.00 % stated" in text


def test_a_run_is_stored_with_its_samples(tensors: str, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    with running(Server()) as server:
        assert call(server, tensors, "--samples", "--store", store) == 0
    kept = Store.open(store)
    (found,) = kept.read(LoadRun)
    assert (found.requests, found.answered, len(found.samples)) == (20, 20, 20)
    _, rows = kept.query(
        "select count(*), min(s.latency_ms) > 0 from load_samples s join loads on load_key = key"
    )
    assert list(rows) == [(20, True)]


def test_nobody_there_is_1_and_one_line(tensors: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["load", "127.0.0.1:1", "--model", "m", "--input", tensors, "--requests", "1"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("edgewise: no connection to http://127.0.0.1:1")
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        ["--arrivals", "often:1"],
        ["--connection", "hot"],
        ["--link", "nonsense"],
        ["--link", "artificial"],
        ["--sla", "-1"],
        ["--cores", "a"],
        ["--seconds", "1"],
    ],
)
def test_wrong_usage_is_2(
    tensors: str, wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["load", "127.0.0.1:1", "--model", "m", "--input", tensors, "--requests", "1",
                *wrong]) == 2  # fmt: skip
    assert capsys.readouterr().out == ""


def test_tls_with_a_certificate_of_ones_own(
    tensors: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    pem = tmp_path / "server.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(pem)
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    with running(Server(), ssl_certfile=str(pem), ssl_version=ssl.PROTOCOL_TLS_SERVER) as server:
        assert server.url.startswith("https://")
        assert call(server, tensors, "--ca", str(ca), "--connection", "fresh") == 0
        assert len(server.seen) == 20
        assert call(server, tensors) == 1, "nobody vouches for it"
        told = capsys.readouterr().err
        assert "its certificate cannot be trusted" in told
        assert "--ca FILE" in told


@pytest.mark.parametrize(
    ("names", "more", "told"),
    [
        (["other.example"], {}, "a name or an address that its certificate is made out to"),
        (["127.0.0.1"], {"not_after": datetime(2020, 1, 1, tzinfo=UTC)}, "renew the service's"),
    ],
)
def test_a_certificate_that_is_wrong_in_itself_is_told_so(
    tensors: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    names: list[str], more: dict[str, object], told: str,
) -> None:  # fmt: skip
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    pem, ca = tmp_path / "server.pem", tmp_path / "ca.pem"
    authority.issue_cert(*names, **more).private_key_and_cert_chain_pem.write_to_path(pem)
    authority.cert_pem.write_to_path(ca)
    with running(Server(), ssl_certfile=str(pem), ssl_version=ssl.PROTOCOL_TLS_SERVER) as server:
        assert call(server, tensors, "--ca", str(ca)) == 1
    assert told in capsys.readouterr().err


def test_a_port_without_tls_is_told_so(tensors: str, capsys: pytest.CaptureFixture[str]) -> None:
    with running(Server()) as server:
        server.url = server.url.replace("http://", "https://")
        assert call(server, tensors) == 1
    told = capsys.readouterr().err
    assert "no TLS connection" in told
    assert "http://" in told
