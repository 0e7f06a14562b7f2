"""What each TensorRT reads: operators, opsets and types, by the version that first does.

Sources, all of NVIDIA: `docs/operators.md` and `docs/Changelog.md` of onnx-tensorrt (the tables of 8.5, 9.2, 10.6 and
10.15; the changelog from 8.0 to 10.15), and for 11 the documentation's ONNX Opset Guide and what the parser of
TensorRT-RTX 1.7, which calls itself 11.4, says of each operator (`OnnxParser.supports_operator`).
"""

from __future__ import annotations

Version = tuple[int, ...]

_OPERATORS: dict[Version, str] = {
    # The table of 8.5, and what the changelog adds in 8.6: GroupNormalization, LayerNormalization, IsInf.
    (8, 6): """
        Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Celu Clip
        Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout
        Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gemm GlobalAveragePool
        GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish Identity
        If ImageScaler InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log
        LogSoftmax Loop LpNormalization LpPool MatMul Max MaxPool Mean MeanVarianceNormalization Min Mod Mul Neg
        NonMaxSuppression NonZero Not OneHot Or PRelu Pad ParametricSoftplus Pow QuantizeLinear RNN RandomNormal
        RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum
        ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize
        ReverseSequence RoiAlign Round ScaledTanh Scan Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign
        Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu
        Tile TopK Transpose Trilu Unsqueeze Upsample Where Xor
    """,
    (9, 2): "CastLike Hardmax",  # the table of 9.2; CastLike is not in that of 8.5
    (10,): "Gelu Mish",  # in the table of 10.6 and not in that of 9.2; no changelog from 10.1 to 10.6 adds them
    (10, 1): "DeformConv",
    (10, 4): "BlackmanWindow HammingWindow HannWindow",
    (10, 5): "STFT",
    (10, 14): "Attention",
    (10, 15): "RMSNormalization RotaryEmbedding TensorScatter",
    (11, 4): "CausalConvWithState LinearAttention Swish",  # the parser's own word; the tables of 11.0 to 11.3 not seen
}
OPERATORS: dict[str, Version] = {name: since for since, names in _OPERATORS.items() for name in names.split()}
"""Operators of ONNX that TensorRT reads. Every other is looked for among plugins."""

OPSETS: dict[Version, tuple[int, int]] = {
    (8, 6): (9, 17),  # the tables of 8.5 and 8.6
    (9,): (9, 19),  # the table of 9.2
    (10,): (9, 20),  # the tables of 10.0 to 10.3
    (10, 6): (9, 22),  # the table of 10.6
    (10, 13): (9, 24),  # the table of 10.15; for 10.13 at second hand
    (11,): (9, 25),  # the ONNX Opset Guide
}
"""Opsets that a version documents, oldest and newest."""

TYPES: dict[str, Version] = {
    **dict.fromkeys(("FLOAT", "FLOAT16", "INT32", "INT64", "INT8", "UINT8", "BOOL", "DOUBLE"), (8, 6)),
    **dict.fromkeys(("BFLOAT16", "FLOAT8E4M3FN"), (9,)),  # the changelog of 9.0
    "INT4": (10,),  # the changelog of 10.0
    "FLOAT4E2M1": (10, 8),  # the changelog of 10.8
}
"""ONNX's types that TensorRT has, or narrows: INT64 to 32 bits in 8.6, where values of a network fit, DOUBLE always."""

NARROWED = "DOUBLE"
"""TensorRT makes float32 of it in every version, without a word."""
BYTES = "UINT8"
"""The type of a network's inputs and outputs alone, in every version."""
BYTES_READERS = frozenset({"Cast", "CastLike", "DequantizeLinear", "QuantizeLinear"})
"""Operators that take bytes."""

LOCAL_FUNCTIONS_SINCE: Version = (9,)
"""The changelog of 9.0: functions that a model brings along."""


def opset_range(version: Version) -> tuple[int, int]:
    """The oldest and the newest opset that a version documents."""
    return OPSETS[max(since for since in OPSETS if since <= version)]
