"""Conditions and loops of TorchScript: followed where plain, else as layers with bodies."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, NamedTuple

from edgewise.formats.aten.recorder import UNKNOWN_VALUE, Recorder, Ref, Unknown
from edgewise.formats.kit import Meaning
from edgewise.formats.pytorch.calls import Raised
from edgewise.graph import Kind, Tensor

Frame = dict[str, Any]


class Rounds(NamedTuple):
    """A range of as many numbers as sizes say."""

    rounds: Ref


class Returned(Exception):
    """A function gives back a value here."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Flow:
    """The part of an interpreter that follows control flow; the rest does statements and values."""

    _recorder: Recorder

    def _block(self, statements: Sequence[ast.stmt], frame: Frame) -> None:
        raise NotImplementedError

    def _value(self, node: ast.expr, frame: Frame, wanted: int | None = None) -> Any:
        raise NotImplementedError

    def _assign(self, target: ast.expr, value: Any, frame: Frame) -> None:
        raise NotImplementedError

    def _if(self, test: Any, body: list[ast.stmt], orelse: list[ast.stmt], frame: Frame) -> None:
        if isinstance(test, Ref):
            numbers = test.owner.numbers(test.index)
            test = numbers[0] if numbers is not None and len(numbers) == 1 else test
        if not isinstance(test, (Ref, Unknown)):
            self._block(body if test else orelse, frame)
            return
        before = dict(frame)
        branches = [self._branch(block, frame) for block in (body, orelse)]
        going = [at for at, branch in enumerate(branches) if branch is not None]
        if len(going) < 2:
            if not going:
                raise Raised
            self._block((body, orelse)[going[0]], frame)
            return
        (first, then), (second, other) = (branch for branch in branches if branch is not None)
        self._merge(test, (first, then), (second, other), frame, before)

    def _branch(self, block: list[ast.stmt], frame: Frame) -> tuple[Recorder, Frame] | None:
        """A branch in a graph of its own; None where it raises."""
        outer = self._recorder
        inner = Recorder("", outer.budget, outer)
        inside = dict(frame)
        self._recorder = inner
        try:
            self._block(block, inside)
        except Raised:
            return None
        except Returned as done:
            inside[""] = done.value
        finally:
            self._recorder = outer
        return inner, inside

    def _merge(
        self, test: Any, one: tuple[Recorder, Frame], two: tuple[Recorder, Frame], frame: Frame,
        before: Frame,
    ) -> None:  # fmt: skip
        (first, then), (second, other) = one, two
        pairs: list[tuple[int, int]] = []
        dtypes: list[tuple[str, str]] = []

        def joined(a: Any, b: Any) -> Any:
            if a is b or (type(a) is type(b) and not isinstance(a, Ref) and _plainly_equal(a, b)):
                return a
            if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
                return type(a)(joined(x, y) for x, y in zip(a, b, strict=True))
            left, right = _index(first, a), _index(second, b)
            if left is None or right is None:
                return UNKNOWN_VALUE
            kinds = {v.kind if isinstance(v, Ref) else type(v).__name__ for v in (a, b)}
            pairs.append((left, right))
            dtypes.append(
                (first.graph.tensors[left].dtype, kinds.pop() if len(kinds) == 1 else "tensor")
            )
            return len(pairs) - 1, _PENDING

        merged = {
            name: joined(then.get(name, UNKNOWN_VALUE), other.get(name, UNKNOWN_VALUE))
            for name in dict.fromkeys([*then, *other])
            if then.get(name) is not before.get(name) or other.get(name) is not before.get(name)
        }
        if not (pairs or first.graph.layers or second.graph.layers):
            frame.update(merged)
            return
        first.graph.outputs, second.graph.outputs = [a for a, _ in pairs], [b for _, b in pairs]
        recorder = self._recorder
        outputs = [
            recorder.add(Tensor(f"if_{len(recorder.graph.layers)}.{at}", dtype, None))
            for at, (dtype, _) in enumerate(dtypes)
        ]
        condition = recorder.resolve(test) if isinstance(test, Ref) else None
        if condition is not None:
            recorder.graph.tensors[condition].dtype = "bool"
        recorder.layer(
            "if", "prim::If", Meaning(Kind.IF), [condition], outputs, (first.graph, second.graph)
        )

        def settled(value: Any) -> Any:
            if isinstance(value, tuple) and len(value) == 2 and value[1] is _PENDING:
                return recorder.ref(outputs[value[0]], dtypes[value[0]][1])
            if isinstance(value, (list, tuple)):
                return type(value)(settled(part) for part in value)
            return value

        frame.update({name: settled(value) for name, value in merged.items()})
        if "" in frame:
            raise Returned(frame.pop(""))

    def _for(self, target: ast.expr, over: ast.expr, body: list[ast.stmt], frame: Frame) -> None:
        values = self._value(over, frame)
        if isinstance(values, Rounds) and isinstance(target, ast.Name):
            if not self._loop(target.id, values.rounds, body, frame):
                self._not_followed(body, frame)
            return
        if not isinstance(values, (list, tuple, range)):
            self._not_followed(body, frame)
            return
        for value in values:
            self._assign(target, value, frame)
            self._block(body, frame)

    def _loop(self, counter: str, count: Ref, body: list[ast.stmt], frame: Frame) -> bool:
        """A loop over as many rounds as sizes say, its body recorded once; False: not followed.

        Its state are the values that the body assigns and that were there before.
        """
        outer = self._recorder
        inner = Recorder("", outer.budget, outer)
        names = [n for n in _assigned(body) if _index_kind(frame.get(n)) is not None]
        before = [outer.index_of(frame[n]) for n in names]
        kinds = [_index_kind(frame[n]) or "tensor" for n in names]
        lists = {n: len(v) for n, v in frame.items() if isinstance(v, list)}
        places = [inner.add(Tensor("i", "int64", ())), inner.add(Tensor("goes_on", "bool", ()))]
        inside = dict(frame)
        inside[counter] = inner.ref(places[0], "int")
        for name, index, kind in zip(names, before, kinds, strict=True):
            seen = outer.graph.tensors[index or 0]
            places.append(inner.add(Tensor(name, seen.dtype, None)))
            inside[name] = inner.ref(places[-1], kind)
        self._recorder = inner
        try:
            self._block(body, inside)
            after = [_index(inner, inside[n]) for n in names]
        except (Raised, Returned):
            return False
        finally:
            self._recorder = outer
        grown = [n for n, size in lists.items() if len(frame[n]) != size]
        if None in after:
            return False
        inner.graph.inputs, inner.graph.outputs = (
            places,
            [places[1], *(a for a in after if a is not None)],
        )
        made = outer.emit_many(
            "prim::Loop", Meaning(Kind.LOOP, {"style": "onnx"}),
            [count, None, *(frame[n] for n in names)], len(names), bodies=(inner.graph,),
        )  # fmt: skip
        for name in _assigned(body):
            frame[name] = UNKNOWN_VALUE
        for name, ref, kind in zip(names, made, kinds, strict=True):
            outer.graph.tensors[ref.index].dtype = inner.graph.tensors[
                places[2 + names.index(name)]
            ].dtype
            frame[name] = Ref(outer, ref.index, kind)
        for name in grown:  # one item a round: how many is not followed
            frame[name] = UNKNOWN_VALUE
        return True

    def _while(self, test: ast.expr, body: list[ast.stmt], frame: Frame) -> None:
        while True:
            going = self._value(test, frame)
            if isinstance(going, (Ref, Unknown)):
                self._not_followed(body, frame)
                return
            if not going:
                return
            self._block(body, frame)

    def _not_followed(self, body: list[ast.stmt], frame: Frame) -> None:
        """A loop whose number of rounds is not known: what it assigns is not either."""
        names = set(_assigned(body))
        changed = [n for n in sorted(names) if isinstance(frame.get(n), Ref)]
        made = self._recorder.emit_many(
            "prim::Loop", Meaning(Kind.UNKNOWN), [frame[n] for n in changed], max(len(changed), 1)
        )
        for name in names:
            frame[name] = UNKNOWN_VALUE
        frame.update(zip(changed, made, strict=False))


def _assigned(body: Sequence[ast.stmt]) -> list[str]:
    """The names that statements assign, in order."""
    found = [n.id for s in body for n in ast.walk(s)
             if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]  # fmt: skip
    return list(dict.fromkeys(found))


def _index_kind(value: Any) -> str | None:
    """What a value is as a tensor: of numbers their kind; None where it is none."""
    if isinstance(value, Ref):
        return value.kind
    return type(value).__name__ if isinstance(value, (bool, int, float)) else None


def _index(recorder: Recorder, value: Any) -> int | None:
    if isinstance(value, (Ref, bool, int, float)):
        return recorder.index_of(value)
    return None


_PENDING = object()


def _plainly_equal(a: Any, b: Any) -> bool:
    return isinstance(a, (int, float, str, bool, type(None))) and a == b
