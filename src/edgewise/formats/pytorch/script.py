"""TorchScript and PyTorch Mobile zips: code that is followed, never run.

The archive holds Python-like source (`code/__torch__/…`), constants, the module tree with its
weights (`data.pkl`), and for traced modules the shapes of the example inputs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats.aten.recorder import Recorder, Ref
from edgewise.formats.pytorch.calls import Raised
from edgewise.formats.pytorch.container import Container, tensor
from edgewise.formats.pytorch.interpret import Interpreter
from edgewise.formats.pytorch.pickled import Called, Stored
from edgewise.formats.pytorch.weights import Walk
from edgewise.graph import Graph, Shape, Tensor, Weights

#: Source of one file, and of all that a network's run reaches.
SOURCE_LIMIT = 16 << 20


class Sources:
    """The classes and functions of an archive, parsed when they are asked for."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._files: dict[str, dict[str, ast.stmt]] = {}
        self._left = SOURCE_LIMIT

    def find(self, dotted: str) -> ast.stmt | None:
        """The class or function called `__torch__.a.b.name`."""
        module, _, name = dotted.rpartition(".")
        if not module.startswith("__torch__"):
            return None
        if module not in self._files:
            self._files[module] = self._parse(f"code/{module.replace('.', '/')}.py")
        return self._files[module].get(name)

    def _parse(self, name: str) -> dict[str, ast.stmt]:
        if not self._container.has(name):
            return {}
        data = self._container.content(name)
        self._left -= len(data)
        if self._left < 0:
            raise LimitExceeded(f"more than {SOURCE_LIMIT >> 20} MiB of code")
        try:
            tree = ast.parse(bytes(data))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise RejectedModel(f"{name} is no code: {error}"[:200]) from error
        return {
            one.name: one for one in tree.body if isinstance(one, (ast.ClassDef, ast.FunctionDef))
        }


class Constants:
    """Stored tensors as references into the outermost graph, each once."""

    def __init__(self, container: Container, recorder: Recorder, module: Any) -> None:
        self._container = container
        self._recorder = recorder
        self._refs: dict[int, Ref] = {}
        self._weights: dict[tuple[Any, ...], Weights | None] = {}
        self._names = {id(stored): name for name, stored in Walk().tensors(module)}

    def ref(self, stored: Stored, folder: str = "data") -> Ref:
        """The reference of a stored tensor."""
        known = self._refs.get(id(stored))
        if known is not None:
            return known
        name = self._names.get(id(stored), f"constant_{len(self._refs)}")
        made = tensor(name, stored, self._container.storage(folder, stored.storage.key))
        place = (folder, stored.storage, stored.offset, stored.shape, stored.strides)
        made.weights = self._weights.setdefault(place, made.weights)
        self._refs[id(stored)] = self._recorder.ref(self._recorder.add(made))
        return self._refs[id(stored)]


def read(container: Container) -> Graph:
    """The graph of a module's `forward`.

    Raises:
        RejectedModel: the code or the module tree is none.
        OpaqueModel: the code cannot be followed.
        LimitExceeded: following it takes more steps than any known network's.
    """
    module = container.pickle("data.pkl").value
    if not isinstance(module, Called):
        raise RejectedModel("the module tree is no object")
    recorder = Recorder("")
    constants = Constants(container, recorder, module)
    fixed: Any = ()
    if container.has("constants.pkl"):
        fixed = container.pickle("constants.pkl").value
    interpreter = Interpreter(Sources(container), constants, recorder, fixed)
    try:
        forward = interpreter.method(module, "forward")
        if forward is None:
            raise RejectedModel("the module has no method forward")
        given = Inputs(recorder, traced(container)).of(forward)
        result = interpreter.run(forward, [module, *given])
    except RecursionError as error:
        raise LimitExceeded("code nested deeper than any known network's") from error
    except Raised as error:
        raise OpaqueModel("its code raises for the inputs that it is followed with") from error
    except (AttributeError, TypeError, ValueError, KeyError, IndexError) as error:
        raise OpaqueModel(f"its code cannot be followed: {error!r}"[:200]) from error
    graph = recorder.graph
    graph.outputs = [recorder.resolve(ref) for ref in references(result)]
    graph.format = "pytorch"
    graph.name = module.type_name
    graph.metadata = {"form": "PyTorch Mobile" if container.has("bytecode.pkl") else "TorchScript"}
    graph.notes = [*container.notes, *interpreter.notes]
    return graph


def traced(container: Container) -> list[Stored]:
    """The example inputs that a module was traced with: their types and shapes."""
    if not container.has("traced_inputs.pkl"):
        return []
    value = container.pickle("traced_inputs.pkl").value
    found = value.get("forward") if isinstance(value, dict) else None
    return [stored for _, stored in Walk().tensors(found)]


def references(value: Any) -> Iterator[Ref]:
    """All tensors in a result."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from references(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from references(part)


class Inputs:
    """The network's inputs, from the parameters of `forward`."""

    def __init__(self, recorder: Recorder, examples: list[Stored]) -> None:
        self._recorder = recorder
        self._examples = iter(examples)

    def of(self, forward: ast.FunctionDef) -> list[Any]:
        """A value for each parameter after the first; those with a default keep it."""
        parameters = forward.args.args[1:]
        kept = len(parameters) - len(forward.args.defaults)
        return [
            self._value(one.arg, one.annotation)
            for at, one in enumerate(parameters)
            if at < kept or _is_tensor(one.annotation)
        ]

    def _value(self, name: str, annotation: ast.expr | None) -> Any:
        if isinstance(annotation, ast.Subscript) and isinstance(annotation.value, ast.Name):
            inner = annotation.slice
            if annotation.value.id == "Tuple":
                parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                return tuple(self._value(f"{name}.{at}", one) for at, one in enumerate(parts))
            if annotation.value.id == "Optional":
                return self._value(name, inner)
            if annotation.value.id == "List":
                return [self._value(f"{name}.0", inner)]
        kind = annotation.id if isinstance(annotation, ast.Name) else "Tensor"
        if kind in ("int", "float", "bool"):
            index = self._recorder.add(
                Tensor(name, {"int": "int64", "float": "float32"}.get(kind, "bool"), ())
            )
            self._recorder.graph.inputs.append(index)
            return self._recorder.ref(index, kind)
        example = next(self._examples, None)
        shape: Shape | None = example.shape if example else None
        dtype = example.storage.dtype if example else "float32"
        index = self._recorder.add(Tensor(name, dtype, shape))
        self._recorder.graph.inputs.append(index)
        return self._recorder.ref(index)


def _is_tensor(annotation: ast.expr | None) -> bool:
    return annotation is None or (isinstance(annotation, ast.Name) and annotation.id == "Tensor")
