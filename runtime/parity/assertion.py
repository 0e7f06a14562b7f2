"""The project's comparison as an assertion, for tests of one's own."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import ArrayLike

from runtime.errors import ImagesDifferError, InputError
from runtime.parity.comparison import Comparison, Figures
from runtime.parity.pixels import PIXEL_OFFSET, PIXEL_SCALE, to_pixels
from runtime.parity.tolerance import FP32, TOLERANCES

if TYPE_CHECKING:
    from runtime.bundle import Bundle
    from runtime.golden.pictures import GoldenDrawing, GoldenPictures

DIMENSIONS = 4
MOST_TOLD = 1
"""Comparisons that a message tells, of those that failed: it has room for the command too."""


@overload
def assert_same(
    reference: str | os.PathLike[str] | Bundle,
    measured: None = None,
    *,
    precision: str = FP32,
    backend: str = "auto",
    batches: Sequence[int] | None = None,
    threads: int | None = None,
    gpu: int = 0,
) -> list[Figures]: ...


@overload
def assert_same(
    reference: ArrayLike, measured: ArrayLike, *, precision: str = FP32, float32_rounding: float = 1.0
) -> Figures: ...


def assert_same(
    reference: ArrayLike | str | os.PathLike[str] | Bundle,
    measured: ArrayLike | None = None,
    *,
    precision: str = FP32,
    backend: str = "auto",
    batches: Sequence[int] | None = None,
    threads: int | None = None,
    gpu: int = 0,
    float32_rounding: float = 1.0,
) -> Figures | list[Figures]:
    """Raise ImagesDifferError, an AssertionError, unless images are the right ones by the project's tolerances.

    `assert_same("bundle")` draws a bundle's golden samples, as `stylegan-edge verify` does, and returns the figures of
    each graph at each batch size. `backend`, `batches` (None: as `verify`), `threads` and `gpu` are for that alone.

    `assert_same(reference, measured)` compares two arrays of images, float [N, C, H, W], nominally within [-1, 1], or
    uint8 [N, H, W, C], and returns their figures. `float32_rounding` is the specification's, as
    `bundle.spec.synthesis.float32_rounding`: 3 for StyleGAN3 and 4 for StyleGAN, whose float32 rounds more.

    `precision` is the measured images': it chooses the tolerance. Raises InputError for arrays that can't be compared
    or a precision that there is not, and for a bundle what opening it raises.
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    if measured is not None:
        return _arrays(np.asarray(reference), np.asarray(measured), precision, float32_rounding)
    if hasattr(reference, "manifest") or isinstance(reference, (str, os.PathLike)):
        return _bundle(reference, precision, backend, batches, threads, gpu)  # type: ignore[arg-type]
    raise InputError("assert_same has images but none to compare them with: give assert_same(reference, measured)")


def _arrays(reference: np.ndarray, measured: np.ndarray, precision: str, rounding: float) -> Figures:
    __tracebackhide__ = True
    _check(reference, measured, precision)
    figures = _compare(reference, measured, precision, rounding)
    if not figures.passed:
        index = _worst(reference, measured)
        own = slice(index, index + 1)
        worst = _compare(reference[own], measured[own], precision, rounding)
        told = f"{worst.levels_max} levels, max |d| {worst.max_abs:.2g}" if worst.finite else "NaN or infinity"
        raise ImagesDifferError(
            f"the images are not the same ({precision}, {figures.samples} of them): {'; '.join(figures.failures())}; "
            f"the worst is image {index} ({told}). To look further: stylegan-edge verify BUNDLE --reference CHECKPOINT "
            "--per-layer --report report.html"
        )
    return figures


def _check(reference: np.ndarray, measured: np.ndarray, precision: str) -> None:
    if precision not in TOLERANCES:
        raise InputError(f"precision {precision!r} is unknown, expected one of {', '.join(TOLERANCES)}")
    if reference.shape != measured.shape:
        raise InputError(f"images {reference.shape} can't be compared with images {measured.shape}: shapes differ")
    if reference.ndim != DIMENSIONS or reference.size == 0:
        expected = "float [N, C, H, W] or uint8 [N, H, W, C], one image at least"
        raise InputError(f"found an array of shape {reference.shape}, expected {expected}")
    kinds = {array.dtype.kind if array.dtype != np.uint8 else "u1" for array in (reference, measured)}
    if kinds not in ({"f"}, {"u1"}):
        raise InputError(f"found images of {reference.dtype} and {measured.dtype}, expected both float or both uint8")


def _compare(reference: np.ndarray, measured: np.ndarray, precision: str, rounding: float) -> Figures:
    comparison = Comparison("images", "reference", len(reference), precision, rounding)
    if reference.dtype != np.uint8:
        comparison.add_images(reference, [measured, to_pixels(measured)])
        return comparison.figures()
    a, b = ((array.astype(np.float32) - PIXEL_OFFSET) / PIXEL_SCALE for array in (reference, measured))
    comparison.add(a, b)
    comparison.add_pixels(reference, measured)
    figures = comparison.figures()
    # No difference of 8-bit values is less than a level: of the range is allowed what levels are, and no level more.
    share = (figures.allowed_levels + 0.5) / max(int(np.ptp(reference)), 1)
    return dataclasses.replace(figures, allowed_relative=max(figures.allowed_relative, share))


def _worst(reference: np.ndarray, measured: np.ndarray) -> int:
    """The image with the largest difference; NaN is larger than any."""
    with np.errstate(invalid="ignore"):
        difference = np.abs(reference.astype(np.float64) - measured)
    return int(np.nan_to_num(difference, nan=np.inf).max(axis=(1, 2, 3)).argmax())


def _bundle(
    reference: str | os.PathLike[str] | Bundle,
    precision: str,
    backend: str,
    batches: Sequence[int] | None,
    threads: int | None,
    gpu: int,
) -> list[Figures]:
    __tracebackhide__ = True
    from runtime.backends import BackendName, RunOptions
    from runtime.backends.precisions import check_precisions
    from runtime.bundle import Bundle
    from runtime.golden import GoldenInputs
    from runtime.golden.pictures import GoldenPictures
    from runtime.graphs import OpenGraphs
    from runtime.verify import default_batches, verify_golden

    bundle = reference if isinstance(reference, Bundle) else Bundle(Path(reference))
    name = BackendName.of(backend)
    check_precisions(bundle, name, [precision])
    pictures = GoldenPictures(GoldenInputs.of(bundle))
    with closing(OpenGraphs.open(bundle, name, RunOptions(threads=threads, gpu=gpu), precision)) as graphs:
        figures = verify_golden(bundle, graphs, batches or default_batches(bundle.spec), pictures)
    failed = [item for item in figures if not item.passed]
    if failed:
        command = ["stylegan-edge", "verify", str(bundle.path), "--precision", precision, "--backend", backend]
        command += ["--per-layer", "--report", "report.html"]
        raise ImagesDifferError(
            f"{bundle.path}: the images are not the reference's: {_told(failed)}; {_worst_golden(pictures)}. "
            f"To look further: {shlex.join(command)}"
        )
    return figures


def _told(failed: Sequence[Figures]) -> str:
    lines = [
        f"{item.graph} {item.precision}, batch {item.batch}: {', '.join(item.failures())}"
        for item in failed[:MOST_TOLD]
    ]
    more = len(failed) - len(lines)
    return "; ".join([*lines, *([f"and {more} comparisons more"] if more else [])])


def _worst_golden(pictures: GoldenPictures) -> str:
    worst: GoldenDrawing = pictures.worst(1)[0]
    seen = f"{worst.levels} levels" if worst.finite else "NaN or infinity"
    where = f"{seen} by {worst.graph} at batch {worst.batch}"
    return f"the worst is golden image {worst.image}, {pictures.golden.samples.describe(worst.image)} ({where})"
