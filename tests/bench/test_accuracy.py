"""Accuracy on labelled data: the demo family's own record is the oracle."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from edgewise.bench.accuracy import evaluate, near_chance, write_samples
from edgewise.bench.classifying import Answers
from edgewise.bench.labelled import load_labelled
from edgewise.errors import InputError
from edgewise.family import Preprocess, load_family
from edgewise.intervals import wilson
from edgewise.records import AccuracyRow
from edgewise.selection.profiles.sources import load

pillow = pytest.importorskip("PIL.Image")
DIGITS = Path(str(files("edgewise.demo"))) / "data" / "digits"
FAMILY, HELD_OUT = DIGITS / "family.toml", DIGITS / "heldout.npz"


def small_family(folder: Path, *variants: str) -> Path:
    """The demo's labels and some of its variants."""
    family = load_family(FAMILY)
    (folder / "labels.txt").write_text((DIGITS / "labels.txt").read_text())
    lines = ['name = "few"', 'labels = "labels.txt"']
    for one in family.variant:
        if one.name in variants:
            assert one.file is not None and one.preprocess.size is not None
            lines += [
                "[[variant]]", f'name = "{one.name}"', f'file = "{one.file}"',
                f"accuracy = {one.accuracy}", "[variant.preprocess]",
                f"mean = [{one.preprocess.mean[0]}]", f"scale = [{one.preprocess.scale[0]}]",
            ]  # fmt: skip
    (folder / "family.toml").write_text("\n".join(lines))
    return folder / "family.toml"


def test_a_family_is_as_accurate_as_it_says_and_its_answers_can_be_served(tmp_path: Path) -> None:
    """All of the demo's variants: tests/demo/test_walk.py."""
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("onnxruntime")
    names = ("digits-xs", "digits-s-onnx", "digits-l-int8")
    head, *variants = FAMILY.read_text().split("[[variant]]")
    some = [each for each in variants if any(f'name = "{name}"' in each for name in names)]
    text = "[[variant]]".join([head, *some]).replace('file = "', f'file = "{DIGITS}/')
    (tmp_path / "family.toml").write_text(text.replace('labels = "', f'labels = "{DIGITS}/'))
    done = list(evaluate(str(tmp_path / "family.toml"), HELD_OUT, Preprocess()))
    assert len(done) == len(names)
    for one in done:
        assert one.row.error is None and one.row.n == 360 and not one.row.notes
        assert one.row.accuracy == pytest.approx(one.row.recorded_accuracy, abs=0.006)
        assert one.row.ci95_low < one.row.accuracy < one.row.ci95_high  # type: ignore[operator]
    write_samples(done, tmp_path / "samples.csv")
    source = load(str(tmp_path / "samples.csv"))
    assert source.samples is not None and len(source.samples) == 360
    by_name = {one.row.model: one.row.accuracy for one in done}
    for profile in source.table.profiles:
        assert profile.accuracy == pytest.approx(by_name[profile.model])
    assert source.samples.confidence is not None
    assert source.samples.confidence.min() > 0 and source.samples.confidence.max() <= 1.01


def test_what_a_description_leaves_open_comes_from_the_model(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    family = small_family(tmp_path, "digits-xs", "digits-l-int8")
    rows = [one.row for one in evaluate(str(family), HELD_OUT, Preprocess())]
    assert [row.accuracy for row in rows] == [
        pytest.approx(row.recorded_accuracy, abs=0.006) for row in rows
    ]


def test_folders_and_npz_agree(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    with np.load(HELD_OUT) as arrays:
        images, labels = arrays["images"][:40], arrays["labels"][:40]
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        (tmp_path / "data" / str(label)).mkdir(parents=True, exist_ok=True)
        pillow.fromarray(image).save(tmp_path / "data" / str(label) / f"{index:02}.png")
    np.savez(tmp_path / "few.npz", images=images, labels=[str(label) for label in labels])
    family = small_family(tmp_path, "digits-xs")
    seen = [
        next(evaluate(str(family), tmp_path / data, Preprocess())).row
        for data in ("data", "few.npz")
    ]
    assert seen[0].correct == seen[1].correct > 30 and seen[0].n == seen[1].n == 40


def test_a_model_file_needs_no_family() -> None:
    pytest.importorskip("ai_edge_litert")
    how = Preprocess(scale=(255.0,))
    row = next(evaluate(str(DIGITS / "digits-xs.tflite"), HELD_OUT, how)).row
    assert row.accuracy == pytest.approx(93.06, abs=0.01) and row.family is None


def test_an_output_that_does_not_match_the_labels_is_said(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    family = small_family(tmp_path, "digits-xs")
    (tmp_path / "labels.txt").write_text("\n".join(map(str, range(11))))
    row = next(evaluate(str(family), HELD_OUT, Preprocess())).row
    assert row.accuracy is None and row.error is not None
    assert "10 classes, the family has 11 labels" in row.error


def test_a_file_that_is_no_model_is_said(tmp_path: Path) -> None:
    (tmp_path / "rubbish.tflite").write_bytes(b"\x00" * 100)
    row = next(evaluate(str(tmp_path / "rubbish.tflite"), HELD_OUT, Preprocess())).row
    assert row.error is not None and row.accuracy is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((3, 4, 4), np.uint8)}, "no array 'labels'"),
        ({"images": np.zeros((3, 4, 4), np.uint8), "labels": [1, 2]}, "3 images and 2 labels"),
        ({"images": np.zeros((2, 4, 4)), "labels": [1, 2]}, "not uint8"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "labels": [1, 12]}, "outside 0 … 1"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "labels": ["a", "z"]}, "label 'z'"),
        ({"images": np.array([None]), "labels": [1]}, "cannot be read"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "labels": [-1, 0]}, "negative labels"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "labels": [0.5, 1]}, "neither whole numbers"),
        ({"images": np.zeros((2, 4, 4, 2), np.uint8), "labels": [0, 1]}, "2 channels"),
    ],
)
def test_data_that_are_none_say_why(
    tmp_path: Path, arrays: dict[str, object], message: str
) -> None:
    np.savez(tmp_path / "d.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        load_labelled(tmp_path / "d.npz", ("a", "b"))


def test_classes_called_by_numbers_are_those_and_not_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("0", "2", "10"):
        (tmp_path / name).mkdir()
        pillow.new("L", (4, 4)).save(tmp_path / name / "x.png")
    assert sorted(load_labelled(tmp_path, ()).labels.tolist()) == [0, 2, 10]
    np.savez(tmp_path / "d.npz", images=np.zeros((3, 4, 4), np.uint8), labels=["10", "2", "0"])
    assert load_labelled(tmp_path / "d.npz", ()).labels.tolist() == [10, 2, 0]
    np.savez(tmp_path / "f.npz", images=np.zeros((3, 4, 4), np.uint8), labels=[10.0, 2.0, 0.0])
    assert load_labelled(tmp_path / "f.npz", ()).labels.tolist() == [10, 2, 0]


def test_what_is_no_npz_is_not_called_a_pickle(tmp_path: Path) -> None:
    (tmp_path / "junk.npz").write_bytes(b"\x80\x04junk" * 20)
    with pytest.raises(InputError, match="is no npz file"):
        load_labelled(tmp_path / "junk.npz", ())


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["cat", "dog"], "names 2 classes, the output has 10"), ([3, 14], "label 14, the output 10")],
)
def test_classes_that_cannot_be_the_models_are_refused(
    tmp_path: Path, labels: list[object], message: str
) -> None:
    pytest.importorskip("ai_edge_litert")
    np.savez(tmp_path / "d.npz", images=np.zeros((2, 8, 8), np.uint8), labels=labels)
    row = next(evaluate(str(DIGITS / "digits-xs.tflite"), tmp_path / "d.npz", Preprocess())).row
    assert row.accuracy is None and message in (row.error or "")


def test_folders_that_are_none_say_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no images"):
        load_labelled(tmp_path, ())
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.png").write_bytes(b"no png")
    with pytest.raises(InputError, match="'x' is no label"):
        load_labelled(tmp_path, ("a",))
    with pytest.raises(InputError, match=r"1\.png: no image"):
        load_labelled(tmp_path, ()).image(0)
    with pytest.raises(InputError, match="no labelled data"):
        load_labelled(tmp_path / "gone", ())


def test_wilson_by_its_published_examples() -> None:
    """Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for correct, n, low, high in [
        (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718),
    ]:  # fmt: skip
        assert wilson(correct / n, n) == pytest.approx((low, high), abs=5e-5)


# -- data as people have it ------------------------------------------------------------------------


def folders(root: Path, names: dict[str, int]) -> Path:
    """A folder per class with the images of that digit, under the names given."""
    with np.load(HELD_OUT) as arrays:
        for name, digit in names.items():
            (root / name).mkdir(parents=True)
            for index in np.flatnonzero(arrays["labels"] == digit)[:6]:
                pillow.fromarray(arrays["images"][index]).save(root / name / f"{index}.png")
    return root


XS = str(HELD_OUT.parent / "digits-xs.tflite")
SCALED = Preprocess(scale=(255.0,))


def only(data: Path, **more: object) -> AccuracyRow:
    (found,) = evaluate(XS, data, SCALED, **more)  # type: ignore[arg-type]
    return found.row


def test_folders_left_behind_are_no_class_and_subfolders_count(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    data = folders(tmp_path / "d", {str(digit): digit for digit in range(10)})
    for extra in (".ipynb_checkpoints", "empty", "__MACOSX"):
        (data / extra).mkdir()
    (data / ".ipynb_checkpoints" / "1.png").write_bytes((next((data / "1").iterdir())).read_bytes())
    (data / "3" / "more").mkdir()
    for image in list((data / "3").glob("*.png"))[:2]:
        image.rename(data / "3" / "more" / image.name)
    row = only(data)
    assert row.error is None and row.n == 60 and row.accuracy is not None and row.accuracy > 80


def test_one_unreadable_file_is_one_file(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    data = folders(tmp_path / "d", {str(digit): digit for digit in range(10)})
    broken = next((data / "4").iterdir())
    broken.write_bytes(broken.read_bytes()[:40])
    row = only(data)
    assert row.n == 59 and any(note.startswith("1 not read") for note in row.notes)


def test_labels_numbered_from_one_are_found_out(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    data = folders(tmp_path / "d", {str(digit + 1): digit for digit in range(9)})
    row = only(data)
    assert row.accuracy is not None and row.accuracy < 20
    assert any("--label-offset -1 it would be" in note for note in row.notes)
    moved = only(data, offset=-1)
    assert moved.accuracy is not None and moved.accuracy > 80


def test_a_hint_counts_the_offset_that_was_taken_already() -> None:
    """The class of the background is the last, not the first."""
    truth = list(range(100)) * 2
    wrong = Answers(
        labels=truth, given=[label - 1 for label in truth], correct=[False] * 200,
        among=[False] * 200, confidence=[1.0] * 200, inference_ms=[1.0] * 200, load_ms=1.0,
        classes=101, offset=1,
    )  # fmt: skip
    assert "--label-offset 0 it would be 100.0 % right" in near_chance(wrong)[0]
    assert near_chance(structs.replace(wrong, no_numbers=200)) == []


def test_another_order_of_the_classes_is_suspected(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    row = only(folders(tmp_path / "d", {word: digit for digit, word in enumerate(words)}))
    assert any("another order" in note for note in row.notes)


def test_inputs_out_of_scale_are_suspected() -> None:
    pytest.importorskip("ai_edge_litert")
    (found,) = evaluate(XS, HELD_OUT, Preprocess(mean=(4000.0,), scale=(0.001,)))
    assert any("--scale 255" in note for note in found.row.notes)


def test_the_best_five_count_too() -> None:
    pytest.importorskip("ai_edge_litert")
    (found,) = evaluate(XS, HELD_OUT, SCALED)
    assert found.row.top5_accuracy is not None and found.row.accuracy is not None
    assert found.row.accuracy < found.row.top5_accuracy <= 100
