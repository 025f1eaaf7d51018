"""Which models are compared, against comparing all."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from edgewise.analysis.kindred import NEAR, close, kindred
from edgewise.records import TensorRow


def sines(number: int, moved: float = 0.0) -> tuple[float, ...]:
    """Twelve numbers that are another model's only by chance."""
    return tuple(2 * np.sin(number * (7.3 + axis) + axis**2) + moved for axis in range(12))


def layer(sketch: tuple[float, ...], bottom: tuple[int, ...] = (), zeros: float = 0.0) -> TensorRow:
    return TensorRow(
        name="w", dtype="float32", shape=(500,), elements=500, size_bytes=2000, sketch=sketch,
        bottom=bottom, zero_fraction=zeros,
    )  # fmt: skip


def test_near_points_are_those_of_all_pairs() -> None:
    points = np.array([sines(number)[:3] for number in range(1500)])
    wanted = {
        (i, j)
        for i, j in combinations(range(len(points)), 2)
        if np.sqrt(np.square(points[i] - points[j]).mean()) <= 0.1
    }
    assert len(wanted) > 100 and set(close(points, 0.1)) == wanted


def test_of_many_alike_each_is_compared_with_the_first() -> None:
    points = np.array([sines(1, number / 1e6)[:6] for number in range(700)])
    assert set(close(points, NEAR)) == {(0, other) for other in range(1, 700)}


def test_of_an_architecture_with_many_models_those_with_near_layers_are_compared() -> None:
    models = [(1, (layer(sines(number)),)) for number in range(200)]
    models.append((1, (layer(sines(77, 0.01)),)))
    pairs = list(kindred(models))
    assert (77, 200) in pairs and len(pairs) == len(set(pairs)) < 300


def test_what_was_pruned_is_compared_with_what_it_came_from() -> None:
    models = [(number, (layer(sines(number), (number,)),)) for number in range(50)]
    models.append((99, (layer(sines(3000), (33, 500), zeros=0.8),)))
    assert (33, 50) in set(kindred(models))
