"""The command that draws a sample again."""

from __future__ import annotations

import shlex
from pathlib import Path

from runtime.command_line import drawing_options
from runtime.manifest import ExportOptions
from runtime.parity import FP32
from runtime.parity.samples import Sample
from runtime.spec import GeneratorSpec


def draw_again(
    bundle: Path, spec: GeneratorSpec, options: ExportOptions, sample: Sample, precision: str = FP32
) -> str | None:
    """The command line that draws a sample as a picture; None where there is none.

    An unmixed sample is `generate`'s, a mixed one the last cell of `mix`'s grid, which takes no transform.
    """
    if sample.mixed and sample.transform is not None:
        return None
    cutoff = None
    if options.identity_mask and sample.cutoff != spec.default_cutoff:
        cutoff = spec.num_ws if sample.cutoff is None else sample.cutoff
    elif not options.identity_mask and spec.default_cutoff is not None:
        cutoff = spec.num_ws  # all that a graph with a mask takes
    noise = sample.noise if spec.noise_inputs else None
    drawn = drawing_options(sample.psi, cutoff, sample.label, noise, sample.transform, precision)
    return shlex.join(["stylegan-edge", *_images(bundle, sample), *drawn])


def _images(bundle: Path, sample: Sample) -> list[str]:
    """The command and its seeds."""
    seeds = ",".join(str(seed) for seed in sample.seeds)
    if sample.cut is None:
        return ["generate", str(bundle), "--seeds", seeds, "-o", "again"]
    rows = ["--rows", str(sample.second), "--cols", seeds, "--layers", f"0-{sample.cut - 1}"]
    return ["mix", str(bundle), *rows, "-o", "again.png"]
