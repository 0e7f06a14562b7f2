"""StyleGAN of NVIDIA's TensorFlow code in plain NumPy, drawn from a file's variables as they stand there.

Written from the paper and the facts of the format alone: no name, layout or helper of the readers or the reference
networks is used, so that an image says whether those understood the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Variables = Mapping[str, np.ndarray]


def map_latent(variables: Variables, z: np.ndarray, c: np.ndarray, weight_gain: float, relu_gain: float) -> np.ndarray:
    """z [N, Z] and label c [N, C] -> w [N, W]; the two gains are those in which the generations differ."""
    if "mapping/LabelConcat/weight" in variables:
        x = _normalised(np.concatenate([z, c @ variables["mapping/LabelConcat/weight"]], axis=1))
    else:
        matrix = variables["mapping/LabelEmbed/weight"]
        embedded = c @ matrix / np.sqrt(len(matrix)) + variables["mapping/LabelEmbed/bias"]
        x = np.concatenate([_normalised(z), _normalised(embedded)], axis=1)
    for index in range(2):
        weight, bias = (variables[f"mapping/Dense{index}/{kind}"] for kind in ("weight", "bias"))
        x = _leaky(x @ weight * (weight_gain * 0.01 / np.sqrt(len(weight))) + bias * 0.01) * relu_gain
    return x


def draw(
    variables: Variables, ws: np.ndarray, fused_from: int, blur: Sequence[float] | None, lod: float = 0.0
) -> np.ndarray:
    """ws [rows, W] -> image [C, R, R]. Up-sampling is fused from `fused_from` px; noise is drawn where it is stored."""
    blocks = len(ws) // 2
    images, x = [], variables["synthesis/4x4/Const/const"][0].astype(np.float64)
    for block in range(blocks):
        side = 4 << block
        first, second = ("4x4/Const", "4x4/Conv") if block == 0 else (f"{side}x{side}/Conv0_up", f"{side}x{side}/Conv1")
        if block:
            x = _up(x, variables[f"synthesis/{first}/weight"], side >= fused_from)
            x = x if blur is None else _blur(x, blur)
        x = _epilogue(variables, first, x, ws[2 * block], 2 * block)
        weight = variables[f"synthesis/{second}/weight"]
        x = _correlate(x, weight * _he(weight, np.sqrt(2)))
        x = _epilogue(variables, second, x, ws[2 * block + 1], 2 * block + 1)
        images.append(_to_rgb(variables, f"synthesis/ToRGB_lod{blocks - 1 - block}", x))
    whole = int(lod)
    image = images[blocks - 1 - whole]
    if lod > whole:
        image = image + (lod - whole) * (_repeat(images[blocks - 2 - whole], 2) - image)
    return _repeat(image, 1 << whole)


def _normalised(x: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-8)
    return scaled


def _leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.2 * x)


def _he(weight: np.ndarray, gain: float) -> float:
    return float(gain / np.sqrt(np.prod(weight.shape[:-1])))


def _repeat(x: np.ndarray, factor: int) -> np.ndarray:
    return x.repeat(factor, axis=-2).repeat(factor, axis=-1)


def _correlate(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """x [in, H, W] with a kernel [3, 3, in, out], zeros around."""
    side, padded = x.shape[1], np.pad(x, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((weight.shape[3], side, side))
    for row in range(3):
        for column in range(3):
            window = padded[:, row : row + side, column : column + side]
            out += np.einsum("ihw,io->ohw", window, weight[row, column])
    return out


def _up(x: np.ndarray, weight: np.ndarray, fused: bool) -> np.ndarray:
    """Repeat pixels and correlate; or, fused, spread each pixel by the sum of four shifted kernels."""
    weight = weight * _he(weight, np.sqrt(2))
    if not fused:
        return _correlate(_repeat(x, 2), weight)
    wide = np.pad(weight, ((1, 1), (1, 1), (0, 0), (0, 0)))
    kernel = wide[1:, 1:] + wide[:-1, 1:] + wide[1:, :-1] + wide[:-1, :-1]
    side = x.shape[1]
    spread = np.zeros((weight.shape[3], 2 * side + 2, 2 * side + 2))
    for row in range(4):
        for column in range(4):
            spread[:, row : row + 2 * side : 2, column : column + 2 * side : 2] += np.einsum(
                "ihw,io->ohw", x, kernel[row, column]
            )
    return spread[:, 1:-1, 1:-1]


def _blur(x: np.ndarray, taps: Sequence[float]) -> np.ndarray:
    kernel = np.outer(taps, taps) / np.sum(taps) ** 2
    return _correlate(x, kernel[:, :, None, None] * np.eye(len(x)))


def _epilogue(variables: Variables, scope: str, x: np.ndarray, w: np.ndarray, row: int) -> np.ndarray:
    prefix = f"synthesis/{scope}"
    if f"synthesis/noise{row}" in variables:
        x = x + variables[f"synthesis/noise{row}"][0] * variables[f"{prefix}/Noise/weight"][:, None, None]
    x = _leaky(x + variables[f"{prefix}/bias"][:, None, None])
    x = x - x.mean(axis=(1, 2), keepdims=True)
    x = x / np.sqrt((x**2).mean(axis=(1, 2), keepdims=True) + 1e-8)
    weight = variables[f"{prefix}/StyleMod/weight"]
    scale, shift = np.split(w @ weight / np.sqrt(len(weight)) + variables[f"{prefix}/StyleMod/bias"], 2)
    styled: np.ndarray = x * (scale + 1)[:, None, None] + shift[:, None, None]
    return styled


def _to_rgb(variables: Variables, scope: str, x: np.ndarray) -> np.ndarray:
    if f"{scope}/weight" not in variables:  # a fixed structure has the last alone
        return np.zeros((3, *x.shape[1:]))
    weight, bias = variables[f"{scope}/weight"], variables[f"{scope}/bias"]
    rgb: np.ndarray = np.einsum("ihw,io->ohw", x, weight[0, 0]) * _he(weight, 1.0) + bias[:, None, None]
    return rgb
