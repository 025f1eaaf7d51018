"""What finding related models costs, of as many as an app market has.

    python benchmarks/bench_lineage.py [--models 15000] [--layers 20]

Makes models of one architecture, the worst there is (sizes of layers tell none apart): of every
hundred, ten come from another by training. The floor is comparing each with the first alone, which
finds next to nothing. Ratios of CPU time to that; and how many of the related pairs were found.
"""

from __future__ import annotations

import argparse
import random
import time

from edgewise.analysis.lineage import compare, lineage
from edgewise.records import Model, TensorRow
from smoke import shortened

_SINES = 12
_MOVED = 0.03
_TUNED = 0.1


def main() -> None:
    """Print the ratio, and what was found."""
    shortened("--models", "300", "--layers", "6")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=15_000)
    parser.add_argument("--layers", type=int, default=20)
    options = parser.parse_args()
    models, origins = made(options.models, options.layers)
    start = time.process_time()
    for model in models[1:]:
        compare(models[0], model)
    floor = time.process_time() - start
    start = time.process_time()
    found = {(pair.a, pair.b) for pair in lineage(models) if pair.relation == "fine_tuned"}
    used = time.process_time() - start
    right, others = len(found & origins), len(found - origins)
    print(f"{len(models):,} models: {used / floor:.2f} of comparing each with the first alone; "
          f"{right:,} of {len(origins):,} found, {others:,} others")  # fmt: skip


def made(count: int, layers: int) -> tuple[list[Model], set[tuple[str, str]]]:
    """Models, and which come from which."""
    draw = random.Random(7)
    models: list[Model] = []
    origins: set[tuple[str, str]] = set()
    for number in range(count):
        sketches = [[draw.gauss(0, 1) for _ in range(_SINES)] for _ in range(layers)]
        if models and draw.random() < _TUNED:
            origin = draw.choice(models)
            sketches = [
                [value + draw.gauss(0, _MOVED) for value in row.sketch or ()]
                for row in origin.tensors or ()
            ]
            origins.add((origin.path, str(number)))
        rows = tuple(
            TensorRow(
                name=str(place), dtype="float32", shape=(1000 + place,), elements=1000 + place,
                size_bytes=4000 + 4 * place,
                sketch=tuple(round(value, 5) for value in values),
            )
            for place, values in enumerate(sketches)
        )  # fmt: skip
        models.append(
            Model(
                path=str(number),
                format="onnx",
                size_bytes=1,
                status="parsed",
                sha256=str(number),
                tensors=rows,
            )
        )
    return models, origins


if __name__ == "__main__":
    main()
