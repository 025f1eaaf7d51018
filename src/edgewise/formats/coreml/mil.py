"""From a program's blocks to a `Graph`: constants, compressed weights, control flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.coreml.compressed import COMPRESSED, compressed
from edgewise.formats.coreml.operation import Call, Unknowable
from edgewise.formats.coreml.operations import OPERATIONS
from edgewise.formats.coreml.program import Block, Constant, Operation
from edgewise.formats.coreml.scope import Scope
from edgewise.formats.kit import Meaning
from edgewise.graph import FreeDim, Graph, Kind, Shape

DEPTH_LIMIT = 32


class BlockReader:
    """Reads one block into a graph; `known` has the small constants around it, by name."""

    def __init__(self, outer: BlockReader | None = None, depth: int = 0) -> None:
        if depth > DEPTH_LIMIT:
            raise RejectedModel(f"blocks nested deeper than {DEPTH_LIMIT}")
        self.builder: Scope = Scope(outer.builder if outer is not None else None)
        self.known: dict[str, Constant] = dict(outer.known) if outer is not None else {}
        self.depth = depth

    def read(self, block: Block, shapes: Mapping[str, Shape] | None = None) -> Graph:
        """The graph of a block; `shapes` wins over what it says of its inputs."""
        for name, dtype, shape in block.inputs:
            stated = (shapes or {}).get(name, shape)
            self.builder.input(name, dtype, stated)
        for operation in block.operations:
            self._add(operation)
        graph = self.builder.graph
        graph.outputs = [self.builder.wanted(name, "the block") for name in block.outputs]
        return graph

    def _add(self, operation: Operation) -> None:
        if operation.type == "const":
            self._constant(operation)
        elif operation.type in COMPRESSED:
            self._compressed(operation)
        elif operation.type in ("cond", "while_loop"):
            self._control(operation)
        else:
            self._operation(operation)

    def _constant(self, operation: Operation) -> None:
        value = operation.attributes.get("val")
        if value is None:
            given = operation.inputs.get("val", [])
            value = given[0] if given and isinstance(given[0], Constant) else None
        if value is None or len(operation.outputs) != 1:
            raise RejectedModel("a constant without a value")
        name = operation.outputs[0][0]
        self.known[name] = value
        if value.weights is not None:
            index = self.builder.value(name, value.dtype, value.shape, weights=value.weights)
            self.builder.put("const", Meaning(Kind.CONSTANT), (), (index,), name=name)
        else:
            self.builder.value(name, "string", value.shape)

    def _compressed(self, operation: Operation) -> None:
        if len(operation.outputs) != 1:
            raise RejectedModel(f"{operation.type} of {len(operation.outputs)} outputs")
        name, dtype, shape = operation.outputs[0]
        fixed = tuple(size for size in shape or () if isinstance(size, int))
        parts = {key: self._part(values) for key, values in operation.inputs.items()}
        parts |= dict(operation.attributes)
        made = compressed(operation.type, name, dtype, fixed, parts)
        index = self.builder.value(
            name, made.dtype, made.shape, weights=made.weights, quantization=made.quantization
        )
        self.known[name] = Constant(made.dtype, fixed, made.weights)
        self.builder.put(operation.type, Meaning(Kind.CONSTANT), (), (index,), name=name)

    def _part(self, values: list[str | Constant]) -> Constant | None:
        if not values:
            return None
        first = values[0]
        return self.known.get(first) if isinstance(first, str) else first

    def argument(self, value: str | Constant, reader: str) -> int | None:
        """The tensor of an argument; a text has none."""
        if isinstance(value, str):
            return self.builder.wanted(value, reader)
        if value.weights is None:
            return None
        name = f"{reader}_{len(self.builder.graph.tensors)}"
        return self.builder.value(name, value.dtype, value.shape, weights=value.weights)

    def constant(self, value: str | Constant) -> Constant | None:
        """The constant that an argument is, if it is one."""
        return self.known.get(value) if isinstance(value, str) else value

    def _outputs(self, operation: Operation) -> list[int]:
        return [self.builder.value(name, dtype, shape) for name, dtype, shape in operation.outputs]

    def _operation(self, operation: Operation) -> None:
        label = operation.outputs[0][0] if operation.outputs else operation.type
        call = Call(operation, self, label)
        translate = OPERATIONS.get(operation.type)
        try:
            found = translate(call) if translate is not None else None
        except (Unknowable, IndexError, TypeError, ValueError) as error:
            if isinstance(error, RejectedModel):
                raise
            found = None
        inputs = call.every() if found is None else found.inputs
        kind, attributes = (Kind.UNKNOWN, {}) if found is None else (found.kind, found.attributes)
        outputs = self._outputs(operation)
        if found is not None and found.outputs is not None:
            outputs = outputs[: found.outputs]
        self.builder.put(operation.type, Meaning(kind, attributes), inputs, outputs, name=label)

    def _control(self, operation: Operation) -> None:
        label = operation.outputs[0][0] if operation.outputs else operation.type
        bodies = [BlockReader(self, self.depth + 1).read(block) for block in operation.blocks]
        key = "pred" if operation.type == "cond" else "loop_vars"
        given = operation.inputs.get(key, [])
        inputs = [self.argument(value, label) for value in given]
        kind = Kind.IF if operation.type == "cond" else Kind.LOOP
        attributes: dict[str, Any] = {} if kind is Kind.IF else {"style": "while"}
        if len(bodies) != 2:
            raise RejectedModel(f"{operation.type} with {len(bodies)} blocks")
        self.builder.put(
            operation.type, Meaning(kind, attributes), inputs, self._outputs(operation),
            name=label, bodies=tuple(bodies),
        )  # fmt: skip


def opened(name: str, shape: Shape | None, free: Mapping[int, int]) -> Shape | None:
    """A stated input shape with the axes of `free` left open, with these sizes as default."""
    if shape is None:
        return None
    return tuple(
        FreeDim(f"{name}_{axis}", free[axis]) if axis in free else size
        for axis, size in enumerate(shape)
    )
