"""Message classes made from the table of fields, in a pool of their own.

Other packages in the process may bring the same messages: two files that define one message
conflict only within one descriptor pool.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FileDescriptor

from edgewise.protocol.grpc.fields import ENUMERATIONS, MESSAGES, METHODS, PACKAGE, SERVICE

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
    "float": _Field.TYPE_FLOAT,
    "double": _Field.TYPE_DOUBLE,
}


@cache
def file() -> FileDescriptor:
    """The descriptor of all messages and of the service."""
    described = descriptor_pb2.FileDescriptorProto(
        name="edgewise/open_inference.proto", package=PACKAGE, syntax="proto3"
    )
    for name, values in ENUMERATIONS.items():
        enumeration = described.enum_type.add(name=name)
        for value in values:
            number, label = value.split()
            enumeration.value.add(name=label, number=int(number))
    built: dict[str, descriptor_pb2.DescriptorProto] = {}
    for name, lines in MESSAGES.items():
        outer, _, inner = name.rpartition(".")
        within = built[outer].nested_type if outer else described.message_type
        built[name] = within.add(name=inner)
        for line in lines:
            _add_field(built[name], name, line)
    service = described.service.add(name=SERVICE.rpartition(".")[2])
    for name, (takes, gives) in METHODS.items():
        service.method.add(
            name=name,
            input_type=_absolute(takes.removeprefix("stream ")),
            output_type=_absolute(gives.removeprefix("stream ")),
            client_streaming=takes.startswith("stream "),
            server_streaming=gives.startswith("stream "),
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    return pool.FindFileByName(described.name)


@cache
def message(name: str) -> Any:
    """The class of a message of the table."""
    outer, *inner = name.split(".")
    descriptor = file().message_types_by_name[outer]
    for each in inner:
        descriptor = descriptor.nested_types_by_name[each]
    return message_factory.GetMessageClass(descriptor)


def _add_field(to: descriptor_pb2.DescriptorProto, full_name: str, line: str) -> None:
    head, _, choice = line.partition(" in ")
    number, *kind, name = head.split()
    field = to.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if kind[0] in ("repeated", "map"):
        field.label = _Field.LABEL_REPEATED
    if kind[0] == "map":
        entry = f"{name.capitalize()}Entry"
        _add_entry(to, entry, kind[-1])
        _set_type(field, f"{full_name}.{entry}")
    else:
        _set_type(field, kind[-1])
    if choice:
        known = [each.name for each in to.oneof_decl]
        if choice not in known:
            to.oneof_decl.add(name=choice)
            known.append(choice)
        field.oneof_index = known.index(choice)


def _add_entry(to: descriptor_pb2.DescriptorProto, name: str, value: str) -> None:
    """The message that a map's entries have on the wire."""
    entry = to.nested_type.add(name=name)
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
    _set_type(entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL), value)


def _set_type(field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
        return
    field.type = _Field.TYPE_ENUM if kind in ENUMERATIONS else _Field.TYPE_MESSAGE
    field.type_name = _absolute(kind)


def _absolute(name: str) -> str:
    return f".{PACKAGE}.{name}"
