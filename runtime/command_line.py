"""How images are drawn, as the options of the command line that say so."""

from __future__ import annotations

from runtime.noise import Noise
from runtime.parity import FP32


def number(value: float) -> str:
    """A number in as few characters as name it exactly: `0.7`, `1`, `-12.5`."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def drawing_options(
    psi: float,
    cutoff: int | None = None,
    label: int | None = None,
    noise: Noise | None = None,
    motion: tuple[float, float, float] | None = None,
    precision: str = FP32,
) -> list[str]:
    """The options of `generate`: `cutoff` None is the checkpoint's own, `motion` is degrees, right and down."""
    options = ["--psi", number(psi)]
    if cutoff is not None:
        options += ["--cutoff", str(cutoff)]
    if label is not None:
        options += ["--class", str(label)]
    if noise is not None:
        options += ["--noise", str(noise)]
    if motion is not None:
        degrees, x, y = motion
        options += ["--rotate", number(degrees), "--translate", f"{number(x)},{number(y)}"]
    if precision != FP32:
        options += ["--precision", precision]
    return options
