"""What gets to a framework, and which models its loaders are given: in dex files made for that."""

from __future__ import annotations

import struct

import pytest
from dexes import (
    ClassSource,
    MethodSource,
    Written,
    call,
    const_string,
    dex,
    get,
    move_result,
    new,
    put,
    raw,
    return_object,
    return_void,
)

from edgewise.apps.evidence import bytecode, dex_extractor
from edgewise.apps.evidence.contract import Context, Sightings
from edgewise.apps.evidence.dex import Dex
from edgewise.apps.evidence.flow import Call, Text, events
from edgewise.apps.evidence.owners import Owners
from edgewise.apps.evidence.signatures import signatures
from edgewise.errors import InputError

MAIN, HELPER = "org.example.Main", "org.example.Helper"
INTERPRETER, STRING = "org.tensorflow.lite.Interpreter", "java.lang.String"
CONTEXT = Context(signatures(), Owners(["org.example"]))
OPEN = (new(1, INTERPRETER), call(INTERPRETER, "<init>", 1, 0), return_void())


class Held:
    """Bytes as a file."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def data(self) -> memoryview:
        return memoryview(self._data)


def method(name: str, *code: Written, result: str = "V", ins: int = 1) -> MethodSource:
    return MethodSource(name, code, result, ins=ins)


def seen(*classes: ClassSource) -> Sightings:
    found = Sightings()
    dex_extractor.extract(Held(dex(*classes)), "classes.dex", CONTEXT, found)  # type: ignore[arg-type]
    return found


def reaches(found: Sightings) -> set[tuple[str, str | None, str | None]]:
    return {(t.name, t.reach, t.owner) for t in found.traces if t.reach}


def given(found: Sightings) -> set[tuple[str, str | None]]:
    return {(naming.text, naming.loader) for naming in found.namings}


LOADER = f"{INTERPRETER}.<init>"


@pytest.mark.parametrize(
    "classes",
    [
        # Right where it is used; in a file, as constructors carry what they are given.
        [ClassSource(MAIN, [method("a", const_string(0, "m.tflite"), *OPEN)])],
        [ClassSource(MAIN, [method(
            "a", const_string(2, "m.tflite"), new(0, "java.io.File"),
            call("java.io.File", "<init>", 0, 2), *OPEN,
        )])],
        # By a caller: the parameter of the method that loads (its register is the last).
        [ClassSource(MAIN, [
            method("a", new(1, INTERPRETER), call(INTERPRETER, "<init>", 1, 7), return_void()),
            method("b", const_string(0, "m.tflite"), call(MAIN, "a", 0), return_void()),
        ])],
        # In a field that another class fills.
        [ClassSource(MAIN, [method("a", get(0, HELPER, "path"), *OPEN)]),
         ClassSource(HELPER, [
             method("b", const_string(0, "m.tflite"), put(0, HELPER, "path"), return_void()),
         ])],
        # As what a method returns.
        [ClassSource(MAIN, [method(
            "a", call(HELPER, "path", result=STRING, static=True), move_result(0), *OPEN,
        )]),
         ClassSource(HELPER, [method(
             "path", const_string(0, "m.tflite"), return_object(0), result=STRING, ins=0,
         )])],
    ],
)  # fmt: skip
def test_a_models_name_is_followed_to_its_loader(classes: list[ClassSource]) -> None:
    found = seen(*classes)
    assert given(found) == {("m.tflite", LOADER)}
    assert reaches(found) == {("tflite", "loaded", "app")}


def test_a_framework_that_is_used_without_a_models_name_is_referenced() -> None:
    found = seen(ClassSource(MAIN, [method("a", new(0, INTERPRETER), return_void())]))
    assert (reaches(found), given(found)) == ({("tflite", "referenced", "app")}, set())


@pytest.mark.parametrize("text", ["labels.txt", "/sdcard/m.tflite", "https://x.org/m.tflite"])
def test_what_names_no_model_of_the_package_is_not_loaded(text: str) -> None:
    found = seen(ClassSource(MAIN, [method("a", const_string(0, text), *OPEN)]))
    assert (reaches(found), given(found)) == ({("tflite", "referenced", "app")}, set())


def test_the_framework_itself_and_an_sdk_are_told_from_the_app() -> None:
    own = ClassSource("org.tensorflow.lite.Factory", [method("a", *OPEN)])
    assert reaches(seen(own)) == set()
    sdk = ClassSource("com.acme.sdk.Vision", [method("a", *OPEN)])
    assert reaches(seen(sdk)) == {("tflite", "referenced", "sdk")}


def test_a_class_that_extends_one_of_the_frameworks_uses_it() -> None:
    found = seen(ClassSource(MAIN, extends="org.tensorflow.lite.support.model.Model"))
    assert reaches(found) == {("tflite", "referenced", "app")}


def test_methods_that_ask_one_another_for_the_name_end() -> None:
    """Two methods that return each other's result, and one that calls itself."""
    ask = (call(HELPER, "b", result=STRING, static=True), move_result(0), return_object(0))
    back = (call(HELPER, "a", result=STRING, static=True), move_result(0), return_object(0))
    found = seen(
        ClassSource(MAIN, [
            method("go", call(HELPER, "a", result=STRING, static=True), move_result(0), *OPEN),
            method("self", call(MAIN, "self", 7), new(1, INTERPRETER),
                   call(INTERPRETER, "<init>", 1, 7), return_void()),
        ]),
        ClassSource(HELPER, [method("a", *ask, result=STRING, ins=0),
                               method("b", *back, result=STRING, ins=0)]),
    )  # fmt: skip
    assert (reaches(found), given(found)) == ({("tflite", "referenced", "app")}, set())


def test_tables_of_switches_between_instructions_are_passed_over() -> None:
    switch = raw(0x0100, 3, 0, 0, *(0x1A, 0x7FFF) * 3)
    array = raw(0x0300, 1, 5, 0, 0x6E6E, 0x6E6E, 0x6E)
    code = (switch, array, const_string(0, "m.tflite"), *OPEN)
    assert given(seen(ClassSource(MAIN, [method("a", *code)]))) == {("m.tflite", LOADER)}


@pytest.mark.parametrize(
    "code",
    [
        raw(0x1A),  # cut within an instruction
        raw(0x0100, 0xFFFF),  # a table beyond the end
        raw(0x0300, 0xFFFF, 0xFFFF, 0xFFFF),
        raw(0x1A, 0xFFFF, 0x1B, 0xFFFF, 0xFFFF),  # strings that are not there
        raw(0x226E, 0xFFFF, 0x10),  # a method that is not there
        raw(0x62, 0xFFFF, 0x69, 0xFFFF, 0x22, 0xFFFF),  # nor such fields, or a type
    ],
)
def test_code_that_makes_no_sense_tells_nothing_more(code: Written) -> None:
    used = method("a", const_string(0, "m.tflite"), *OPEN[:2], code)
    assert given(seen(ClassSource(MAIN, [used]))) == {("m.tflite", LOADER)}


def test_instructions_with_what_is_known_of_their_registers() -> None:
    data = dex(ClassSource(MAIN, [method(
        "a", const_string(0, "x"), raw(0x07 | 3 << 8 | 0 << 12), call(HELPER, "b", 3, 2),
    )]))  # fmt: skip
    tables = Dex(memoryview(data))
    code = bytecode.Code(tables)
    (only,) = code.of(tables.bodies.method)
    assert [one.op for one in code.instructions(only)] == [0x1A, 0x07, 0x6E]
    *_, last = events(tables, code, only)
    string = tables.find_string("x")
    assert string is not None
    assert isinstance(last, Call) and last.arguments == (frozenset({Text(string)}), frozenset())


def test_methods_that_overlap_are_decoded_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "MOST_UNITS", 4)
    tables = Dex(memoryview(dex(ClassSource(MAIN, [method("a", raw(*[0] * 3))]))))
    code = bytecode.Code(tables)
    (only,) = code.of(tables.bodies.method)
    assert [len(list(code.instructions(only))) for _ in range(3)] == [3, 0, 0]


@pytest.mark.parametrize("table", range(6))
def test_tables_outside_of_the_file_are_refused(table: int) -> None:
    data = bytearray(dex(ClassSource(MAIN, [method("a", get(0, HELPER, "f"), *OPEN)])))
    struct.pack_into("<I", data, 56 + 8 * table, 0xFFFFFFFF)  # a huge count
    with pytest.raises(InputError, match=f"outside of it: table {table}"):
        Dex(memoryview(data))


@pytest.mark.parametrize("cut", [0, 4, 111, 112, 200])
def test_a_cut_file_is_refused(cut: int) -> None:
    data = dex(ClassSource(MAIN, [method("a", const_string(0, "m.tflite"), *OPEN)]))
    with pytest.raises(InputError):
        Dex(memoryview(data[:cut]))
