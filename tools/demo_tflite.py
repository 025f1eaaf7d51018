"""Write a trained network as TFLite, with the metadata that Android's tooling reads."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator

import flatbuffers
import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from tensorflow_lite_support.metadata import metadata_schema_py_generated as metadata_schema

from demo_data import CLASSES

Optimise = Callable[[tf.lite.TFLiteConverter], None]

METADATA_BUFFER = "TFLITE_METADATA"
LABELS_FILE = "labels.txt"
REPRESENTATIVE_IMAGES = 300
ZIP_TIME = (2020, 1, 1, 0, 0, 0)  # a fixed time keeps builds alike


def float32(model: keras.Model) -> bytes:
    """Convert without any optimisation; batch normalisation is folded by the converter."""
    return _convert(model)


def float16_weights(model: keras.Model) -> bytes:
    """Convert with weights stored as float16; computation stays float32."""

    def optimise(converter: tf.lite.TFLiteConverter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    return _convert(model, optimise)


def full_int8(model: keras.Model, train_inputs: NDArray[np.float32]) -> bytes:
    """Convert to int8 throughout, input and output included.

    The representative data are the first training images, prepared as float32 in 0..1, so the
    input's zero point is −128 and its scale 1/255: the int8 input is the pixel minus 128.
    """

    def representative() -> Iterator[list[NDArray[np.float32]]]:
        for image in train_inputs[:REPRESENTATIVE_IMAGES]:
            yield [image[np.newaxis]]

    def optimise(converter: tf.lite.TFLiteConverter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8

    return _convert(model, optimise)


def _convert(model: keras.Model, optimise: Optimise | None = None) -> bytes:
    # Through a saved model: its signature keeps the names of input and output.
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if optimise:
            optimise(converter)
        return bytes(converter.convert())


def with_metadata(tflite: bytes, name: str, description: str, labels: list[str]) -> bytes:
    """Add a TFLITE_METADATA buffer and the label file, packed as a zip behind the model.

    This is the layout that the TFLite Metadata library writes; it is packed here because that
    library stamps the zip with the time of the build.
    """
    model = schema.ModelT.InitFromPackedBuf(tflite, 0)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(_metadata(name, description), np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name = METADATA_BUFFER
    entry.buffer = len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    return _append_zip(_finish(model, b"TFL3"), {LABELS_FILE: "\n".join(labels) + "\n"})


def _metadata(name: str, description: str) -> bytes:
    content = metadata_schema.ModelMetadataT()
    content.name = name
    content.description = description
    content.version = "1"
    content.license = "Apache-2.0"
    content.minParserVersion = "1.0.0"
    content.subgraphMetadata = [_subgraph()]
    return _finish(content, b"M001")


def _subgraph() -> metadata_schema.SubGraphMetadataT:
    subgraph = metadata_schema.SubGraphMetadataT()
    subgraph.inputTensorMetadata = [_image_tensor()]
    subgraph.outputTensorMetadata = [_probability_tensor()]
    return subgraph


def _image_tensor() -> metadata_schema.TensorMetadataT:
    image = metadata_schema.ImagePropertiesT()
    image.colorSpace = metadata_schema.ColorSpaceType.GRAYSCALE
    normalisation = metadata_schema.NormalizationOptionsT()
    normalisation.mean, normalisation.std = [0.0], [255.0]
    unit = metadata_schema.ProcessUnitT()
    unit.optionsType = metadata_schema.ProcessUnitOptions.NormalizationOptions
    unit.options = normalisation
    tensor = _tensor("image", "A handwritten digit, grey.", 0.0, 1.0)
    tensor.content.contentPropertiesType = metadata_schema.ContentProperties.ImageProperties
    tensor.content.contentProperties = image
    tensor.processUnits = [unit]
    return tensor


def _probability_tensor() -> metadata_schema.TensorMetadataT:
    tensor = _tensor("probability", f"Probabilities of the {CLASSES} digits.", 0.0, 1.0)
    tensor.content.contentPropertiesType = metadata_schema.ContentProperties.FeatureProperties
    tensor.content.contentProperties = metadata_schema.FeaturePropertiesT()
    labels = metadata_schema.AssociatedFileT()
    labels.name = LABELS_FILE
    labels.description = "One label per line, in the order of the output."
    labels.type = metadata_schema.AssociatedFileType.TENSOR_AXIS_LABELS
    tensor.associatedFiles = [labels]
    return tensor


def _tensor(
    name: str, description: str, low: float, high: float
) -> metadata_schema.TensorMetadataT:
    tensor = metadata_schema.TensorMetadataT()
    tensor.name, tensor.description = name, description
    tensor.content = metadata_schema.ContentT()
    tensor.stats = metadata_schema.StatsT()
    tensor.stats.min, tensor.stats.max = [low], [high]
    return tensor


def _finish(table: schema.ModelT | metadata_schema.ModelMetadataT, identifier: bytes) -> bytes:
    builder = flatbuffers.Builder(0)
    builder.Finish(table.Pack(builder), identifier)
    return bytes(builder.Output())


def _append_zip(model: bytes, files: dict[str, str]) -> bytes:
    target = io.BytesIO(model)
    with zipfile.ZipFile(target, "a") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, ZIP_TIME), text)
    return target.getvalue()
