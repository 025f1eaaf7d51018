"""State dicts and checkpoints: the tensors that a pickle describes, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edgewise.errors import LimitExceeded, RejectedModel
from edgewise.formats.listing import weights_graph
from edgewise.formats.pytorch.container import Bytes, Container, tensor
from edgewise.formats.pytorch.pickled import Called, Stored
from edgewise.formats.pytorch.unpickle import Pickle, unpickle
from edgewise.graph import Graph, Tensor

TENSOR_LIMIT = 200_000
#: Values that are looked at for tensors, and how deep they may lie in one another.
VALUE_LIMIT = 2_000_000
DEPTH_LIMIT = 64
#: Parts of a checkpoint that are for training only.
_TRAINING = ("optimizer", "optim", "lr_scheduler", "scheduler", "scaler", "loops", "callbacks")
#: What a checkpoint calls the weights themselves: no part of their names.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "params", "weights")


class Walk:
    """All tensors that lie in a description, with names; `ops` has the classes of modules."""

    def __init__(self) -> None:
        self.ops: dict[str, str] = {}
        self.skipped: list[str] = []
        self._left = VALUE_LIMIT

    def tensors(self, value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Stored]]:
        """(name, tensor) for each, in the file's order."""
        self._left -= 1
        if self._left < 0 or depth > DEPTH_LIMIT:
            raise LimitExceeded(
                f"more than {VALUE_LIMIT:,} values, or {DEPTH_LIMIT} levels of them"
            )
        if isinstance(value, Stored):
            yield name, value
        elif isinstance(value, Mapping):
            for key, part in value.items():
                if depth == 0 and str(key).lower().startswith(_TRAINING) and len(value) > 1:
                    self.skipped.append(str(key))
                    continue
                wraps = depth == 0 and key in _WRAPPERS and isinstance(part, (Mapping, Called))
                yield from self.tensors(part, "" if wraps else _joined(name, key), depth + 1)
        elif isinstance(value, (list, tuple)):
            for at, part in enumerate(value):
                yield from self.tensors(part, _joined(name, at), depth + 1)
        elif isinstance(value, Called):
            yield from self._object(value, name, depth)

    def _object(self, value: Called, name: str, depth: int) -> Iterator[tuple[str, Stored]]:
        """A module that was pickled whole, or any other object."""
        state = value.state
        if not isinstance(state, Mapping):
            yield from self.tensors((*value.arguments, state), name, depth + 1)
            return
        if any(part in state for part in ("_parameters", "_modules")):
            self.ops[name] = value.type_name
            for part in ("_parameters", "_buffers", "_modules"):
                yield from self.tensors(state.get(part) or {}, name, depth + 1)
            return
        yield from self.tensors(state, name, depth + 1)


def _joined(name: str, key: Any) -> str:
    return f"{name}.{key}" if name else str(key)


def listed(found: Pickle, storage: Callable[[str], Bytes]) -> Graph:
    """The weights that a pickle describes; `storage` finds one by its key.

    Raises:
        RejectedModel: it describes no tensor.
    """
    walk = Walk()
    tensors: list[Tensor] = []
    for name, stored in walk.tensors(found.value):
        tensors.append(tensor(name, stored, storage(stored.storage.key)))
        if len(tensors) > TENSOR_LIMIT:
            raise LimitExceeded(f"more than {TENSOR_LIMIT:,} tensors")
    if not tensors:
        raise RejectedModel("a pickle without a tensor in it")
    _share(tensors)
    graph = weights_graph(tensors, "pytorch", walk.ops)
    graph.notes += [f"{part!r} is of training only, it is left out" for part in walk.skipped]
    strange = sorted(
        str(name) for name in found.names
        if name.module.partition(".")[0] not in ("torch", "collections", "numpy", "builtins")
    )  # fmt: skip
    if strange:
        graph.notes.append(f"loading it runs code of its own: {', '.join(strange[:5])}")
    return graph


def _share(tensors: list[Tensor]) -> None:
    """Tensors over the same bytes are tied: they count once."""
    del tensors  # each has its own place in the file unless it is tied; see `container.tensor`


def from_container(container: Container) -> Graph:
    """A zip that holds no code."""
    graph = listed(container.pickle("data.pkl"), lambda key: container.storage("data", key))
    graph.notes = [*container.notes, *graph.notes]
    return graph


def from_stream(data: memoryview) -> Graph:
    """The form before PyTorch 1.6: pickles one behind the other, then the storages."""
    at = 0
    pickles = []
    for _ in range(5):  # magic, version, system, the object, keys of the storages
        pickles.append(unpickle(data[at:]))
        at += pickles[-1].end
    keys = pickles[4].value
    if not isinstance(keys, list):
        raise RejectedModel("no list of storages")
    used = {one.storage.key: one.storage for _, one in Walk().tensors(pickles[3].value)}
    places: dict[str, Bytes] = {}
    for key in keys:
        size = _storage_size(data, at, used.get(str(key)))
        if size is None:
            break  # nothing uses it: where the next one begins is not known
        places[str(key)] = (size, _slice(data, at + 8, size))
        at += 8 + size

    def storage(key: str) -> Bytes:
        if key not in places:
            raise RejectedModel(f"the file has no storage {key!r}")
        return places[key]

    return listed(pickles[3], storage)


def _storage_size(data: memoryview, at: int, used: Any) -> int | None:
    """How many bytes a storage has, which begins with how many elements it has."""
    from edgewise.formats.building import byte_size

    if at + 8 > len(data):
        raise RejectedModel("the storages are cut off")
    elements = int.from_bytes(data[at : at + 8], "little", signed=True)
    size = None if used is None else byte_size(used.dtype, (elements,))
    if size is not None and (elements < 0 or at + 8 + size > len(data)):
        raise RejectedModel(f"a storage of {elements:,} elements does not fit the file")
    return size


def _slice(data: memoryview, start: int, size: int) -> Callable[[], memoryview]:
    return lambda: data[start : start + size]
