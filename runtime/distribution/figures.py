"""Two generators' distributions side by side, judged by the error of sampling."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from runtime.distribution.measure import Distribution, NotFinite
from runtime.distribution.moments import GroupedMoments, Moments, frechet_distance
from runtime.distribution.paths import KEPT_PERCENTILES, PathLengths
from runtime.distribution.pixels import statistic_names
from runtime.distribution.separability import Separability
from runtime.parity import PIXEL_SCALE

ALLOWED_ERRORS = 1.0
"""Standard errors that a figure may be off. Both generators have the same inputs, so that chance is the same for both:
equal ones differ by rounding alone, far below this, and need no margin of three or more against false alarms."""
ONE_LEVEL = 1 / PIXEL_SCALE
"""Least standard deviation that a statistic of pixels is taken to have. A background that never changes has none, and
any rounding would be infinitely many standard errors; no picture shows less than a level."""
W_RESOLUTION = 1e-3
"""The same for a component of `w`, as a share of the root mean square deviation of all: some components hardly vary."""
MAX_ROUNDING = 0.5
"""Share of a path length from which on it is not judged: then it says more of rounding than of the generator."""
LARGER_STEP = "a larger --path-epsilon has less of it"
ITSELF = "the reference is this very graph; --reference CHECKPOINT compares it with PyTorch"


@dataclass(frozen=True)
class DistributionFigures:
    """One figure of two distributions.

    `reference` and `engine` are in the same unit as `difference`, `sampling_error` and `rounding`, the part of the
    engine's figure that its rounding may make; None where there is no such number. `passed` is None where the figure
    can't be judged; `note` says why, or which component it is.
    """

    figure: str
    precision: str
    samples: int
    reference: float | None
    engine: float | None
    difference: float | None
    sampling_error: float | None
    rounding: float | None
    passed: bool | None
    note: str


@dataclass(frozen=True)
class _Pair:
    """One figure of both, to be judged."""

    figure: str
    samples: int
    reference: float | None
    engine: float | None
    difference: float
    error: float
    rounding: float | None = None
    note: str = ""
    judged: bool = True

    def figures(self, precision: str) -> DistributionFigures:
        passed = self.difference <= ALLOWED_ERRORS * self.error if self.judged else None
        return DistributionFigures(
            self.figure,
            precision,
            self.samples,
            self.reference,
            self.engine,
            self.difference,
            self.error,
            self.rounding,
            passed,
            self.note,
        )


def compare(
    reference: Distribution | NotFinite, engine: Distribution | NotFinite, precision: str, itself: bool = False
) -> list[DistributionFigures]:
    """All figures of an engine of `precision` against the reference's, measured by the same samples.

    Where the engine is the reference `itself`, nothing is judged: it can't differ.
    """
    broken = [
        (who, one.what) for who, one in (("reference", reference), ("engine", engine)) if isinstance(one, NotFinite)
    ]
    if broken:
        note = "; ".join(f"NaN or infinity in {what} of the {who}" for who, what in broken)
        return [DistributionFigures("finite values", precision, 0, None, None, None, None, None, False, note)]
    assert isinstance(reference, Distribution)
    assert isinstance(engine, Distribution)
    figures = [pair.figures(precision) for pair in _pairs(reference, engine)]
    return [dataclasses.replace(item, passed=None, note=ITSELF) for item in figures] if itself else figures


def all_equal(figures: Iterable[DistributionFigures]) -> bool:
    """Whether no figure that could be judged is beyond its sampling error."""
    return all(item.passed is not False for item in figures)


def _pairs(reference: Distribution, engine: Distribution) -> Iterator[_Pair]:
    names = [f"w[{index}]" for index in range(len(reference.w.total().mean))]
    least = W_RESOLUTION * math.sqrt(float((reference.w.total().deviation ** 2).mean()))
    yield from _moments("w", reference.w, engine.w, names, least)
    yield from _moments("pixels", reference.pixels, engine.pixels, statistic_names(reference.channels), ONE_LEVEL)
    yield _path("path length in Z", reference.path_z, engine.path_z)
    yield _path("path length in W", reference.path_w, engine.path_w)
    for space, a, b in (
        ("Z", reference.separability_z, engine.separability_z),
        ("W", reference.separability_w, engine.separability_w),
    ):
        if a is not None and b is not None:
            yield _separability(f"separability in {space}", reference.samples, a, b)


def _moments(
    what: str, reference: GroupedMoments, engine: GroupedMoments, names: list[str], least: float
) -> Iterator[_Pair]:
    a, b = reference.total(), engine.total()
    yield _mean(f"mean of {what}", a, b, names, least)
    yield _Pair(
        f"covariance of {what}",
        a.count,
        float(np.linalg.norm(a.covariance)),
        float(np.linalg.norm(b.covariance)),
        float(np.linalg.norm(a.covariance - b.covariance)),
        reference.covariance_error(),
        note="Frobenius norms",
    )
    distance = frechet_distance(a, b)
    yield _Pair(f"Fréchet distance of {what}", a.count, None, None, distance, reference.frechet_error())


def _mean(figure: str, a: Moments, b: Moments, names: list[str], least: float) -> _Pair:
    """The component of the mean that is off by most standard errors."""
    errors = np.maximum(a.deviation, least) / math.sqrt(a.count)
    differences = np.abs(a.mean - b.mean)
    worst = int((differences / np.where(errors > 0, errors, 1)).argmax())
    return _Pair(
        figure,
        a.count,
        float(a.mean[worst]),
        float(b.mean[worst]),
        float(differences[worst]),
        float(errors[worst]),
        note=f"{names[worst]}, the worst of {len(names)}",
    )


def _path(figure: str, a: PathLengths, b: PathLengths) -> _Pair:
    """Means of the paths that the reference's percentiles keep, the same of both."""
    low, high = np.percentile(a.lengths, KEPT_PERCENTILES)
    kept = (a.lengths >= low) & (a.lengths <= high)
    bent = kept[: len(a.bends)]
    lengths = [float(one.lengths[kept].mean()) for one in (a, b)]
    bends = [max(0.0, float(one.bends[bent].mean())) for one in (a, b)]
    parts = [float(one.lengths[: len(a.bends)][bent].mean()) for one in (a, b)]
    # What bends the path itself bends both alike: what is more of it is rounding.
    own, added = bends[0], max(0.0, bends[1] - bends[0])
    error = float(a.lengths[kept].std(ddof=1)) / math.sqrt(kept.sum())
    difference = abs(lengths[1] - lengths[0])
    shares = [min(1.0, rounding / part) if part > 0 else 0.0 for rounding, part in zip((own, added), parts)]
    note = _why_not_judged(shares, difference, error, added)
    return _Pair(
        figure, int(kept.sum()), lengths[0], lengths[1], difference, error, rounding=added, note=note, judged=not note
    )


def _why_not_judged(shares: list[float], difference: float, error: float, rounding: float) -> str:
    """Why a path length says nothing; empty where it does."""
    own, added = shares
    if own > MAX_ROUNDING:
        return f"{own:.0%} of the reference's may be rounding, or its paths' own bend: try --path-epsilon 1e-4 to 1e-2"
    if added > MAX_ROUNDING:
        return f"{added:.0%} of the engine's may be rounding: {LARGER_STEP}"
    if ALLOWED_ERRORS * error < difference <= ALLOWED_ERRORS * error + rounding:
        return f"rounding alone may make the difference: {LARGER_STEP}"
    return ""


def _separability(figure: str, samples: int, a: Separability, b: Separability) -> _Pair:
    """Judged where the reference's score means something: an engine whose does not has lost what there was to tell."""
    difference = abs(a.score - b.score)
    return _Pair(figure, samples, a.score, b.score, difference, a.error, note=a.note or b.note, judged=not a.note)
