"""The command that draws a sample again."""

from __future__ import annotations

import shlex
from pathlib import Path

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
    command = ["stylegan-edge", *_images(bundle, sample), "--psi", f"{sample.psi:g}"]
    if sample.mixed and sample.transform is not None:
        return None
    if options.identity_mask and sample.cutoff != spec.default_cutoff:
        command += ["--cutoff", str(spec.num_ws if sample.cutoff is None else sample.cutoff)]
    elif not options.identity_mask and spec.default_cutoff is not None:
        command += ["--cutoff", str(spec.num_ws)]  # all that a graph with a mask takes
    if sample.label is not None:
        command += ["--class", str(sample.label)]
    if spec.noise_inputs:
        command += ["--noise", str(sample.noise)]
    if sample.transform is not None:
        degrees, x, y = sample.transform
        command += ["--rotate", f"{degrees:g}", "--translate", f"{x:g},{y:g}"]
    if precision != FP32:
        command += ["--precision", precision]
    return shlex.join(command)


def _images(bundle: Path, sample: Sample) -> list[str]:
    """The command and its seeds."""
    seeds = ",".join(str(seed) for seed in sample.seeds)
    if sample.cut is None:
        return ["generate", str(bundle), "--seeds", seeds, "-o", "again"]
    rows = ["--rows", str(sample.second), "--cols", seeds, "--layers", f"0-{sample.cut - 1}"]
    return ["mix", str(bundle), *rows, "-o", "again.png"]
