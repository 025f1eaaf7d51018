"""Shapes and values of inputs: what the file states, what is asked for, and what contradicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgewise.bench import inputs
from edgewise.errors import InputError, RuntimeRefused, UsageError
from edgewise.records import Port
from edgewise.runtimes.values import random_values

FIXED = Port(name="x", shape=(1, 8, 8, 3), dtype="float32")
FREE = Port(name="x", shape=None, dtype="float32", signature=("n", 3, "h", "w"))
STORED = Port(name="x", shape=(1, 16, 16, 3), dtype="float32", signature=("dim0", "dim1", 16, 3))
NO_BATCH = Port(name="x", shape=(256, 256, 3), dtype="float32")
TOKENS = Port(name="ids", shape=None, dtype="int64", signature=("n", "seq"))
MASK = Port(name="mask", shape=None, dtype="float32", signature=("n", "seq"))


def test_batch_goes_first() -> None:
    assert inputs.wanted_shapes([FIXED], 4, {}) == {"x": (4, 8, 8, 3)}
    assert inputs.wanted_shapes([STORED], 4, {}) == {"x": (4, 16, 16, 3)}


def test_no_batch_dimension() -> None:
    assert inputs.wanted_shapes([NO_BATCH], 1, {}) == {"x": (256, 256, 3)}
    with pytest.raises(RuntimeRefused, match=r"no input has a batch dimension.*256×256×3"):
        inputs.wanted_shapes([NO_BATCH], 2, {})


def test_a_vector_beside_a_batch_stays_as_it_is() -> None:
    sizes = Port(name="sizes", shape=(4,), dtype="int32")
    assert inputs.wanted_shapes([sizes, FIXED], 2, {}) == {"sizes": (4,), "x": (2, 8, 8, 3)}


def test_open_dimensions_have_to_be_given() -> None:
    with pytest.raises(RuntimeRefused, match="leaves 'h' open"):
        inputs.wanted_shapes([FREE], 1, {})
    assert inputs.wanted_shapes([FREE], 1, {"x": (1, 3, 5, 6)}) == {"x": (1, 3, 5, 6)}


def test_a_dimension_may_be_given_by_its_name() -> None:
    shapes = inputs.wanted_shapes([TOKENS, MASK], 2, {"seq": (128,)})
    assert shapes == {"ids": (2, 128), "mask": (2, 128)}


def test_given_shape_and_batch_must_agree() -> None:
    with pytest.raises(UsageError, match="its batch is 8, --batch is 1"):
        inputs.wanted_shapes([FREE], 1, {"x": (8, 3, 5, 6)})


def test_unknown_name_lists_the_inputs() -> None:
    with pytest.raises(UsageError, match=r"no input 'y' .*x \(n×3×h×w\)"):
        inputs.wanted_shapes([FREE], 1, {"y": (1,)})


def test_stored_sizes_are_used_and_said() -> None:
    shapes = inputs.wanted_shapes([STORED], 1, {})
    (note,) = inputs.notes([STORED], shapes, {})
    assert "1×16×16×3" in note
    assert inputs.notes([FIXED], {"x": (1, 8, 8, 3)}, {}) == []


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("float32", 0, 1), ("float16", 0, 1), ("float64", 0, 1), ("bool", 0, 1),
        ("int8", -128, 127), ("uint8", 0, 255), ("int16", -32768, 32767),
        ("int32", 0, 1), ("int64", 0, 1),
    ],
)  # fmt: skip
def test_random_values_respect_type_and_range(dtype: str, low: float, high: float) -> None:
    port = Port(name="x", shape=(50, 100), dtype=dtype)
    value = random_values([port], [], {"x": (50, 100)}, seed=1)["x"]
    assert value.dtype == dtype
    assert value.shape == (50, 100)
    assert value.min() >= low
    assert value.max() <= high
    assert len(np.unique(value)) > 1


def test_random_values_are_seeded() -> None:
    def draw(seed: int) -> np.ndarray:
        return random_values([FIXED], [], {"x": (1, 8, 8, 3)}, seed)["x"]

    assert np.array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))


def test_a_vector_as_long_as_an_output_has_dimensions_is_its_shape() -> None:
    shape = Port(name="shape", shape=(4,), dtype="int32")
    output = Port(name="y", shape=(1, 3, 12, 64), dtype="int16")
    given = {"shape": (4,), "x": (1, 8, 8, 3)}
    values = random_values([shape, FIXED], [output], given, seed=0)
    assert values["shape"].tolist() == [1, 3, 12, 64]


def test_some_types_cannot_be_made_up() -> None:
    port = Port(name="c", shape=(1,), dtype="complex64")
    with pytest.raises(RuntimeRefused, match="of type complex64"):
        random_values([port], [], {"c": (1,)}, seed=0)
    text = Port(name="s", shape=(2,), dtype="string")
    assert random_values([text], [], {"s": (2,)}, seed=0)["s"].tolist() == [b"0", b"0"]


def test_file_with_one_input_is_repeated_to_the_batch(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((1, 8, 8, 3), "float32"))
    values = inputs.read_values(tmp_path / "x.npy", [FIXED], batch=3)
    assert values["x"].shape == (3, 8, 8, 3)


def test_file_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", ids=np.ones((1, 5), "int64"), mask=np.ones((1, 5), "float32"))
    values = inputs.read_values(tmp_path / "x.npz", [TOKENS, MASK], batch=1)
    assert values["ids"].tolist() == [[1] * 5]


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((1, 8, 8, 3)))
    with pytest.raises(InputError, match="is float64, the model wants float32"):
        inputs.read_values(tmp_path / "x.npy", [FIXED], batch=1)
    with pytest.raises(InputError, match="inputs are ids, mask"):
        inputs.read_values(tmp_path / "x.npy", [TOKENS, MASK], batch=1)
    (tmp_path / "bad.npy").write_bytes(b"rubbish")
    with pytest.raises(InputError, match=r"bad\.npy"):
        inputs.read_values(tmp_path / "bad.npy", [FIXED], batch=1)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        inputs.read_values(tmp_path / "x.npy", [FIXED], batch=1)
