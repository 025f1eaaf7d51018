"""Which code of a dex gets to what was found in its tables: by calls, by names, by models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgewise.apps.evidence import names
from edgewise.apps.evidence.bytecode import CONST_STRING, FIELD, METHOD, STRING, TYPE, Code, Method
from edgewise.apps.evidence.contract import Context, Naming
from edgewise.apps.evidence.dex import Dex
from edgewise.apps.evidence.flow import (
    Call,
    Event,
    FieldValue,
    Number,
    Parameter,
    Result,
    Return,
    Store,
    Text,
    Use,
    Values,
    events,
)
from edgewise.apps.evidence.patterns import compiled, in_classes
from edgewise.apps.evidence.signatures import Signature
from edgewise.records import Owner, Reach

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TYPE_OPS = frozenset((0x1C, 0x1F, 0x20, 0x22, 0x23, 0x24, 0x25))
_FIELD_OPS = frozenset(range(0x52, 0x6E))
#: Methods that ask for a class by its name.
_ASKING = {"java.lang.Class.forName", "java.lang.ClassLoader.loadClass"}
#: How many methods a path may pass through on its way to a loader.
_ROUNDS = 3


@dataclass
class Texts:
    """Strings of interest, by their number."""

    classes: set[int] = field(default_factory=set)
    names: defaultdict[int, set[Signature]] = field(default_factory=lambda: defaultdict(set))
    messages: defaultdict[int, set[Signature]] = field(default_factory=lambda: defaultdict(set))
    hosts: defaultdict[int, set[Signature]] = field(default_factory=lambda: defaultdict(set))
    models: set[int] = field(default_factory=set)
    stems: dict[int, str] = field(default_factory=dict)
    #: Strings that end as models do, somewhere in them.
    endings: set[int] = field(default_factory=set)

    def all_used(self) -> set[int]:
        """Those whose users are wanted."""
        return {*self.names, *self.messages, *self.hosts, *self.models, *self.stems}


@dataclass
class _Waiting:
    """What a loader was given that is not known yet: who says it, for which loader."""

    methods: dict[int, set[tuple[Signature, str]]] = field(default_factory=dict)
    fields: dict[int, set[tuple[Signature, str]]] = field(default_factory=dict)
    results: dict[int, set[tuple[Signature, str]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.methods or self.fields or self.results)


class Reading:
    """One dex, read as far as its tables say that it matters.

    Attributes:
        is_of: the signatures that a type is of.
        reached: how code outside a product gets to it, by signature and owner.
        called: members of `Signature.calls` used, by signature and owner.
        asked: classes asked for by name, by signature and owner.
        users: classes whose code names a string, with their owners.
        loads: native libraries loaded by name, with the owner of the code.
        namings: texts that name models.
    """

    def __init__(self, dex: Dex, context: Context, texts: Texts, inside: str) -> None:
        self.dex, self.texts = dex, texts
        self._context, self._inside = context, inside
        self._compiled = compiled(context.signatures)
        self.types = {int(t): dex.type_name(int(t)) for t in dex.types_of(sorted(texts.classes))}
        self.is_of: defaultdict[int, list[Signature]] = defaultdict(list)
        self.reached: dict[tuple[Signature, Owner], Reach] = {}
        self.called: defaultdict[tuple[Signature, Owner], set[str]] = defaultdict(set)
        self.asked: defaultdict[tuple[Signature, Owner], set[str]] = defaultdict(set)
        self.users: defaultdict[int, set[tuple[str, Owner]]] = defaultdict(set)
        self.loads: set[tuple[str, Owner]] = set()
        self.namings: list[Naming] = []
        self._waiting = _Waiting()
        self._members: dict[tuple[int, int], str] = {}
        self._rules: dict[tuple[int, int], list[tuple[bool, Signature]]] = {}
        self._loaders: dict[int, list[Signature]] = {}

    def read(self) -> None:
        """Decode the methods that use what is of interest, and follow what loaders are given."""
        if not self.types and not self.texts.all_used():
            return
        self._code = Code(self.dex)
        self._superclasses()
        inside_sdks = {
            kind for kind, signatures in self.is_of.items()
            if any(s.kind != "packer" for s in signatures)
        }  # fmt: skip
        for method in self._code.using(self._wanted(), inside_sdks):
            self._read_method(method)
        done: set[tuple[str, int]] = set()
        for _ in range(_ROUNDS):
            waiting, self._waiting = self._waiting, _Waiting()
            if not waiting:
                return
            self._follow(waiting, done)

    def _wanted(self) -> dict[int, NDArray[Any]]:
        import numpy as np

        types = np.array(sorted(self.types), np.int64)
        return {
            METHOD: self.dex.methods_of(types),
            FIELD: self.dex.fields_of(types),
            TYPE: types,
            STRING: np.array(sorted(self.texts.all_used()), np.int64),
        }

    def _superclasses(self) -> None:
        """A class that extends one of a product's is a use of it."""
        dex = self.dex
        for kind, extended in zip(
            dex.class_types.tolist(), dex.superclasses.tolist(), strict=True
        ):  # fmt: skip
            if extended in self.types:
                name = dex.type_name(kind)
                self._reach(extended, name, self._context.owners.owner(name))

    # One method

    def _read_method(self, method: Method) -> None:
        name = self.dex.type_name(method.type)
        owner = self._context.owners.owner(name)
        for event in events(self.dex, self._code, method):
            self._take(event, method, name, owner)

    def _take(self, event: Event, method: Method, name: str, owner: Owner) -> None:
        match event:
            case Use(op, index):
                if op == CONST_STRING:
                    self._take_text(index, name, owner)
                elif op in _TYPE_OPS and index in self.types:
                    self._reach(index, name, owner)
                elif op in _FIELD_OPS:
                    self._take_member(FIELD, index, name, owner, ())
            case Call(number, arguments):
                self._take_member(METHOD, number, name, owner, arguments)
                self._take_call(event, method, name, owner)
            case Store(index, _):
                self._take_member(FIELD, index, name, owner, ())

    def _take_text(self, string: int, name: str, owner: Owner) -> None:
        texts = self.texts
        if string in texts.messages or string in texts.hosts:
            self.users[string].add((name, owner))
        if string in texts.stems:
            self.loads.add((texts.stems[string], owner))
        if string in texts.models:
            self.namings.append(Naming(self.dex.string(string), self._place(name), owner))

    def _take_member(
        self, kind: int, index: int, name: str, owner: Owner, arguments: tuple[Values, ...]
    ) -> None:
        """A method called or a field used, of a class of interest."""
        dex = self.dex
        of = dex.method_class(index) if kind == METHOD else dex.field_class(index)
        if of not in self.types:
            return
        self._reach(of, name, owner)
        for not_zero, signature in self._calls(kind, index):
            if in_classes(name, signature.own):
                continue
            if not_zero and any(Number(0) in values for values in arguments):
                continue
            self.called[signature, owner].add(self._member(kind, index))

    def _calls(self, kind: int, index: int) -> list[tuple[bool, Signature]]:
        """The signatures that a member tells of."""
        known = self._rules.get((kind, index))
        if known is None:
            member = self._member(kind, index)
            known = self._rules[kind, index] = [
                (not_zero, signature)
                for pattern, not_zero, signature in self._compiled.calls
                if pattern.match(member)
            ]
        return known

    def _member(self, kind: int, index: int) -> str:
        known = self._members.get((kind, index))
        if known is None:
            dex = self.dex
            if kind == METHOD:
                known = f"{dex.type_name(dex.method_class(index))}.{dex.method_name(index)}"
            else:
                known = f"{dex.type_name(dex.field_class(index))}.{dex.field_name(index)}"
            self._members[kind, index] = known
        return known

    def _reach(self, kind: int, name: str, owner: Owner) -> None:
        for signature in self.is_of.get(kind, ()):
            if not in_classes(name, signature.own):
                self.reached.setdefault((signature, owner), "referenced")

    def _take_call(self, call: Call, method: Method, name: str, owner: Owner) -> None:
        values = call.carried()
        if not values:
            return
        member = self._member(METHOD, call.method)
        if member in _ASKING:
            self._take_question(values, owner)
        for signature in self._loaders_of(call.method, member):
            if not in_classes(name, signature.own):
                self._load(signature, member, values, method, name, owner)

    def _take_question(self, values: Values, owner: Owner) -> None:
        for value in values:
            if isinstance(value, Text):
                for signature in self.texts.names.get(value.string, ()):
                    self.asked[signature, owner].add(self.dex.string(value.string))

    def _loaders_of(self, number: int, member: str) -> list[Signature]:
        known = self._loaders.get(number)
        if known is None:
            known = self._loaders[number] = (
                [s for pattern, s in self._compiled.loaders if pattern.match(member)]
                if self.dex.method_class(number) in self.types
                else []
            )
        return known

    # What reaches a loader

    def _load(
        self, signature: Signature, loader: str, values: Values, method: Method, name: str,
        owner: Owner,
    ) -> None:  # fmt: skip
        """Something is given to a loader: a text is the answer; the rest is asked for."""
        for value in values:
            match value:
                case Text(string):
                    self._loaded(signature, loader, string, name, owner)
                case Parameter():
                    self._waiting.methods.setdefault(method.number, set()).add((signature, loader))
                case FieldValue(index):
                    self._waiting.fields.setdefault(index, set()).add((signature, loader))
                case Result(number):
                    self._waiting.results.setdefault(number, set()).add((signature, loader))

    def _loaded(
        self, signature: Signature, loader: str, string: int, name: str, owner: Owner
    ) -> None:
        text = self.dex.string(string)
        shipped = string in self.texts.models
        if not (shipped or (names.seems_model(text) and not names.is_elsewhere(text))):
            return
        if signature.classes and in_classes(loader.rpartition(".")[0], signature.own):
            self.reached[signature, owner] = "loaded"
        self.namings.append(Naming(text, self._place(name), owner, loader))

    def _follow(self, waiting: _Waiting, done: set[tuple[str, int]]) -> None:
        """Read the callers of methods, the writers of fields and the methods that a loader's
        argument came from."""
        import numpy as np

        callers = self._new("method", waiting.methods, done)
        fields = self._new("field", waiting.fields, done)
        wanted = {
            METHOD: np.array(sorted(callers), np.int64),
            FIELD: np.array(sorted(fields), np.int64),
        }
        for method in self._code.using(wanted, set()) if callers or fields else ():
            name = self.dex.type_name(method.type)
            owner = self._context.owners.owner(name)
            for event in events(self.dex, self._code, method):
                match event:
                    case Call(number, _) if number in callers:
                        for signature, loader in waiting.methods[number]:
                            self._load(signature, loader, event.carried(), method, name, owner)
                    case Store(index, values) if index in fields:
                        for signature, loader in waiting.fields[index]:
                            self._load(signature, loader, values, method, name, owner)
        for number in self._new("result", waiting.results, done):
            self._follow_result(number, waiting.results[number])

    def _follow_result(self, number: int, loaders: set[tuple[Signature, str]]) -> None:
        """What methods of that name return: the one called may be abstract."""
        if self.dex.result_type(number) != "Ljava/lang/String;":
            return
        for method in self._code.of(self.dex.methods_called(self.dex.method_name(number))):
            name = self.dex.type_name(method.type)
            owner = self._context.owners.owner(name)
            for event in events(self.dex, self._code, method):
                if isinstance(event, Return):
                    for signature, loader in loaders:
                        self._load(signature, loader, event.values, method, name, owner)

    def _new(
        self, kind: str, wanted: Iterable[int], done: set[tuple[str, int]]
    ) -> set[int]:  # fmt: skip
        new = {index for index in wanted if (kind, index) not in done}
        done.update((kind, index) for index in new)
        return new

    def _place(self, name: str) -> str:
        return f"{self._inside}: {name}"
