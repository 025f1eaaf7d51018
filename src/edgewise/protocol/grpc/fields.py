"""The messages of the Open Inference Protocol over gRPC, as a table of facts.

A line is a field: number, type, name. `repeated` and `map` (from string) come before the type,
`in NAME` after the name puts it into that oneof. Types that are no scalars are messages or
enumerations of this table. A dotted message is nested in the one before its dot. Fields that the
service neither reads nor writes are left out where a message has many: `ModelConfig`, `ModelInput`
and `ModelOutput` of Triton.
"""

from __future__ import annotations

PACKAGE = "inference"
SERVICE = "inference.GRPCInferenceService"

MESSAGES: dict[str, tuple[str, ...]] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("1 bool live",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("1 bool ready",),
    "ModelReadyRequest": ("1 string name", "2 string version"),
    "ModelReadyResponse": ("1 bool ready",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": (
        "1 string name",
        "2 string version",
        "3 repeated string extensions",
    ),
    "ModelMetadataRequest": ("1 string name", "2 string version"),
    "ModelMetadataResponse": (
        "1 string name",
        "2 repeated string versions",
        "3 string platform",
        "4 repeated ModelMetadataResponse.TensorMetadata inputs",
        "5 repeated ModelMetadataResponse.TensorMetadata outputs",
    ),
    "ModelMetadataResponse.TensorMetadata": (
        "1 string name",
        "2 string datatype",
        "3 repeated int64 shape",
    ),
    "InferParameter": (
        "1 bool bool_param in parameter_choice",
        "2 int64 int64_param in parameter_choice",
        "3 string string_param in parameter_choice",
        "4 double double_param in parameter_choice",
        "5 uint64 uint64_param in parameter_choice",
    ),
    "InferTensorContents": (
        "1 repeated bool bool_contents",
        "2 repeated int32 int_contents",
        "3 repeated int64 int64_contents",
        "4 repeated uint32 uint_contents",
        "5 repeated uint64 uint64_contents",
        "6 repeated float fp32_contents",
        "7 repeated double fp64_contents",
        "8 repeated bytes bytes_contents",
    ),
    "ModelInferRequest": (
        "1 string model_name",
        "2 string model_version",
        "3 string id",
        "4 map InferParameter parameters",
        "5 repeated ModelInferRequest.InferInputTensor inputs",
        "6 repeated ModelInferRequest.InferRequestedOutputTensor outputs",
        "7 repeated bytes raw_input_contents",
    ),
    "ModelInferRequest.InferInputTensor": (
        "1 string name",
        "2 string datatype",
        "3 repeated int64 shape",
        "4 map InferParameter parameters",
        "5 InferTensorContents contents",
    ),
    "ModelInferRequest.InferRequestedOutputTensor": (
        "1 string name",
        "2 map InferParameter parameters",
    ),
    "ModelInferResponse": (
        "1 string model_name",
        "2 string model_version",
        "3 string id",
        "4 map InferParameter parameters",
        "5 repeated ModelInferResponse.InferOutputTensor outputs",
        "6 repeated bytes raw_output_contents",
    ),
    "ModelInferResponse.InferOutputTensor": (
        "1 string name",
        "2 string datatype",
        "3 repeated int64 shape",
        "4 map InferParameter parameters",
        "5 InferTensorContents contents",
    ),
    "ModelStreamInferResponse": (
        "1 string error_message",
        "2 ModelInferResponse infer_response",
    ),
    "ModelConfigRequest": ("1 string name", "2 string version"),
    "ModelConfigResponse": ("1 ModelConfig config",),
    "ModelConfig": (
        "1 string name",
        "2 string platform",
        "4 int32 max_batch_size",
        "5 repeated ModelInput input",
        "6 repeated ModelOutput output",
        "17 string backend",
    ),
    "ModelInput": ("1 string name", "2 DataType data_type", "4 repeated int64 dims"),
    "ModelOutput": ("1 string name", "2 DataType data_type", "3 repeated int64 dims"),
    "ModelStatisticsRequest": ("1 string name", "2 string version"),
    "ModelStatisticsResponse": ("1 repeated ModelStatistics model_stats",),
    "ModelStatistics": (
        "1 string name",
        "2 string version",
        "3 uint64 last_inference",
        "4 uint64 inference_count",
        "5 uint64 execution_count",
        "6 InferStatistics inference_stats",
    ),
    "InferStatistics": (
        "1 StatisticDuration success",
        "2 StatisticDuration fail",
        "3 StatisticDuration queue",
        "4 StatisticDuration compute_input",
        "5 StatisticDuration compute_infer",
        "6 StatisticDuration compute_output",
    ),
    "StatisticDuration": ("1 uint64 count", "2 uint64 ns"),
    "RepositoryIndexRequest": ("1 string repository_name", "2 bool ready"),
    "RepositoryIndexResponse": ("1 repeated RepositoryIndexResponse.ModelIndex models",),
    "RepositoryIndexResponse.ModelIndex": (
        "1 string name",
        "2 string version",
        "3 string state",
        "4 string reason",
    ),
}

#: Triton's enumeration of datatypes; what the protocol calls BYTES is a string there.
ENUMERATIONS: dict[str, tuple[str, ...]] = {
    "DataType": (
        "0 TYPE_INVALID",
        "1 TYPE_BOOL",
        "2 TYPE_UINT8",
        "3 TYPE_UINT16",
        "4 TYPE_UINT32",
        "5 TYPE_UINT64",
        "6 TYPE_INT8",
        "7 TYPE_INT16",
        "8 TYPE_INT32",
        "9 TYPE_INT64",
        "10 TYPE_FP16",
        "11 TYPE_FP32",
        "12 TYPE_FP64",
        "13 TYPE_STRING",
        "14 TYPE_BF16",
    ),
}

#: Method: request, response. `stream` before a type: many of them.
METHODS: dict[str, tuple[str, str]] = {
    "ServerLive": ("ServerLiveRequest", "ServerLiveResponse"),
    "ServerReady": ("ServerReadyRequest", "ServerReadyResponse"),
    "ModelReady": ("ModelReadyRequest", "ModelReadyResponse"),
    "ServerMetadata": ("ServerMetadataRequest", "ServerMetadataResponse"),
    "ModelMetadata": ("ModelMetadataRequest", "ModelMetadataResponse"),
    "ModelInfer": ("ModelInferRequest", "ModelInferResponse"),
    "ModelStreamInfer": ("stream ModelInferRequest", "stream ModelStreamInferResponse"),
    "ModelConfig": ("ModelConfigRequest", "ModelConfigResponse"),
    "ModelStatistics": ("ModelStatisticsRequest", "ModelStatisticsResponse"),
    "RepositoryIndex": ("RepositoryIndexRequest", "RepositoryIndexResponse"),
}
