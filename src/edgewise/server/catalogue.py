"""What is served: families and their variants by the names that callers use.

A family is a model whose variant the policy chooses; each variant is a model too, under its own
name where no other family has it, else as `family.variant`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from msgspec import structs

from edgewise.errors import InputError
from edgewise.family import Family, Variant, load_family
from edgewise.protocol.messages import DATATYPE_OF, BadRequest, Tensor, UnknownModel
from edgewise.protocol.metadata import VERSION, ModelMetadata, TensorMetadata
from edgewise.records import Port
from edgewise.runtimes.variant import scaled

#: The pool of this machine's worker processes; every endpoint is a pool of its own.
LOCAL = "local"
#: Kinds of inputs for which a family remembers who takes them.
_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class Served:
    """One variant as it is served. `key` is unique over all families, `pool` is where it runs;
    `content` is its file's SHA-256, empty where it runs elsewhere. `answers` are its outputs as
    callers get them: FP32 where its file has a scale for its integers."""

    key: str
    name: str
    family: str
    variant: Variant
    pool: str
    platform: str
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    answers: tuple[TensorMetadata, ...] = ()
    content: str = ""

    def takes(self, inputs: Sequence[Tensor]) -> bool:
        """Whether tensors fit its inputs; names count only where there are several."""
        if len(inputs) != len(self.inputs):
            return False
        if len(inputs) == 1:
            return _fits(inputs[0], self.inputs[0])
        by_name = {port.name: port for port in self.inputs}
        return all(t.name in by_name and _fits(t, by_name[t.name]) for t in inputs)

    def check(self, inputs: Sequence[Tensor], wanted: Sequence[str], *, images: bool) -> None:
        """Whether a request for this very variant fits it.

        Raises:
            BadRequest: its inputs do not, or it wants an output that there is none of.
        """
        known = [port.name for port in self.outputs]
        _check_wanted(self.name, known, wanted)
        if not (images and is_image(inputs)) and not self.takes(inputs):
            raise BadRequest(
                f"{_words(inputs)} does not fit '{self.name}'", hint=_port_words(self.inputs)
            )

    def answer(
        self, outputs: tuple[Tensor, ...], like: Sequence[TensorMetadata], *, raw: bool
    ) -> tuple[Tensor, ...]:
        """Its outputs under the names of a model, and of its datatypes if not `raw`: where those
        are FP32, real values by the scale and zero point that this variant's file states."""
        given = []
        ports = self.outputs or (None,) * len(outputs)
        for named, tensor, port in zip(like, outputs, ports, strict=False):
            values = tensor.values
            if not (raw or tensor.datatype == named.datatype or isinstance(values, tuple)):
                values = scaled(values, port).astype(np.float32)
                tensor = structs.replace(tensor, datatype="FP32", values=values)
            if tensor.name != named.name:
                tensor = structs.replace(tensor, name=named.name)
            given.append(tensor)
        return tuple(given)

    def named(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The inputs under the names of its ports."""
        if len(inputs) == 1 and len(self.inputs) == 1 and inputs[0].name != self.inputs[0].name:
            return (structs.replace(inputs[0], name=self.inputs[0].name),)
        return tuple(inputs)


@dataclass(frozen=True, slots=True)
class ServedFamily:
    """A family with its variants that run here or at an endpoint, by variant name.

    `outputs` are those of its first variant; where variants differ in type, values are FP32.
    """

    family: Family
    variants: Mapping[str, Served]
    outputs: tuple[TensorMetadata, ...] = ()
    _takers: dict[tuple[object, ...], frozenset[str]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def eligible(self, inputs: Sequence[Tensor], wanted: Sequence[str]) -> frozenset[str] | None:
        """The variants that can take these inputs, None: all of them.

        Raises:
            BadRequest: no variant can; or an output is wanted that the family does not have.
        """
        _check_wanted(self.family.name, [port.name for port in self.outputs], wanted)
        if self.family.input.kind == "image" and is_image(inputs):
            return None
        fitting = self._fitting(inputs)
        if not fitting:
            raise BadRequest(f"{_words(inputs)} fits no variant of '{self.family.name}'",
                             hint=self._takes())  # fmt: skip
        return None if len(fitting) == len(self.variants) else fitting

    def _fitting(self, inputs: Sequence[Tensor]) -> frozenset[str]:
        kind = tuple([(tensor.name, tensor.datatype, tensor.shape) for tensor in inputs])
        known = self._takers.get(kind)
        if known is None:
            known = frozenset(n for n, each in self.variants.items() if each.takes(inputs))
            if len(self._takers) < _REMEMBERED:
                self._takers[kind] = known
        return known

    def _takes(self) -> str:
        if self.family.input.kind == "image":
            return "send one encoded image as BYTES of shape [1], or a variant's own tensor"
        return "; ".join(sorted({_port_words(each.inputs) for each in self.variants.values()}))


class Catalogue:
    """Families and variants by served name."""

    def __init__(self, families: Sequence[ServedFamily]) -> None:
        self.families = {each.family.name: each for each in families}
        self.variants = {v.key: v for each in families for v in each.variants.values()}
        self._pinned = {v.name: v for v in self.variants.values()}

    @property
    def names(self) -> list[str]:
        """All served names, families first."""
        return [*self.families, *self._pinned]

    def find(self, name: str, version: str = "") -> tuple[ServedFamily, Served | None]:
        """A family, and the variant where the name pins one.

        Raises:
            UnknownModel: there is none of that name or version.
        """
        if version not in ("", VERSION):
            raise UnknownModel(
                f"the model '{name}' has no version '{version}'", hint=f"it has: {VERSION}"
            )
        if (family := self.families.get(name)) is not None:
            return family, None
        if (pinned := self._pinned.get(name)) is not None:
            return self.families[pinned.family], pinned
        raise UnknownModel(f"no model '{name}'", hint=f"there are: {', '.join(self.names)}")

    def metadata(self, name: str, version: str = "") -> ModelMetadata:
        """What a model takes and gives.

        Raises:
            UnknownModel: as `find`.
        """
        family, pinned = self.find(name, version)
        if pinned is not None:
            inputs = _metadata(pinned.inputs)
            return ModelMetadata(name, (VERSION,), pinned.platform, inputs, pinned.answers)
        if family.family.input.kind == "image":
            inputs = (TensorMetadata("image", "BYTES", (1,)),)
        else:
            inputs = _metadata(next(iter(family.variants.values())).inputs)
        return ModelMetadata(name, (VERSION,), "edgewise_family", inputs, family.outputs)


def load(paths: Iterable[Path], *, accuracies_follow: bool = False) -> Catalogue:
    """Read families; the variants' ports are still open (`described` fills them in).

    Args:
        accuracies_follow: from elsewhere, so that they are not missed here (`check_accuracies`).

    Raises:
        InputError: a family cannot be read, two have one name, a variant has no accuracy, or none
            runs here.
    """
    families = [load_family(path) for path in paths]
    if not families:
        raise InputError("no family to serve")
    names = [family.name for family in families]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"two families are named '{twice}'")
    own = [variant.name for family in families for variant in family.variant]
    shared = {name for name in own if own.count(name) > 1} | set(names)
    served = [_served(family, shared) for family in families]
    if not accuracies_follow:
        check_accuracies(served)
    return Catalogue(served)


def check_accuracies(families: Iterable[ServedFamily]) -> None:
    """Policies choose by accuracy wherever there is a choice.

    Raises:
        InputError: a variant beside others has none.
    """
    for family in families:
        for served in family.variants.values() if len(family.variants) > 1 else ():
            if served.variant.accuracy is None:
                raise InputError(
                    f"the variant '{served.variant.name}' of {family.family.path} has no accuracy",
                    hint="measure it with: edgewise eval FAMILY --data …",
                )


Ports = tuple[tuple[Port, ...], tuple[Port, ...]]


def described(of: Catalogue, ports: Mapping[str, Ports]) -> Catalogue:
    """The catalogue with the inputs and outputs of every variant, by key.

    Raises:
        InputError: variants of a family that do not agree in what they take or give.
    """
    families = []
    for each in of.families.values():
        variants = {
            name: replace(v, inputs=takes, outputs=gives, answers=_outputs([gives]))
            for name, v in each.variants.items()
            for takes, gives in (ports[v.key],)
        }
        gives = [variant.outputs for variant in variants.values()]
        family = ServedFamily(each.family, variants, _outputs(gives))
        _check_agreement(family)
        families.append(family)
    return Catalogue(families)


def _outputs(variants: Sequence[tuple[Port, ...]]) -> tuple[TensorMetadata, ...]:
    """Those of the first; FP32 where types differ, or a file has a scale for its integers."""
    kinds = [{(port.dtype, port.scale) for each in variants for port in each[i : i + 1]}
             for i in range(len(variants[0]))]  # fmt: skip
    return tuple(
        port
        if len({dtype for dtype, _ in kind}) == 1 and all(scale is None for _, scale in kind)
        else replace(port, datatype="FP32")
        for port, kind in zip(_metadata(variants[0]), kinds, strict=True)
    )


def is_image(inputs: Sequence[Tensor]) -> bool:
    """Whether a request carries one encoded image."""
    return len(inputs) == 1 and inputs[0].datatype == "BYTES" and len(inputs[0].values) == 1


def _served(family: Family, shared: set[str]) -> ServedFamily:
    variants = {}
    for variant in family.variant:
        variants[variant.name] = Served(
            key=f"{family.name}/{variant.name}",
            name=f"{family.name}.{variant.name}" if variant.name in shared else variant.name,
            family=family.name,
            variant=variant,
            pool=variant.endpoint or LOCAL,
            platform=_platform(variant),
        )
    return ServedFamily(family, variants)


def _platform(variant: Variant) -> str:
    if variant.endpoint is not None:
        return "open_inference_protocol"
    return {".onnx": "onnxruntime_onnx", ".tflite": "litert_tflite"}.get(
        Path(str(variant.file)).suffix.lower(), "edgewise"
    )


def _check_agreement(family: ServedFamily) -> None:
    first, *others = family.variants.values()
    for other in others:
        if len(other.outputs) != len(first.outputs):
            raise InputError(
                f"the variants '{first.variant.name}' and '{other.variant.name}' of "
                f"{family.family.path} have {len(first.outputs)} and {len(other.outputs)} outputs"
            )
    if family.family.input.kind == "tensor":
        for other in others:
            if _shapes(other.inputs) != _shapes(first.inputs):
                raise InputError(
                    f"{family.family.path}: '{first.variant.name}' takes "
                    f"{_port_words(first.inputs)}, '{other.variant.name}' "
                    f"{_port_words(other.inputs)}",
                    hint="variants that take tensors have to take the same",
                )


def _shapes(ports: Sequence[Port]) -> list[tuple[str, tuple[int, ...]]]:
    return [(tensor.datatype, tensor.shape) for tensor in _metadata(ports)]


def _metadata(ports: Sequence[Port]) -> tuple[TensorMetadata, ...]:
    return tuple(
        TensorMetadata(port.name, DATATYPE_OF.get(port.dtype, "BYTES"), _free(port))
        for port in ports
    )


def _free(port: Port) -> tuple[int, ...]:
    stated = port.signature or port.shape or ()
    return tuple(each if isinstance(each, int) else -1 for each in stated)


def _fits(tensor: Tensor, port: Port) -> bool:
    if DATATYPE_OF.get(port.dtype) != tensor.datatype:
        return False
    wanted = _free(port)
    # A batch of several is no different question: a first dimension of 1 may be any.
    return len(wanted) == len(tensor.shape) and all(
        a in (-1, b) for a, b in zip(wanted, tensor.shape, strict=True)
    )


def _check_wanted(name: str, known: Sequence[str], wanted: Sequence[str]) -> None:
    if wanted and (unknown := [each for each in wanted if each not in known]):
        raise BadRequest(
            f"the model '{name}' has no output '{unknown[0]}'", hint=f"it has: {', '.join(known)}"
        )


def _words(inputs: Sequence[Tensor]) -> str:
    given = ", ".join(f"'{t.name}' {t.datatype} {list(t.shape)}" for t in inputs)
    return f"the input {given}" if inputs else "a request without input"


def _port_words(ports: Sequence[Port]) -> str:
    return "it takes " + ", ".join(
        f"'{t.name}' {t.datatype} {list(t.shape)}" for t in _metadata(ports)
    )
