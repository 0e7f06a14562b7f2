"""What the readers of TensorFlow networks share: variables and options taken one by one, and the mapping network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from exporter.checkpoints import limits
from exporter.checkpoints.layout import MEAN_W, NOISE_SUFFIX, to_float32
from exporter.checkpoints.shown import quoted, shown
from exporter.checkpoints.tensors import drop_ones
from runtime.errors import CheckpointError
from runtime.spec import MAX_BLOCKS, MAX_MAPPING_LAYERS, LabelInput, Layer, MappingSpec, Truncation

LR_MULTIPLIER = 0.01
"""Learning-rate multiplier of the mapping network where a file records none."""

IRRELEVANT = frozenset(
    # Told by the shapes of the variables.
    {"num_channels", "label_size", "latent_size", "dlatent_size", "label_fmaps", "mapping_layers", "mapping_fmaps"}
    | {"fmap_base", "fmap_decay", "fmap_min", "fmap_max", "dlatent_broadcast"}
    # Of training, of how TensorFlow runs the network, or of what it returns.
    | {"dlatent_avg_beta", "w_avg_beta", "style_mixing_prob", "randomize_noise", "is_training", "is_validation"}
    | {"truncation_psi_val", "truncation_cutoff_val", "dtype", "structure", "fused_modconv", "num_fp16_res"}
    | {"func_name", "mapping_func", "synthesis_func", "return_dlatents", "is_template_graph", "force_clean_graph"}
)
"""Options that don't change what a trained network draws, or that its variables tell; a StyleGAN reads `structure`."""
ONLY: Mapping[str, Any] = {
    "use_styles": True,
    "const_input_layer": True,
    "use_wscale": True,
    "use_pixel_norm": False,
    "use_instance_norm": True,
    "normalize_latents": True,
    "nonlinearity": "lrelu",
    "mapping_nonlinearity": "lrelu",
}
"""Options of which one value is supported."""


class Variables:
    """A network's variables. Each is taken once; what nobody took is a sign that the network was not understood."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = arrays
        self._taken: set[str] = set()

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def __iter__(self) -> Any:
        return iter(self.arrays)

    def shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        """The shape of a variable."""
        return self._get(name, dimensions).shape

    def take(self, name: str, dimensions: int, ones: int = 0) -> np.ndarray:
        """A variable of that many dimensions, without its first `ones`, which must be 1.

        Raises CheckpointError where there is none such.
        """
        array = self._get(name, dimensions)
        self._taken.add(name)
        return drop_ones(f"the variable {name}", array, ones)

    def drop(self, *names: str) -> None:
        """Take variables that are not needed."""
        self._taken |= set(names)

    def check_all_used(self) -> None:
        """Raise CheckpointError where a variable was not taken."""
        left = sorted(name for name in self.arrays if name not in self._taken)
        if left:
            raise CheckpointError(f"the network has the variable {shown(left[0])}, which no such network has")

    def _get(self, name: str, dimensions: int) -> np.ndarray:
        array = self.arrays.get(name)
        if array is None or array.ndim != dimensions or 0 in array.shape:
            raise CheckpointError(f"the checkpoint lacks the {dimensions}-dimensional variable {name}")
        return array


class Options:
    """A network's options, where the file has them."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._read: set[str] = set()

    def get(self, name: str, default: Any) -> Any:
        """An option's value."""
        self._read.add(name)
        return self._values.get(name, default)

    def flag(self, name: str, default: bool) -> bool:
        """True or False. Raises CheckpointError for anything else."""
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, "True or False")
        return value

    def number(self, name: str, default: float | None) -> float | None:
        """A number, or None. Raises CheckpointError for anything else."""
        value = self.get(name, default)
        if value is not None and not _is_number(value):
            raise self._wrong(name, "a number")
        return None if value is None else float(value)

    def count(self, name: str, default: int | None) -> int | None:
        """A whole number, or None. Raises CheckpointError for anything else."""
        value = self.number(name, default)
        if value is not None and not value.is_integer():
            raise self._wrong(name, "a whole number")
        return None if value is None else int(value)

    def choice(self, name: str, known: Sequence[str]) -> str:
        """One of `known`, of which the first is the default. Raises CheckpointError for anything else."""
        value = self.get(name, known[0])
        if not isinstance(value, str) or value not in known:
            raise self._wrong(name, f"one of {', '.join(known)}")
        return value

    def taps(self, name: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """A filter, normalised to sum 1. Raises CheckpointError where it is none."""
        value = self.get(name, default)
        if not isinstance(value, (list, tuple)) or not all(_is_number(tap) for tap in value):
            raise self._wrong(name, "a few numbers")
        total = float(sum(value))
        if not total:
            raise CheckpointError(f"the network was built with a {name} that sums to 0")
        return tuple(float(tap) / total for tap in value)

    def truncation(self, default: Truncation) -> Truncation:
        """What the network's own code truncates by."""
        psi, cutoff = self.number("truncation_psi", default.psi), self.count("truncation_cutoff", default.cutoff)
        return Truncation() if psi is None else Truncation(psi, cutoff)

    def _wrong(self, name: str, expected: str) -> CheckpointError:
        return CheckpointError(
            f"the network was built with {name} = {quoted(self._values.get(name))}, expected {expected}"
        )

    def check_all_known(self) -> None:
        """Raise CheckpointError for an option that could change the picture in a way that nobody here knows."""
        for name, value in self._values.items():
            if name in ONLY and (type(value) is not type(ONLY[name]) or value != ONLY[name]):
                raise CheckpointError(
                    f"the network was built with {name} = {quoted(value)}; only {quoted(ONLY[name])} is supported"
                )
            if name not in ONLY and name not in IRRELEVANT and name not in self._read:
                raise CheckpointError(
                    f"the network was built with the option {shown(name)} = {quoted(value)}, which is not understood"
                )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= limits.MAX_ATTRIBUTE  # NaN and infinity are none


def read_mapping(
    variables: Variables, options: Options, weight_gain: float, activation_gain: float
) -> tuple[MappingSpec, dict[str, np.ndarray]]:
    """The mapping network: its specification and canonical weights."""
    weights, features = {}, []
    inputs = variables.shape("mapping/Dense0/weight", 2)[0]
    for index in range(MAX_MAPPING_LAYERS):
        if f"mapping/Dense{index}/weight" not in variables:
            break
        weight = variables.take(f"mapping/Dense{index}/weight", 2)
        weights[f"mapping.fc{index}.weight"] = to_float32(weight.T)
        weights[f"mapping.fc{index}.bias"] = to_float32(variables.take(f"mapping/Dense{index}/bias", 1))
        features.append(weight.shape[1])
    c_dim, embed, label = 0, 0, LabelInput.EMBED
    for name, kind in (("LabelConcat", LabelInput.CONCAT), ("LabelEmbed", LabelInput.EMBED)):
        if f"mapping/{name}/weight" in variables:
            matrix, label = variables.take(f"mapping/{name}/weight", 2), kind
            c_dim, embed = matrix.shape
            weights["mapping.embed.weight"] = to_float32(matrix.T)
            break  # where there is another, nobody takes it
    if c_dim and label is LabelInput.EMBED:
        weights["mapping.embed.bias"] = to_float32(variables.take("mapping/LabelEmbed/bias", 1))
    if "dlatent_avg" in variables:
        weights[MEAN_W] = to_float32(variables.take("dlatent_avg", 1))
    multiplier = options.number("mapping_lrmul", LR_MULTIPLIER)
    spec = MappingSpec(
        z_dim=inputs - embed,
        w_dim=features[-1],
        c_dim=c_dim,
        features=tuple(features),
        embed_features=embed,
        lr_multiplier=LR_MULTIPLIER if multiplier is None else multiplier,
        label=label,
        weight_gain=weight_gain,
        activation_gain=activation_gain,
    )
    return spec, weights


def block_count(variables: Variables, options: Options) -> int:
    """How many resolutions a synthesis network has, from 4 px up."""
    count = 1
    while count < MAX_BLOCKS and f"synthesis/{4 << count}x{4 << count}/Conv1/weight" in variables:
        count += 1
    claimed = options.count("resolution", 4 << (count - 1))
    if claimed != 4 << (count - 1):
        raise CheckpointError(
            f"the network says resolution = {shown(claimed)}, but its variables reach {4 << (count - 1)}"
        )
    return count


def torch_kernel(weight: np.ndarray, flipped: bool = False) -> np.ndarray:
    """A convolution kernel [k, k, in, out] as PyTorch has it, [out, in, k, k]; `flipped` in both spatial axes."""
    return to_float32((weight[::-1, ::-1] if flipped else weight).transpose(3, 2, 0, 1))


def stored_noise(variables: Variables, layer: Layer) -> dict[str, np.ndarray]:
    """The noise map of a noisy layer, where the file has it."""
    name = f"synthesis/noise{layer.noise}"
    if name not in variables:
        return {}
    return {f"synthesis.{layer.name}{NOISE_SUFFIX}": to_float32(variables.take(name, 4, ones=2))}
