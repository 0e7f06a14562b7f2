"""Golden samples: inputs and the reference's outputs, by which a device proves itself without PyTorch."""

from runtime.golden.compare import compare_crops
from runtime.golden.crops import block_means, cut_tiles, tile_origins
from runtime.golden.inputs import COMPANION, GoldenInputs
from runtime.golden.samples import GoldenSamples

__all__ = ["COMPANION", "GoldenInputs", "GoldenSamples", "block_means", "compare_crops", "cut_tiles", "tile_origins"]
