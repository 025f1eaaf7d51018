"""How long reading and counting a model takes, against other tools on the same file.

    python benchmarks/bench_inspect.py [FILE…] [--rounds 15]

Without files: SqueezeNet and Network-in-Network with random weights, written on the spot, the
demo's models, and the ONNX models of the reference corpus where it lies beside the checkout. All
contenders of a file run in one process in interleaved rounds; what is printed are ratios of medians
of CPU time, which other processes disturb less than time on the clock. Below 1: inspect is faster.

    inspect    summarise(): hash, graph, shapes, costs, peak memory, task, deployability
    onnx-tool  its loadmodel(), shape_infer() and profile(): shapes, MACs, parameters
    onnx       onnx.load() and its shape inference: no costs
    tflite     the package's accessors: every tensor's shape and every operator's inputs, no costs
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

from edgewise.analysis.summary import summarise
from edgewise.archive import DiskFile
from edgewise.placement.recipes.networks import network_in_network, squeezenet
from edgewise.placement.recipes.onnx_writer import write
from smoke import fewer, shortened

HERE = Path(__file__).resolve().parent
CORPUS = HERE.parents[1] / "shared" / "corpus" / "models"
DIGITS = HERE.parent / "src" / "edgewise" / "demo" / "data" / "digits"

Contender = Callable[[], object]
PEERS = ("onnx-tool", "onnx", "tflite")


def main() -> None:
    """Print one line per file, and the medians over the files."""
    shortened("--rounds", "1")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgewise-bench-") as folder:
        files = options.files or [*written(Path(folder)), *found()]
        print(f"{'file':44} {'MB':>6} {'layers':>6} {'inspect ms':>10}  inspect / "
              f"{'hash':>6} {' '.join(f'{peer:>9}' for peer in PEERS)}")  # fmt: skip
        together: dict[str, list[float]] = {}
        for file in files:
            medians = interleaved(contenders(file), options.rounds)
            ratios = {name: medians["inspect"] / (value or 1e-9) for name, value in medians.items()}
            for name, ratio in ratios.items():
                together.setdefault(name, []).append(ratio)
            layers = summarise(DiskFile(file)).layers
            print(f"{file.name[-44:]:44} {file.stat().st_size / 1e6:6.2f} {layers:>6} "
                  f"{medians['inspect'] * 1e3:10.2f}            {cells(ratios)}",
                  flush=True)  # fmt: skip
        medians = {name: statistics.median(ratios) for name, ratios in together.items()}
        print(f"{'median of the ratios':81}{cells(medians)}")


def written(folder: Path) -> Iterable[Path]:
    """Networks of the size that apps ship, without asking anybody for their weights."""
    for network in (squeezenet(), *fewer((network_in_network(),), ())):
        file = folder / f"{network.name}.onnx"
        write(network, file)
        yield file


def found() -> list[Path]:
    """Models of the demo and, where it is there, of the corpus."""
    demo = [DIGITS / "digits-xl.onnx", DIGITS / "digits-l.tflite"]
    corpus = [*sorted(CORPUS.glob("onnx/*.onnx")), *sorted(CORPUS.glob("tflite/*.tflite"))]
    return demo + fewer([file for file in corpus if summarise(DiskFile(file)).macs], [])


def contenders(file: Path) -> dict[str, Contender]:
    """What can read this file, checked to do so."""
    data = file.read_bytes()
    all_of_them: dict[str, Contender] = {
        "inspect": lambda: summarise(DiskFile(file)),
        "hash": lambda: hashlib.sha256(data).digest(),
    }
    if file.suffix == ".onnx":
        all_of_them |= {"onnx-tool": lambda: onnx_tool(file), "onnx": lambda: onnx_alone(file)}
    else:
        all_of_them["tflite"] = lambda: tflite_accessors(file)
    return {name: run for name, run in all_of_them.items() if runs(run)}


def onnx_tool(file: Path) -> object:
    """MACs by onnx-tool."""
    import onnx_tool

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        graph = onnx_tool.loadmodel(str(file)).graph
        graph.shape_infer()
        graph.profile()
    return graph.macs


def onnx_alone(file: Path) -> object:
    """Shapes by onnx itself."""
    import onnx

    return onnx.shape_inference.infer_shapes(onnx.load(str(file)))


def tflite_accessors(file: Path) -> object:
    """Every tensor's shape and every operator's inputs by the package `tflite`."""
    import tflite

    model = tflite.Model.GetRootAsModel(file.read_bytes(), 0)
    seen = 0
    for index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(index)
        seen += sum(graph.Tensors(i).ShapeLength() for i in range(graph.TensorsLength()))
        seen += sum(graph.Operators(i).InputsLength() for i in range(graph.OperatorsLength()))
    return seen


def runs(run: Contender) -> bool:
    """Whether it can: some tools fail on some files, or are not installed."""
    try:
        run()
    except (Exception, SystemExit):  # noqa: BLE001 (a column left empty, whatever the reason)
        return False
    return True


def interleaved(runners: dict[str, Contender], rounds: int) -> dict[str, float]:
    """Medians of CPU seconds, each round running every contender once."""
    samples: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            start = time.process_time()
            run()
            samples[name].append(time.process_time() - start)
    return {name: statistics.median(taken) for name, taken in samples.items()}


def cells(ratios: dict[str, float]) -> str:
    """The ratios, in the order of the columns."""
    first = f"{ratios.get('hash', 0):6.1f} "
    return first + " ".join(
        f"{ratios[peer]:9.2f}" if peer in ratios else f"{'–':>9}" for peer in PEERS
    )


if __name__ == "__main__":
    main()
