"""Core ML's messages: field numbers and types of what is read, as data.

From the public specification (coremltools, mlmodel/format).
"""

from __future__ import annotations

from typing import Any

from edgewise.formats.messages import Schema

#: Kinds of models: field number of `Model` to name.
MODELS = {
    200: "pipelineClassifier", 201: "pipelineRegressor", 202: "pipeline", 300: "glmRegressor",
    301: "supportVectorRegressor", 302: "treeEnsembleRegressor", 303: "neuralNetworkRegressor",
    304: "bayesianProbitRegressor", 400: "glmClassifier", 401: "supportVectorClassifier",
    402: "treeEnsembleClassifier", 403: "neuralNetworkClassifier",
    404: "kNearestNeighborsClassifier", 500: "neuralNetwork", 501: "itemSimilarityRecommender",
    502: "mlProgram", 555: "customModel", 556: "linkedModel", 560: "classConfidenceThresholding",
    600: "oneHotEncoder", 601: "imputer", 602: "featureVectorizer", 603: "dictVectorizer",
    604: "scaler", 606: "categoricalMapping", 607: "normalizer", 609: "arrayFeatureExtractor",
    610: "nonMaximumSuppression", 900: "identity", 2000: "textClassifier", 2001: "wordTagger",
    2002: "visionFeaturePrint", 2003: "soundAnalysisPreprocessing", 2004: "gazetteer",
    2005: "wordEmbedding", 2006: "audioFeaturePrint", 3000: "serializedModel",
}  # fmt: skip
_NETWORKS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")
_PIPELINES = {"pipeline": "Pipeline", "pipelineClassifier": "Piped", "pipelineRegressor": "Piped"}


def _model_type(name: str) -> str:
    if name in _NETWORKS:
        return "Network"
    return _PIPELINES.get(name, "Program" if name == "mlProgram" else "span")


#: Layers of a network: field number to name.
LAYERS = {
    100: "convolution", 120: "pooling", 130: "activation", 140: "innerProduct", 150: "embedding",
    160: "batchnorm", 165: "mvn", 170: "l2normalize", 175: "softmax", 180: "lrn", 190: "crop",
    200: "padding", 210: "upsample", 211: "resizeBilinear", 212: "cropResize", 220: "unary",
    230: "add", 231: "multiply", 240: "average", 245: "scale", 250: "bias", 260: "max", 261: "min",
    270: "dot", 280: "reduce", 290: "loadConstant", 300: "reshape", 301: "flatten", 310: "permute",
    320: "concat", 330: "split", 340: "sequenceRepeat", 345: "reorganizeData", 350: "slice",
    400: "simpleRecurrent", 410: "gru", 420: "uniDirectionalLSTM", 430: "biDirectionalLSTM",
    500: "custom", 600: "copy", 605: "branch", 615: "loop", 620: "loopBreak", 625: "loopContinue",
    635: "rangeStatic", 640: "rangeDynamic", 660: "clip", 665: "ceil", 670: "floor", 680: "sign",
    685: "round", 700: "exp2", 710: "sin", 715: "cos", 720: "tan", 730: "asin", 735: "acos",
    740: "atan", 750: "sinh", 755: "cosh", 760: "tanh", 770: "asinh", 775: "acosh", 780: "atanh",
    790: "erf", 795: "gelu", 815: "equal", 820: "notEqual", 825: "lessThan", 827: "lessEqual",
    830: "greaterThan", 832: "greaterEqual", 840: "logicalOr", 845: "logicalXor",
    850: "logicalNot", 855: "logicalAnd", 865: "modBroadcastable", 870: "minBroadcastable",
    875: "maxBroadcastable", 880: "addBroadcastable", 885: "powBroadcastable",
    890: "divideBroadcastable", 895: "floorDivBroadcastable", 900: "multiplyBroadcastable",
    905: "subtractBroadcastable", 920: "tile", 925: "stack", 930: "gather", 935: "scatter",
    940: "gatherND", 945: "scatterND", 950: "softmaxND", 952: "gatherAlongAxis",
    954: "scatterAlongAxis", 960: "reverse", 965: "reverseSeq", 975: "splitND", 980: "concatND",
    985: "transpose", 995: "sliceStatic", 1000: "sliceDynamic", 1005: "slidingWindows",
    1015: "topK", 1020: "argMin", 1025: "argMax", 1040: "embeddingND", 1045: "batchedMatmul",
    1065: "getShape", 1070: "loadConstantND", 1080: "fillLike", 1085: "fillStatic",
    1090: "fillDynamic", 1100: "broadcastToLike", 1105: "broadcastToStatic",
    1110: "broadcastToDynamic", 1120: "squeeze", 1125: "expandDims", 1130: "flattenTo2D",
    1135: "reshapeLike", 1140: "reshapeStatic", 1145: "reshapeDynamic",
    1150: "rankPreservingReshape", 1155: "constantPad", 1170: "randomNormalLike",
    1175: "randomNormalStatic", 1180: "randomNormalDynamic", 1190: "randomUniformLike",
    1195: "randomUniformStatic", 1200: "randomUniformDynamic", 1210: "randomBernoulliLike",
    1215: "randomBernoulliStatic", 1220: "randomBernoulliDynamic", 1230: "categoricalDistribution",
    1250: "reduceL1", 1255: "reduceL2", 1260: "reduceMax", 1265: "reduceMin", 1270: "reduceSum",
    1275: "reduceProd", 1280: "reduceMean", 1285: "reduceLogSum", 1290: "reduceSumSquare",
    1295: "reduceLogSumExp", 1313: "whereNonZero", 1315: "matrixBandPart", 1320: "lowerTriangular",
    1325: "upperTriangular", 1330: "whereBroadcastable", 1350: "layerNormalization",
    1400: "NonMaximumSuppression", 1450: "oneHot", 1455: "cumSum", 1460: "clampedReLU",
    1461: "argSort", 1465: "pooling3d", 1466: "globalPooling3d", 1470: "sliceBySize",
    1471: "convolution3d",
}  # fmt: skip


def _fields(text: str) -> dict[int, tuple[str, str]]:
    """`name=number:type …`; without a type it is a whole number."""
    fields = {}
    for part in text.split():
        name, _, rest = part.partition("=")
        number, _, kind = rest.partition(":")
        fields[int(number)] = (name, kind or "int")
    return fields


_PAD_SIZES = (
    "paddingType=70 front=80 back=81 top=82 bottom=83 left=84 right=85 isDeconvolution=86 "
    "outputShape=87"
)
_REDUCE = "axes=1 keepDims=2 reduceAll=3"
_LSTM_WEIGHTS = " ".join(
    f"{name}={number}:Weights" for number, name in (
        (1, "wi"), (2, "wf"), (3, "wz"), (4, "wo"), (20, "ri"), (21, "rf"), (22, "rz"), (23, "ro"),
        (40, "bi"), (41, "bf"), (42, "bz"), (43, "bo"), (60, "pi"), (61, "pf"), (62, "po"))
)  # fmt: skip
#: Parameters of layers that are read; the others have none that count.
_LAYER_FIELDS = {
    "convolution": "outputChannels=1 kernelChannels=2 groups=10 kernelSize=20 stride=30 "
    "dilation=40 valid=50:Valid same=51:Same isDeconvolution=60 hasBias=70 weights=90:Weights "
    "bias=91:Weights outputShape=100",
    "convolution3d": "outputChannels=1 inputChannels=2 groups=10 kd=20 kh=21 kw=22 sd=31 sh=32 "
    f"sw=33 dd=40 dh=41 dw=42 hasBias=50 weights=60:Weights bias=61:Weights {_PAD_SIZES}",
    "pooling": "type=1 kernelSize=10 stride=20 valid=30:Valid same=31:Same "
    "includeLastPixel=32:LastPixel globalPooling=60",
    "pooling3d": "type=1 kd=2 kh=3 kw=4 sd=5 sh=6 sw=7 paddingType=15 front=8 back=9 top=10 "
    "bottom=11 left=12 right=13",
    "globalPooling3d": "type=1",
    "activation": "linear=5:span ReLU=10:span leakyReLU=15:span thresholdedReLU=20:span "
    "PReLU=25:PRelu tanh=30:span scaledTanh=31:span sigmoid=40:span sigmoidHard=41:span "
    "ELU=50:span softsign=60:span softplus=70:span parametricSoftplus=71:Softplus",
    "innerProduct": "inputChannels=1 outputChannels=2 hasBias=10 weights=20:Weights "
    "bias=21:Weights",
    "embedding": "inputDim=1 outputChannels=2 hasBias=10 weights=20:Weights bias=21:Weights",
    "embeddingND": "inputDim=1 outputChannels=2 hasBias=3 weights=20:Weights bias=21:Weights",
    "batchnorm": "channels=1 computeMeanVar=5 instance=6 gamma=15:Weights beta=16:Weights "
    "mean=17:Weights variance=18:Weights",
    "crop": "cropAmounts=1:Borders offset=5", "padding": "paddingAmounts=10:Borders",
    "upsample": "scalingFactor=1 fractional=7:float", "resizeBilinear": "targetSize=1",
    "cropResize": "targetSize=1",
    "unary": "type=1", "add": "alpha=1:float", "multiply": "alpha=1:float",
    "scale": "shapeScale=1 scale=2:Weights hasBias=3 shapeBias=4 bias=5:Weights",
    "bias": "shape=1 bias=2:Weights", "reduce": "mode=1 axis=3",
    "loadConstant": "shape=1 data=2:Weights", "loadConstantND": "shape=1 data=2:Weights",
    "reshape": "targetShape=1", "permute": "axis=1", "concat": "sequenceConcat=100",
    "split": "nOutputs=1", "sequenceRepeat": "times=1", "reorganizeData": "mode=1 blockSize=2",
    "slice": "start=1 end=2 stride=3 axis=4",
    "simpleRecurrent": "input=1 output=2 sequence=15 wx=30:Weights rh=31:Weights b=32:Weights",
    "gru": "input=1 output=2 sequence=15 wz=30:Weights wr=31:Weights wo=32:Weights rz=50:Weights "
    "rr=51:Weights ro=52:Weights bz=70:Weights br=71:Weights bo=72:Weights",
    "uniDirectionalLSTM": "input=1 output=2 params=15:LstmParams weightParams=20:LstmWeights",
    "biDirectionalLSTM": "input=1 output=2 params=15:LstmParams weightParams=20:LstmWeights",
    "custom": "className=10:text weights=20:Weights",
    "branch": "ifBranch=1:Network elseBranch=2:Network",
    "loop": "most=1 conditionVar=2:text conditionNetwork=3:Network bodyNetwork=4:Network",
    "rangeStatic": "end=1:float start=2:float step=3:float",
    "tile": "reps=1", "stack": "axis=1", "gather": "axis=1", "softmaxND": "axis=1",
    "splitND": "axis=1 count=2 sizes=3", "concatND": "axis=1", "transpose": "axes=1",
    "sliceStatic": "beginIds=1 beginMasks=2 endIds=3 endMasks=4 strides=5 squeezeMasks=6",
    "topK": "axis=1 K=2", "argMax": "axis=1 removeDim=2", "argMin": "axis=1 removeDim=2",
    "batchedMatmul": "transposeA=1 transposeB=2 rows=5 columns=6 hasBias=7 weights=8:Weights "
    "bias=9:Weights",
    "fillLike": "value=1:float", "fillStatic": "value=1:float targetShape=2",
    "fillDynamic": "value=1:float", "broadcastToStatic": "targetShape=1",
    "squeeze": "axes=1 all=2", "expandDims": "axes=1", "flattenTo2D": "axis=1",
    "reshapeStatic": "targetShape=1", "rankPreservingReshape": "targetShape=1",
    "constantPad": "value=1:float amounts=2 toSize=3",
    "layerNormalization": "shape=1 gamma=3:Weights beta=4:Weights",
    "oneHot": "size=1 axis=2", "sliceBySize": "size=2 axis=3",
    **{f"reduce{name}": _REDUCE for name in (
        "L1", "L2", "Max", "Min", "Sum", "Prod", "Mean", "LogSum", "SumSquare", "LogSumExp")},
    **{f"random{kind}Static": f"outputShape={number}" for kind, number in (
        ("Normal", 4), ("Uniform", 4), ("Bernoulli", 3))},
}  # fmt: skip

SCHEMA: Schema = {
    "Model": {
        1: ("specificationVersion", "int"), 2: ("description", "Description"),
        **{number: (name, _model_type(name)) for number, name in MODELS.items()},
    },
    "Description": _fields(
        "input=1:Feature output=10:Feature predictedFeatureName=11:text "
        "functions=20:FunctionDescription "
        "defaultFunctionName=21:text metadata=100:Metadata"),
    "FunctionDescription": _fields("name=1:text input=2:Feature output=3:Feature"),
    "Metadata": _fields(
        "shortDescription=1:text versionString=2:text author=3:text license=4:text "
        "userDefined=100:UserDefined"),
    "UserDefined": _fields("key=1:text value=2:text"),
    "Feature": _fields("name=1:text type=3:FeatureType"),
    "FeatureType": _fields(
        "int64Type=1:span doubleType=2:span stringType=3:span imageType=4:Image "
        "multiArrayType=5:Array dictionaryType=6:span sequenceType=7:span stateType=8:State"),
    "State": _fields("arrayType=1:Array"),
    "Image": _fields("width=1 height=2 colorSpace=3"),
    "Array": _fields("shape=1 dataType=2 enumeratedShapes=21:Enumerated shapeRange=31:Ranges"),
    "Enumerated": _fields("shapes=1:OneShape"), "OneShape": _fields("shape=1"),
    "Ranges": _fields("sizeRanges=1:Range"), "Range": _fields("lowerBound=1 upperBound=2"),
    "Pipeline": _fields("models=1:Model names=2:text"), "Piped": _fields("pipeline=1:Pipeline"),
    "Network": _fields(
        "layers=1:Layer arrayMapping=5 imageMapping=6 stringLabels=100:Strings"),
    "Strings": _fields("vector=1:text"),
    "Layer": {
        **_fields("name=1:text input=2:text output=3:text inputTensor=4:LayerTensor "
                  "outputTensor=5:LayerTensor"),
        **{number: (name, f"L.{name}") for number, name in LAYERS.items()},
    },
    "LayerTensor": _fields("rank=1 dims=2"),
    **{f"L.{name}": _fields(_LAYER_FIELDS.get(name, "")) for name in LAYERS.values()},
    "Weights": _fields(
        "float=1:span float16=2:span raw=30:span int8=31:span quantization=40:Quantization"),
    "Quantization": _fields("bits=1 linear=101:span lookup=102:span"),
    "Valid": _fields("paddingAmounts=1:Borders"), "Same": _fields("mode=1"),
    "LastPixel": _fields("amounts=10"),
    "Borders": _fields("amounts=10:Edges"), "Edges": _fields("start=1 end=2"),
    "PRelu": _fields("alpha=1:Weights"), "Softplus": _fields("alpha=1:Weights beta=2:Weights"),
    "LstmParams": _fields("sequence=10 biases=20 peepholes=40 coupled=50"),
    "LstmWeights": _fields(_LSTM_WEIGHTS),
    "Program": _fields("version=1 functions=2:NamedFunction attributes=4:NamedValue"),
    "NamedFunction": _fields("key=1:text value=2:Function"),
    "Function": _fields("inputs=1:NamedType opset=2:text blocks=3:NamedBlock"),
    "NamedBlock": _fields("key=1:text value=2:Block"),
    "Block": _fields("inputs=1:NamedType outputs=2:text operations=3:Operation"),
    "Operation": _fields(
        "type=1:text inputs=2:NamedArgument outputs=3:NamedType blocks=4:Block "
        "attributes=5:NamedValue"),
    "NamedArgument": _fields("key=1:text value=2:Argument"),
    "Argument": _fields("arguments=1:Binding"),
    "Binding": _fields("name=1:text value=2:Value"),
    "NamedValue": _fields("key=1:text value=2:Value"),
    "NamedType": _fields("name=1:text type=2:ValueType"),
    "ValueType": _fields(
        "tensorType=1:TensorType listType=2:span tupleType=3:span stateType=5:Wrapped"),
    "Wrapped": _fields("wrappedType=1:ValueType"),
    "TensorType": _fields("dataType=1 rank=2 dimensions=3:Dimension"),
    "Dimension": _fields("constant=1:Fixed unknown=2:Free"),
    "Fixed": _fields("size=1"), "Free": _fields("variadic=1"),
    "Value": _fields("type=2:ValueType immediateValue=3:Immediate blobFileValue=5:BlobFile"),
    "Immediate": _fields("tensor=1:TensorValue tuple=2:span list=3:ListValue"),
    "ListValue": _fields("values=1:Value"),
    "BlobFile": _fields("fileName=1:text offset=2"),
    "TensorValue": _fields(
        "floats=1:Spanned ints=2:Ints bools=3:Ints strings=4:Texts longInts=5:Ints "
        "doubles=6:Spanned bytes=7:Spanned"),
    "Ints": _fields("values=1"), "Texts": _fields("values=1:text"),
    "Spanned": _fields("values=1:span"),
}  # fmt: skip

#: MIL's data types by number, and their names in text.
DATA_TYPES: dict[int, str] = {
    1: "bool", 2: "string", 10: "float16", 11: "float32", 12: "float64", 13: "bfloat16",
    21: "int8", 22: "int16", 23: "int32", 24: "int64", 25: "int4", 31: "uint8", 32: "uint16",
    33: "uint32", 34: "uint64", 35: "uint4", 36: "uint2", 37: "uint1", 38: "uint6", 39: "uint3",
    40: "float8_e4m3fn", 41: "float8_e5m2",
}  # fmt: skip
TEXT_TYPES = {
    "fp16": "float16", "fp32": "float32", "fp64": "float64", "bf16": "bfloat16",
    "fp8e4m3fn": "float8_e4m3fn", "fp8e5m2": "float8_e5m2",
}  # fmt: skip
#: Types of arrays in a model's description.
ARRAY_TYPES = {
    65568: "float32",
    65600: "float64",
    131104: "int32",
    65552: "float16",
    131080: "int8",
}


def shown(message: Any, names: dict[str, str]) -> dict[str, str]:
    """Texts of a message under other names, those that are not empty."""
    found = {ours: message.text(theirs) for theirs, ours in names.items()}
    return {name: text for name, text in found.items() if text}
