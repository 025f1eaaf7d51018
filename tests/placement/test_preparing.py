"""Resize on the device, or send the original: PieSlicer's question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import cloud, link, phone
from msgspec.structs import replace

from edgewise.errors import UsageError
from edgewise.placement.model import place
from edgewise.placement.preprocess import costs, exchanges, local_ms, photo
from edgewise.placement.sent import Sent

SIZE = (224, 224)
PIXELS = 224 * 224 / 1e6


def test_the_costs_by_hand() -> None:
    one = replace(
        costs("reference"), decode_ms_per_mpx=3.0, decode_ms_per_mb=10.0, resize_ms_per_mpx=5.0,
        tensor_ms_per_mpx=2.0, encode_ms_per_mpx=4.0, resized_bytes_per_pixel=0.25,
    )  # fmt: skip
    of = photo(4000, 3000, 2_000_000)
    slow = replace(one, slowdown=3.0)
    assert local_ms(of, SIZE, slow) == pytest.approx(3 * (12 * 3 + 2 * 10 + 12 * 5 + PIXELS * 2))
    resized, original = exchanges(of, SIZE, slow, one)
    assert resized.payload_bytes == pytest.approx(224 * 224 * 0.25)
    assert resized.device_preprocess_ms == pytest.approx(3 * (12 * 3 + 2 * 10 + 12 * 5))
    assert resized.encode_ms == pytest.approx(3 * PIXELS * 4)
    assert resized.server_preprocess_ms == pytest.approx(
        PIXELS * 3 + PIXELS * 0.25 * 10 + PIXELS * 2
    )
    assert original.payload_bytes == 2_000_000 and original.device_preprocess_ms == 0
    assert original.server_preprocess_ms == pytest.approx(local_ms(of, SIZE, one))
    assert (resized.where, original.where) == ("device", "cloud")


@given(st.integers(8, 6000), st.integers(8, 6000))
def test_a_resized_photo_is_never_larger_than_the_photo(width: int, height: int) -> None:
    resized, original = exchanges(photo(width, height), (331, 331), costs(4.0), costs())
    assert 0 < resized.payload_bytes <= original.payload_bytes


@pytest.mark.parametrize("name", ["ethernet", "wifi", "home", "lte", "3g"])
@pytest.mark.parametrize("size", [(640, 480), (1600, 1200), (4032, 3024)])
def test_the_sooner_of_both_is_chosen(name: str, size: tuple[int, int]) -> None:
    def total(by: str | None) -> tuple[float, float | None, str | None]:
        sent = Sent(photo=photo(*size), prepared_by=by)  # type: ignore[arg-type]
        row = place("net_v1_1", phone(), cloud(), link(name), sent)
        assert row.cloud is not None and row.cloud.total_ms is not None
        return row.cloud.total_ms, row.preprocess_gain_ms, row.where_to_preprocess

    device, server, best = total("device"), total("cloud"), total(None)
    assert best[0] == min(device[0], server[0])
    assert best[1] == pytest.approx(abs(device[0] - server[0])) and device[1] is None
    assert best[2] == ("device" if device[0] <= server[0] else "cloud")


def test_a_slow_link_resizes_first_and_a_fast_one_does_not() -> None:
    sent = Sent(photo=photo(4032, 3024))
    slow = place("net_v1_1", phone(), cloud(), link("3g"), sent)
    fast = place("net_v1_1", phone(), cloud(), link("ethernet"), sent)
    assert (slow.where_to_preprocess, fast.where_to_preprocess) == ("device", "cloud")


@pytest.mark.parametrize("wrong", ["abacus", 0.0, -1.0])
def test_unknown_cores_are_refused(wrong: str | float) -> None:
    with pytest.raises(UsageError, match="pixel-3"):
        costs(wrong)


@pytest.mark.parametrize("wrong", [(0, 10, 5.0), (10, 10, 0.0), (10, 10, float("inf"))])
def test_photos_that_are_none_are_refused(wrong: tuple[int, int, float]) -> None:
    with pytest.raises(UsageError):
        photo(*wrong)
