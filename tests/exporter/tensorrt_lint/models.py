"""Small graphs in ONNX's text form: each breaks one rule at the node `bad`, or none."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import onnx

from exporter.tensorrt_lint.tables import Version

VERSIONS: tuple[Version, ...] = (
    *((8, 6), (9, 1), (9, 2), (10, 0), (10, 1), (10, 3), (10, 4), (10, 5), (10, 6), (10, 8), (10, 12), (10, 13)),
    *((10, 14), (10, 15), (10, 16), (11, 0), (11, 4)),
)
PARSER: Version = (11, 4)
"""What the parser of TensorRT-RTX 1.7, which tests/engines runs, says that it is."""


@dataclass(frozen=True)
class Case:
    """A graph, and the versions that refuse it: from `since` up to, without, `until`.

    `opset` holds for `needs`: a graph whose operator is of a later opset than 17 is refused by older versions, too.
    `differs` says why TensorRT-RTX's parser does not do what TensorRT's does.
    """

    graph: str
    since: Version = (8, 6)
    until: Version = (12,)
    opset: int = 17
    taken: bool = False
    differs: str = ""
    domains: dict[str, int] = field(default_factory=dict)
    functions: str = ""

    def refused_by(self, version: Version) -> bool:
        return not self.taken and self.since <= version < self.until

    @property
    def text(self) -> str:
        imports = ", ".join(f'"{name}": {number}' for name, number in {"": self.opset, **self.domains}.items())
        return f"<ir_version: 8, opset_import: [{imports}]> g {self.graph} {self.functions}"

    @lru_cache  # noqa: B019 - the table lives as long as the process
    def model(self) -> onnx.ModelProto:
        return onnx.parser.parse_model(self.text)

    def __hash__(self) -> int:
        return hash(self.text)


IMAGE = "(float[batch, 3, 8, 8] x) => (float[batch, 3, 8, 8] y)"
ROWS = "(float[batch, 8] x) => (float[batch, 8] y)"
RESIZE = (
    "(float[batch, 3, 8, 8] x) => (float[batch, 3, 16, 16] y) <float[4] s = {{1, 1, 2, 2}}>"
    "{{ [bad] y = Resize<{}>(x, , s) }}"
)
PAD = (
    "(float[batch, 3, 8, 8] x) => (float[batch, 3, 10, 10] y) <int64[8] p = {{0, 0, 1, 1, 0, 0, 1, 1}}>"
    '{{ [bad] y = Pad<mode="{}">(x, p) }}'
)
CAST = "(float[batch, 8] x) => (float[batch, 8] y) {{ [bad] a = Cast<to = {}>(x) y = Cast<to = 1>(a) }}"
AXES = "(float[batch, 3, 8] x, int64[1] a) => (float[p, q, r] y) {{ [bad] y = {}(x, a) }}"
WINDOW = "(float[batch, 8] x) => (float[batch, 8] y) <int64 n = {{8}}> {{ [bad] w = {}(n) y = Add(x, w) }}"
NORM = (
    "(float[batch, 3, 8, 8] x, float[3] v) => (float[batch, 3, 8, 8] y) <float[3] k = {{1, 1, 1}}>"
    "{{ [bad] y = InstanceNormalization(x, {}) }}"
)
TWO = "(float[batch, 3, 8] x, float[batch, 8, 4] z) => (float[batch, 3, 4] y)"
BRANCHES = """(float[batch] x, bool c) => (float[n] y) {
    [outer] y = If(c) <
        then_branch = t () => (float[n1] p) { [bad] p = Unique(x) },
        else_branch = e () => (float[n2] q) { [bad] q = Unique(x) }
    >
}"""

OPERATORS = {
    "AffineGrid": Case(
        "(float[batch, 2, 3] x, int64[4] s) => (float[batch, h, w, 2] y) { [bad] y = AffineGrid(x, s) }", opset=20
    ),
    "Unique in a branch": Case(BRANCHES),
    "Unique": Case("(float[batch] x) => (float[n] y) { [bad] y = Unique(x) }"),
    "BitShift": Case('(uint8[batch] x) => (uint8[batch] y) { [bad] y = BitShift<direction="LEFT">(x, x) }'),
    "Hardmax before 9.2": Case(ROWS + "{ [bad] y = Hardmax(x) }", until=(9, 2)),
    "CastLike before 9.2": Case(ROWS + "{ [bad] y = CastLike(x, x) }", until=(9, 2)),
    "Gelu before 10": Case(ROWS + "{ [bad] y = Gelu(x) }", until=(10,), opset=20),
    "Mish before 10": Case(ROWS + "{ [bad] y = Mish(x) }", until=(10,), opset=18),
    "DeformConv before 10.1": Case(
        "(float[batch, 3, 8, 8] x, float[batch, 2, 8, 8] o) => (float[batch, 3, 8, 8] y)"
        "<float[3, 3, 1, 1] w = {1,1,1,1,1,1,1,1,1}> { [bad] y = DeformConv(x, w, o) }",
        until=(10, 1),
        opset=19,
        differs="TensorRT makes a plugin of it, and TensorRT-RTX has none",
    ),
    "HannWindow before 10.4": Case(WINDOW.format("HannWindow"), until=(10, 4)),
    "RMSNormalization before 10.15": Case(
        ROWS + "<float[8] s = {1,1,1,1,1,1,1,1}> { [bad] y = RMSNormalization(x, s) }", until=(10, 15), opset=23
    ),
    "Swish before 11.4": Case(ROWS + "{ [bad] y = Swish(x) }", until=(11, 4), opset=24),
    "NonZero": Case(
        "(float[batch, 8] x) => (int64[2, n] y) { [bad] y = NonZero(x) }",
        taken=True,
        differs="TensorRT makes a plugin of it, and TensorRT-RTX has none",
    ),
    "LayerNormalization": Case(ROWS + "<float[8] s = {1,1,1,1,1,1,1,1}> { y = LayerNormalization(x, s) }", taken=True),
    "a foreign operator": Case(ROWS + "{ [bad] y = mine.Blur(x) }", domains={"mine": 1}),
    "a foreign name for ONNX's operator": Case(ROWS + "{ y = mine.Relu(x) }", domains={"mine": 1}, taken=True),
    "a function of its own before 9": Case(
        ROWS + "{ [bad] y = mine.Twice(x) }",
        until=(9,),
        domains={"mine": 1},
        functions='<domain: "mine", opset_import: ["": 17]> Twice (a) => (b) { b = Add(a, a) }',
    ),
    "a function that holds a foreign operator": Case(
        ROWS + "{ [bad] y = mine.Twice(x) }",
        domains={"mine": 1},
        functions='<domain: "mine", opset_import: ["": 17, "mine": 1]> Twice (a) => (b) { [bad] b = mine.Blur(a) }',
    ),
}
"""Operators that a version has or has not."""

DEFINITIONS = {
    "ReduceMean of opset 18": Case(
        "(float[batch, 8] x) => (float[batch, 1] y) <int64[1] a = {1}> { [bad] y = ReduceMean(x, a) }",
        until=(9,),
        opset=18,
    ),
    "Pad of opset 19": Case(PAD.format("constant"), until=(9,), opset=19),
    "AveragePool of opset 22": Case(
        "(float[batch, 3, 8, 8] x) => (float[batch, 3, 7, 7] y) { [bad] y = AveragePool<kernel_shape=[2, 2]>(x) }",
        until=(10, 6),
        opset=22,
    ),
    "Cast of opset 24": Case(ROWS + "{ [bad] y = Cast<to = 1>(x) }", until=(10, 13), opset=24),
    "Relu, which did not change": Case(ROWS + "{ y = Relu(x) }", opset=25, taken=True),
}
"""Definitions newer than the opsets that a version documents."""

TYPES = {
    **{
        f"a cast to {name}": Case(CAST.format(number))
        for name, number in {"uint16": 4, "int16": 5, "string": 8, "uint32": 12, "uint64": 13}.items()
    },
    "a cast to bfloat16 before 9": Case(CAST.format(16), until=(9,)),
    **{
        f"a cast to {name}": Case(CAST.format(number).replace("[bad] ", ""), taken=True)
        for name, number in {"float16": 10, "int32": 6, "int64": 7, "bool": 9, "double": 11}.items()
    },
    "bytes between": Case(CAST.format(2)),
    "bytes added": Case("(uint8[batch, 8] x) => (uint8[batch, 8] y) { [bad] y = Add(x, x) }"),
    "bytes transposed": Case(
        "(uint8[batch, 8] x) => (float[8, batch] y) { [bad] a = Transpose(x) y = Cast<to = 1>(a) }"
    ),
    "bytes in": Case("(uint8[batch, 8] x) => (float[batch, 8] y) { y = Cast<to = 1>(x) }", taken=True),
    "bytes out": Case("(float[batch, 8] x) => (uint8[batch, 8] y) { y = Cast<to = 2>(x) }", taken=True),
    "a constant of bytes": Case(
        "(float[batch, 2] x) => (float[batch, 2] y) <uint8[2] k = {1, 2}> { a = Cast<to = 1>(k) y = Add(x, a) }",
        taken=True,
    ),
    "integers averaged before 9": Case(
        "(int32[batch, 3, 8] x) => (int32[batch, 3, 1] y) { [bad] y = ReduceMean<axes=[2]>(x) }", until=(9,)
    ),
}
"""Types that a version has or has not."""

ATTRIBUTES = {
    "Resize linear": Case(RESIZE.format('mode="linear"'), taken=True),
    "Resize cubic": Case(RESIZE.format('mode="cubic"'), taken=True),
    "Resize with antialiasing": Case(RESIZE.format('mode="linear", antialias=1'), opset=18),
    "Resize that keeps the aspect": Case(RESIZE.format('keep_aspect_ratio_policy="not_larger"'), opset=18),
    "Resize of a crop": Case(RESIZE.format('coordinate_transformation_mode="tf_crop_and_resize"')),
    "Resize half_pixel_symmetric": Case(
        RESIZE.format('coordinate_transformation_mode="half_pixel_symmetric"'), opset=19
    ),
    "Resize tf_half_pixel_for_nn, floor": Case(
        RESIZE.format('coordinate_transformation_mode="tf_half_pixel_for_nn", nearest_mode="floor"'), since=(9, 1)
    ),
    **{f"Pad {mode}": Case(PAD.format(mode), taken=True) for mode in ("constant", "reflect", "edge")},
    "Pad wrap before 10": Case(PAD.format("wrap"), until=(10,), opset=19),
    "MaxPool with indices": Case(
        "(float[batch, 3, 8, 8] x) => (float[batch, 3, 4, 4] y, int64[batch, 3, 4, 4] i)"
        "{ [bad] y, i = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(x) }"
    ),
    "MaxPool, dilated": Case(
        "(float[batch, 3, 8, 8] x) => (float[batch, 3, 6, 6] y)"
        "{ [bad] y = MaxPool<kernel_shape=[2, 2], dilations=[2, 2]>(x) }",
        since=(9, 1),
    ),
    "LayerNormalization with its mean": Case(
        "(float[batch, 8] x) => (float[batch, 8] y, float[batch, 1] u) <float[8] s = {1,1,1,1,1,1,1,1}>"
        "{ [bad] y, u = LayerNormalization(x, s) }",
        since=(10, 6),
    ),
    "BatchNormalization in training": Case(
        "(float[batch, 3, 8] x) => (float[batch, 3, 8] y) <float[3] k = {1, 1, 1}>"
        "{ [bad] y, m, v = BatchNormalization<training_mode=1>(x, k, k, k, k) }",
        since=(9, 1),
    ),
    "Constant of text": Case(ROWS + '{ [bad] k = Constant<value_string="a">() y = Relu(x) }'),
    "Einsum": Case(TWO + '{ y = Einsum<equation="bij,bjk->bik">(x, z) }', taken=True),
    "Einsum in capitals": Case(TWO + '{ [bad] y = Einsum<equation="Bij,Bjk->Bik">(x, z) }', since=(9, 1)),
    "Einsum with an ellipsis before 10.12": Case(
        TWO + '{ [bad] y = Einsum<equation="...ij,...jk->...ik">(x, z) }', until=(10, 12)
    ),
    "Einsum of a diagonal before 10.12": Case(
        '(float[batch, 3, 3] x) => (float[batch, 3] y) { [bad] y = Einsum<equation="bii->bi">(x) }', until=(10, 12)
    ),
    "GridSample": Case(
        "(float[batch, 3, 8, 8] x, float[batch, 4, 4, 2] q) => (float[batch, 3, 4, 4] y) { y = GridSample(x, q) }",
        taken=True,
    ),
    "GridSample of volumes before 11": Case(
        "(float[batch, 3, 8, 8, 8] x, float[batch, 4, 4, 4, 3] q) => (float[batch, 3, 4, 4, 4] y)"
        "{ [bad] y = GridSample(x, q) }",
        until=(11,),
        opset=20,
    ),
    "RandomNormalLike of doubles": Case(
        ROWS + "{ [bad] a = RandomNormalLike<dtype=11>(x) b = Cast<to=1>(a) y = Add(b, x) }", since=(9, 1)
    ),
    "RandomUniformLike": Case(ROWS + "{ a = RandomUniformLike(x) y = Add(a, x) }", taken=True),
    "Conv in groups": Case(
        "(float[batch, 2, 8, 8] x) => (float[batch, 2, 8, 8] y) <float[2, 1, 1, 1] w = {1, 2}>"
        "{ y = Conv<group=2>(x, w) }",
        taken=True,
    ),
    "Conv of a given weight": Case(
        "(float[batch, 4, 8, 8] x, float[4, 4, 1, 1] w) => (float[batch, 4, 8, 8] y) { y = Conv(x, w) }", taken=True
    ),
}
"""What attributes and outputs ask for."""

CONSTANTS = {
    "ReduceSum over given axes": Case(AXES.format("ReduceSum")),
    "ReduceMean over given axes": Case(AXES.format("ReduceMean"), opset=18),
    "Squeeze of given axes": Case("(float[batch, 1, 8] x, int64[1] a) => (float[p, q] y) { [bad] y = Squeeze(x, a) }"),
    "Unsqueeze of given axes": Case(
        "(float[batch, 8] x, int64[1] a) => (float[p, q, r] y) { [bad] y = Unsqueeze(x, a) }"
    ),
    "OneHot of a given depth before 11": Case(
        "(int64[batch] x, int64 n) => (float[batch, m] y) <float[2] v = {0, 1}> { [bad] y = OneHot(x, n, v) }",
        until=(11,),
    ),
    "Pad of given axes before 10.4": Case(
        "(float[batch, 3, 8] x, int64[1] a) => (float[p, q, r] y) <int64[2] s = {1, 1}> { [bad] y = Pad(x, s, , a) }",
        until=(10, 4),
        opset=18,
    ),
    "Slice of given axes before 10.3": Case(
        "(float[batch, 3, 8] x, int64[1] a) => (float[p, q, r] y) <int64[1] b = {0}, int64[1] e = {2}>"
        "{ [bad] y = Slice(x, b, e, a) }",
        until=(10, 3),
    ),
    "CumSum over a given axis before 10.8": Case(
        "(float[batch, 3, 8] x, int64 a) => (float[batch, 3, 8] y) { [bad] y = CumSum(x, a) }", until=(10, 8)
    ),
    "InstanceNormalization of a given scale before 9": Case(NORM.format("v, k"), until=(9,)),
    "InstanceNormalization of a given bias before 9": Case(NORM.format("k, v"), until=(9,)),
    "InstanceNormalization": Case(
        IMAGE + "<float[3] k = {1, 1, 1}> { y = InstanceNormalization(x, k, k) }", taken=True
    ),
    "ReduceSum over axes that are added": Case(
        "(float[batch, 3, 8] x) => (float[p, q, r] y) <int64[1] k = {1}> { a = Add(k, k) [bad] y = ReduceSum(x, a) }"
    ),
    "ReduceSum over axes that are cast": Case(
        "(float[batch, 3, 8] x) => (float[p, q, r] y) <int32[1] k = {1}> { a = Cast<to = 7>(k) y = ReduceSum(x, a) }",
        taken=True,
    ),
    "Unsqueeze of axes that are added": Case(
        "(float[batch, 3, 8] x) => (float[p, q, r, s] y) <int64[1] k = {1}> { a = Add(k, k) y = Unsqueeze(x, a) }",
        taken=True,
    ),
}
"""Inputs that must be constants."""

CASES = {**OPERATORS, **DEFINITIONS, **TYPES, **ATTRIBUTES, **CONSTANTS}
