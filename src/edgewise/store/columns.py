"""Columns from record types: what Arrow type a field has, and its values there and back.

Integers are 64 bit in the store. A larger one (a hostile file can claim any size) becomes null
where it may be null, else the largest there is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import inspect as types

from edgewise.records import Record

if TYPE_CHECKING:
    import pyarrow as pa

R = TypeVar("R", bound=Record)
INT64_MAX = 2**63 - 1

#: A value (as msgspec's builtins) as Arrow takes it; adds the names of the fields that had to be
#: cut to the list.
Encode = Callable[[Any, list[str]], Any]
#: A value as DuckDB gives it as `msgspec.convert` takes it.
Decode = Callable[[Any], Any]


def fields(record: type[Record]) -> dict[str, types.Type]:
    """The fields of a record type, inspected."""
    return {field.name: field.type for field in _struct(record).fields}


def arrow_type(field: types.Type) -> pa.DataType:
    """The Arrow type that holds a field."""
    import pyarrow as pa

    match _present(field):
        case types.BoolType():
            return pa.bool_()
        case types.IntType():
            return pa.int64()
        case types.FloatType():
            return pa.float64()
        case types.StrType() | types.LiteralType():
            return pa.string()
        case types.VarTupleType(item_type=item) | types.TupleType(item_types=(item, *_)):
            return pa.list_(arrow_type(item))
        case types.DictType(key_type=key, value_type=value):
            return pa.map_(arrow_type(key), arrow_type(value))
        case types.StructType(fields=parts):
            return pa.struct([(part.name, arrow_type(part.type)) for part in parts])
        case types.UnionType():  # int | str: a dimension's length, or the name of a free one
            return pa.struct([("size", pa.int64()), ("name", pa.string())])
        case other:
            raise TypeError(f"no column type for {other}")


@functools.cache
def encoders(record: type[Record]) -> dict[str, Encode | None]:
    """How each field of a record type is encoded; None: as it is."""
    return {name: _encoder(name, field) for name, field in fields(record).items()}


def _encoder(name: str, field: types.Type) -> Encode | None:
    encode = _present_encoder(name, field, _present(field))
    if encode is None:
        return None
    return lambda value, cut: None if value is None else encode(value, cut)


def _present_encoder(name: str, field: types.Type, present: types.Type) -> Encode | None:
    """The encoder of values that are not None."""
    match present:
        case types.IntType():
            spare = None if _nullable(field) else INT64_MAX
            return functools.partial(_bounded, name, spare)
        case types.StrType():
            return lambda value, cut: printable(value)
        case types.VarTupleType(item_type=item) | types.TupleType(item_types=(item, *_)):
            each = _encoder(name, item)
            return each and (lambda value, cut: [each(part, cut) for part in value])
        case types.DictType(value_type=item):
            inner = _encoder(name, item) or (lambda value, cut: value)
            return lambda value, cut: [(printable(k), inner(v, cut)) for k, v in value.items()]
        case types.StructType(fields=parts):
            known = {part.name: _encoder(f"{name}.{part.name}", part.type) for part in parts}
            return lambda value, cut: encode_fields(known, value, cut)
        case types.UnionType():
            return functools.partial(_dimension, name)
        case _:
            return None


def encode_fields(
    known: dict[str, Encode | None], values: dict[str, Any], cut: list[str]
) -> dict[str, Any]:
    """The values of some fields, each encoded by its own encoder."""
    return {
        name: encode(values[name], cut) if encode else values[name]
        for name, encode in known.items()
    }


def _bounded(name: str, spare: int | None, value: int, cut: list[str]) -> int | None:
    if -INT64_MAX <= value <= INT64_MAX:
        return value
    cut.append(name)
    return spare


def _dimension(name: str, value: int | str, cut: list[str]) -> dict[str, int | str | None]:
    if isinstance(value, str):
        return {"size": None, "name": printable(value)}
    return {"size": _bounded(name, INT64_MAX, value, cut), "name": None}


def printable(text: str) -> str:
    """Text that UTF-8 can carry: names from file systems and archives may hold lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def revive(record: type[R], values: dict[str, Any]) -> R:
    """A record from its row. A field that an older part did not have takes its default."""
    return msgspec.convert(_record_decoder(record)(values), record)


@functools.cache
def _record_decoder(record: type[Record]) -> Decode:
    decode = _decoder(_struct(record))
    assert decode
    return decode


def _decoder(field: types.Type) -> Decode | None:
    """How a field is decoded; None: as it is."""
    match _present(field):
        case types.VarTupleType(item_type=item) | types.TupleType(item_types=(item, *_)):
            each = _decoder(item)
            return each and (lambda value: [part and each(part) for part in value])
        case types.StructType(fields=parts):
            known = [(part.name, _nullable(part.type), _decoder(part.type)) for part in parts]
            return lambda value: {
                name: decode(value[name]) if decode and value.get(name) else value.get(name)
                for name, nullable, decode in known
                if nullable or value.get(name) is not None
            }
        case types.UnionType():
            return lambda value: value["size"] if value["name"] is None else value["name"]
        case _:
            return None


@functools.cache
def _struct(record: type[Record]) -> types.StructType:
    inspected = types.type_info(record)
    assert isinstance(inspected, types.StructType)
    return inspected


def _nullable(field: types.Type) -> bool:
    return isinstance(field, types.UnionType) and field.includes_none


def _present(field: types.Type) -> types.Type:
    """The type of a field that is not None."""
    if not isinstance(field, types.UnionType):
        return field
    parts = tuple(part for part in field.types if not isinstance(part, types.NoneType))
    return parts[0] if len(parts) == 1 else types.UnionType(parts)
