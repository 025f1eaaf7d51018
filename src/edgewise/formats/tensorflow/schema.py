"""Field numbers of TensorFlow's messages, as data (tensorflow/core/framework, core/protobuf)."""

from __future__ import annotations

from typing import Final

from edgewise.formats.messages import Schema

SCHEMA: Final[Schema] = {
    "SavedModel": {1: ("saved_model_schema_version", "int"), 2: ("meta_graphs", "MetaGraph")},
    "MetaGraph": {
        1: ("meta_info_def", "MetaInfo"), 2: ("graph_def", "Graph"),
        5: ("signature_def", "SignatureEntry"),
    },
    "MetaInfo": {4: ("tags", "text"), 5: ("tensorflow_version", "text")},
    "SignatureEntry": {1: ("key", "text"), 2: ("value", "Signature")},
    "Signature": {
        1: ("inputs", "InfoEntry"), 2: ("outputs", "InfoEntry"), 3: ("method_name", "text"),
    },
    "InfoEntry": {1: ("key", "text"), 2: ("value", "Info")},
    "Info": {1: ("name", "text"), 2: ("dtype", "int"), 3: ("tensor_shape", "Shape")},
    "Graph": {1: ("node", "Node"), 2: ("library", "Library"), 4: ("versions", "Versions")},
    "Versions": {1: ("producer", "int")},
    "Node": {
        1: ("name", "text"), 2: ("op", "text"), 3: ("input", "text"), 5: ("attr", "AttrEntry"),
    },
    "AttrEntry": {1: ("key", "text"), 2: ("value", "Attr")},
    "Attr": {
        1: ("list", "AttrList"), 2: ("s", "text"), 3: ("i", "int"), 4: ("f", "float"),
        5: ("b", "int"), 6: ("type", "int"), 7: ("shape", "Shape"), 8: ("tensor", "Tensor"),
        10: ("func", "Function"),
    },
    "AttrList": {
        2: ("s", "text"), 3: ("i", "int"), 4: ("f", "float"), 6: ("type", "int"),
        7: ("shape", "Shape"), 9: ("func", "Function"),
    },
    "Function": {1: ("name", "text")},
    "Shape": {2: ("dim", "Dim"), 3: ("unknown_rank", "int")},
    "Dim": {1: ("size", "int")},
    "Tensor": {
        1: ("dtype", "int"), 2: ("tensor_shape", "Shape"), 4: ("tensor_content", "span"),
        5: ("float_val", "float"), 6: ("double_val", "double"), 7: ("int_val", "int"),
        8: ("string_val", "span"), 10: ("int64_val", "int"), 11: ("bool_val", "int"),
        13: ("half_val", "int"), 16: ("uint32_val", "int"), 17: ("uint64_val", "int"),
    },
    "Library": {1: ("function", "FunctionDef")},
    "FunctionDef": {
        1: ("signature", "OpDef"), 3: ("node_def", "Node"), 4: ("ret", "RetEntry"),
    },
    "OpDef": {1: ("name", "text"), 2: ("input_arg", "Arg"), 3: ("output_arg", "Arg")},
    "Arg": {1: ("name", "text"), 3: ("type", "int")},
    "RetEntry": {1: ("key", "text"), 2: ("value", "text")},
    # A checkpoint's index, and the graph of objects that it holds.
    "BundleEntry": {
        1: ("dtype", "int"), 2: ("shape", "Shape"), 3: ("shard_id", "int"), 4: ("offset", "int"),
        5: ("size", "int"),
    },
    "Objects": {1: ("nodes", "Object")},
    "Object": {2: ("attributes", "ObjectAttribute")},
    "ObjectAttribute": {1: ("name", "text"), 2: ("full_name", "text"), 3: ("key", "text")},
}  # fmt: skip

#: DataType, by number and by name. A reference to a type (100 and more) counts as the type.
TYPES: Final = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string",
    8: "complex64", 9: "int64", 10: "bool", 11: "int8", 12: "uint8", 13: "int32", 14: "bfloat16",
    15: "int16", 16: "uint16", 17: "uint16", 18: "complex128", 19: "float16", 20: "resource",
    21: "variant", 22: "uint32", 23: "uint64", 24: "float8_e5m2", 25: "float8_e4m3fn",
    29: "int4", 30: "uint4",
}  # fmt: skip
TYPE_NAMES: Final = {
    "DT_FLOAT": 1, "DT_DOUBLE": 2, "DT_INT32": 3, "DT_UINT8": 4, "DT_INT16": 5, "DT_INT8": 6,
    "DT_STRING": 7, "DT_COMPLEX64": 8, "DT_INT64": 9, "DT_BOOL": 10, "DT_QINT8": 11,
    "DT_QUINT8": 12, "DT_QINT32": 13, "DT_BFLOAT16": 14, "DT_QINT16": 15, "DT_QUINT16": 16,
    "DT_UINT16": 17, "DT_COMPLEX128": 18, "DT_HALF": 19, "DT_RESOURCE": 20, "DT_VARIANT": 21,
    "DT_UINT32": 22, "DT_UINT64": 23,
}  # fmt: skip
#: Where a tensor keeps its elements when not as bytes: field, and the form of an element.
VALUES: Final = {
    "float32": ("float_val", "f"), "float64": ("double_val", "d"), "int32": ("int_val", "i"),
    "uint8": ("int_val", "B"), "int16": ("int_val", "h"), "int8": ("int_val", "b"),
    "uint16": ("int_val", "H"), "int64": ("int64_val", "q"), "bool": ("bool_val", "?"),
    "float16": ("half_val", "H"), "bfloat16": ("half_val", "H"), "uint32": ("uint32_val", "I"),
    "uint64": ("uint64_val", "Q"),
}  # fmt: skip
