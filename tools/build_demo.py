"""Build the assets that ship in edgewise.demo: train, export, verify, describe, package.

Run `python tools/build_demo.py --work DIR`; tools/README.md says what it needs. Trained weights
are kept in DIR, so that a second run with the same DIR only exports.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np

import demo_apk
import demo_data
import demo_family
import demo_networks
import demo_train
import demo_verify

DATA = Path(__file__).parent.parent / "src" / "edgewise" / "demo" / "data"
LARGEST_BYTES = 3_000_000

Models = dict[str, keras.Model]


def train(digits: demo_data.Digits, work: Path) -> Models:
    """Train every network; models by network name."""
    weights = work / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    return {
        network.name: demo_train.trained(network, digits, weights)
        for network in demo_networks.NETWORKS
    }


def export(models: Models, digits: demo_data.Digits, family: Path) -> None:
    """Write the model files, the labels and the held-out images."""
    family.mkdir(parents=True, exist_ok=True)
    for variant in demo_family.VARIANTS:
        content = demo_family.export(variant, models[variant.network.name], digits)
        (family / variant.file).write_bytes(content)
    (family / "labels.txt").write_text("\n".join(demo_family.LABELS) + "\n")
    np.savez_compressed(
        family / "heldout.npz", images=digits.held_out_images, labels=digits.held_out_labels
    )


def describe(digits: demo_data.Digits, family: Path) -> dict[str, float]:
    """Measure the files as written and record it in family.toml."""
    accuracies = demo_verify.accuracies(family, digits)
    text = demo_family.family_toml(accuracies)
    (family / "family.toml").write_text(text, encoding="utf-8")
    return accuracies


def show(models: Models, accuracies: dict[str, float], digits: demo_data.Digits) -> None:
    """Print one line per variant: bytes, parameters, MACs, accuracy, latency."""
    print(f"{'file':22}{'bytes':>9}{'params':>9}{'MACs':>12}{'%':>8}{'μs':>9}")
    for variant in demo_family.VARIANTS:
        model = models[variant.network.name]
        folded = variant.export != "onnx"
        count = demo_networks.folded_parameters if folded else demo_networks.parameters
        size = (DATA / "digits" / variant.file).stat().st_size
        latency = demo_verify.mean_latency_us(variant, DATA / "digits", digits)
        print(
            f"{variant.file:22}{size:9}{count(model):9}"
            f"{demo_networks.macs(model):12}{accuracies[variant.name]:8.2f}{latency:9.1f}"
        )


def refuse_if_large() -> None:
    """Stop if the package would grow past what a wheel should carry."""
    total = sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file())
    if total > LARGEST_BYTES:
        raise SystemExit(f"{DATA} holds {total} bytes; the limit is {LARGEST_BYTES}")
    print(f"{total} bytes in all")


def main() -> None:
    """Do every step in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for trained weights")
    work: Path = parser.parse_args().work
    demo_train.make_repeatable()
    digits = demo_data.load()
    print("train")
    models = train(digits, work)
    print("export")
    export(models, digits, DATA / "digits")
    print("verify")
    accuracies = describe(digits, DATA / "digits")
    print("package")
    demo_apk.build_all(DATA / "digits", DATA)
    show(models, accuracies, digits)
    refuse_if_large()


if __name__ == "__main__":
    main()
