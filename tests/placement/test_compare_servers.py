"""Servers that are dead, die, fail, or answer something else: a row with a reason."""

from __future__ import annotations

from pathlib import Path

import fake_server
import pytest
from comparisons import fake, wanted
from fake_server import Fake

from edgewise.placement.compare import measured
from edgewise.placement.server import Wanted

for peer in ("ai_edge_litert", "PIL", "httptools"):
    pytest.importorskip(peer, reason="a comparison runs a model and a client")


def test_a_dead_server_is_a_reason_and_the_device_still_counts(digits: Path) -> None:
    server = Fake()
    with fake_server.running(server):
        dead = server.url
    rows = list(measured(wanted(digits, server=Wanted(dead), links=("direct", "wifi"))))
    assert len(rows) == 4
    for row in rows:
        assert row.reason is not None
        assert row.reason.startswith("cloud: no connection to")
        assert row.cloud is None
        assert row.faster is None
        assert row.on_device is not None


def test_a_server_without_the_model_is_a_reason_with_this_verbs_option(digits: Path) -> None:
    server = Fake()
    with fake_server.running(server):
        of = wanted(digits, server=Wanted(server.url), processes=1, connections=("warm",))
        (row,) = measured(of)
    assert "/v2/models/digits-s answers 404" in str(row.reason)
    assert "--served" in str(row.reason) and "load" not in str(row.reason)


def test_a_server_that_fails_is_a_reason(digits: Path) -> None:
    server = Fake(fails_from=1)
    with fake_server.running(server):
        rows = list(measured(fake(digits, server)))
    assert all(row.reason == "cloud: the server answers 500: broken today" for row in rows)
    assert len(server.asked) <= 4  # it is not asked on and on


def test_a_server_that_dies_midway_says_how_far_it_came(digits: Path) -> None:
    server = Fake(fails_from=3 + 1)
    with fake_server.running(server):
        rows = list(measured(fake(digits, server, prepared_by="cloud")))
    assert [row.reason for row in rows] == [
        "cloud: after 3 answers: the server answers 500: broken today"
    ] * 2


@pytest.mark.parametrize("content", [b"{x}", b"{}", b'{"outputs":[]}', b"[1]", b"", b'"fine"'])
def test_what_is_no_answer_is_none_whatever_its_status(digits: Path, content: bytes) -> None:
    server = Fake(content=content)
    with fake_server.running(server):
        (row,) = measured(fake(digits, server, connections=("warm",), prepared_by="cloud"))
    assert row.cloud is None
    assert str(row.reason).startswith("cloud: the server answers without outputs: ")
