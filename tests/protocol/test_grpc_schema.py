"""Our table of fields against the messages that another implementation ships."""

from __future__ import annotations

import pytest

pytest.importorskip("google.protobuf")
service_pb2 = pytest.importorskip("tritonclient.grpc.service_pb2")
model_config_pb2 = pytest.importorskip("tritonclient.grpc.model_config_pb2")

from edgewise.protocol.grpc import schema  # noqa: E402
from edgewise.protocol.grpc.fields import ENUMERATIONS, MESSAGES, METHODS  # noqa: E402


def _theirs(name):
    outer, *inner = name.split(".")
    files = (service_pb2.DESCRIPTOR, model_config_pb2.DESCRIPTOR)
    found = next(f.message_types_by_name[outer] for f in files if outer in f.message_types_by_name)
    for each in inner:
        found = found.nested_types_by_name[each]
    return found


def _facts(field):
    kind = field.message_type or field.enum_type
    choice = field.containing_oneof
    return (
        field.number,
        field.type,
        field.is_repeated,
        kind.full_name if kind else None,
        choice.name if choice else None,
    )


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_is_as_in_tritons_descriptor(name):
    ours, theirs = schema.message(name).DESCRIPTOR, _theirs(name)
    assert ours.full_name == theirs.full_name
    for field in ours.fields:
        assert _facts(field) == _facts(theirs.fields_by_name[field.name]), field.name
    for nested in ours.nested_types:
        if nested.GetOptions().map_entry:
            other = theirs.nested_types_by_name[nested.name]
            assert other.GetOptions().map_entry
            assert [_facts(f) for f in nested.fields] == [_facts(f) for f in other.fields]


#: Messages of which the table has a part: what we neither read nor write is left out.
_PARTIAL = {
    "ModelConfig", "ModelInput", "ModelOutput", "ModelStatistics", "InferStatistics",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(MESSAGES) - _PARTIAL))
def test_no_field_is_missing(name):
    ours, theirs = schema.message(name).DESCRIPTOR, _theirs(name)
    assert set(ours.fields_by_name) == set(theirs.fields_by_name)


def test_the_enumeration_of_datatypes_has_the_same_values():
    ours = schema.file().enum_types_by_name["DataType"]
    theirs = model_config_pb2.DESCRIPTOR.enum_types_by_name["DataType"]
    assert set(ENUMERATIONS) == {"DataType"}
    assert {v.name: v.number for v in ours.values} == {v.name: v.number for v in theirs.values}


@pytest.mark.parametrize("name", METHODS)
def test_methods_take_and_give_the_same(name):
    ours = schema.file().services_by_name["GRPCInferenceService"].methods_by_name[name]
    theirs = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name[name]
    for side in ("input_type", "output_type"):
        assert getattr(ours, side).full_name == getattr(theirs, side).full_name
    assert ours.client_streaming == theirs.client_streaming
    assert ours.server_streaming == theirs.server_streaming


def test_messages_do_not_meet_those_of_others_in_one_process():
    ours = schema.message("ModelInferRequest")
    assert ours is not service_pb2.ModelInferRequest
    assert ours.DESCRIPTOR.file.pool is not service_pb2.DESCRIPTOR.pool
    request = ours(model_name="m")
    request.parameters["sla_ms"].double_param = 1.5
    theirs = service_pb2.ModelInferRequest.FromString(request.SerializeToString())
    assert theirs.parameters["sla_ms"].double_param == 1.5
