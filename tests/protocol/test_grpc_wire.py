"""Raw contents cut out of serialised messages, against the protobuf library."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

pytest.importorskip("google.protobuf")

from google.protobuf.message import DecodeError

from edgewise.protocol.grpc.raw_contents import MalformedMessage, join, split
from edgewise.protocol.grpc.schema import message

REQUEST = message("ModelInferRequest")
RAW = 7
#: Lengths at which a length takes another byte.
CONTENTS = some.lists(some.binary(max_size=300), max_size=4)


def request(raw):
    made = REQUEST(model_name="m", id="7", raw_input_contents=raw)
    made.inputs.add(name="x", datatype="FP32", shape=[1, 2**40])
    made.parameters["a"].double_param = 1.5
    return made


@given(CONTENTS)
@example([b"x" * 127, b"x" * 128, b"x" * 16383, b"x" * 16384])
def test_split_takes_out_what_the_library_put_in(contents):
    rest, taken = split(request(contents).SerializeToString(), RAW)
    assert [bytes(each) for each in taken] == contents
    assert REQUEST.FromString(rest) == request([])


@given(CONTENTS)
@example([b"x" * 127, b"x" * 128, b"x" * 16383, b"x" * 16384])
def test_the_library_reads_what_join_put_in(contents):
    joined = join(request([]).SerializeToString(), RAW, [memoryview(each) for each in contents])
    assert REQUEST.FromString(joined) == request(contents)


@given(CONTENTS, some.data())
def test_what_is_cut_off_is_malformed_for_us_or_for_the_library(contents, data):
    whole = request(contents).SerializeToString()
    cut = whole[: data.draw(some.integers(0, len(whole)))]
    try:
        rest, taken = split(cut, RAW)
        ours = REQUEST.FromString(rest)
    except (MalformedMessage, DecodeError):
        with pytest.raises(DecodeError):
            REQUEST.FromString(cut)
        return
    ours.raw_input_contents.extend(bytes(each) for each in taken)
    assert ours == REQUEST.FromString(cut)


@given(some.binary(max_size=60))
def test_rubbish_never_passes_as_another_message_than_the_librarys(content):
    try:
        rest, taken = split(content, RAW)
        ours = REQUEST.FromString(rest)
    except (MalformedMessage, DecodeError):
        return
    ours.raw_input_contents.extend(bytes(each) for each in taken)
    assert ours.SerializeToString(deterministic=True) == REQUEST.FromString(
        content
    ).SerializeToString(deterministic=True)
