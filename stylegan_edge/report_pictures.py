"""The pictures of a report: which are shown, how large, and the frames that compare them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from runtime.bundle import Bundle
from runtime.golden.pictures import GoldenDrawing, GoldenPictures
from runtime.images import png_bytes
from runtime.parity import to_pixels
from runtime.parity.picture import ImagePair, PictureComparison
from runtime.parity.views import Views, views
from stylegan_edge.draw_again import draw_again
from stylegan_edge.page import bullets, command, data_uri, heading
from stylegan_edge.picture_report import describe_figures, describe_place, describe_sample

MAX_SIDE = 512
"""Pixels a side of a picture that is shown whole. Four lossless PNGs of 1024 px are 8 MB of a page, four of this 2 MB;
larger ones are shown in means of pixels, and in their own pixels around the largest difference."""
WINDOW = 256
"""Pixels a side of what is shown around it."""
GOLDEN = 3
"""Golden images that are shown of each precision, the worst first."""
SMALL = 256
"""Pictures up to this side are enlarged with their pixels visible."""


@dataclass(frozen=True)
class Shown:
    """A comparison to be shown. `lines` say what it is, `command` draws it again (None: none does)."""

    title: str
    lines: tuple[str, ...]
    command: str | None
    views: Views


def worst_samples(bundle: Bundle, comparisons: Sequence[PictureComparison]) -> list[Shown]:
    """The worst sample of each precision: as it is, or where that is too large, in part and in means."""
    return [shown for comparison in comparisons for shown in _worst(bundle, comparison)]


def _worst(bundle: Bundle, comparison: PictureComparison) -> list[Shown]:
    worst, pair = comparison.worst, comparison.worst_pair
    title = f"Worst sample, {worst.precision}"
    lines = (f"{describe_sample(worst.sample)}; {describe_place(worst)}", describe_figures(worst.figures))
    again = draw_again(bundle.path, bundle.spec, bundle.manifest.options, worst.sample, worst.precision)
    side = pair.reference.shape[-1]
    if side <= MAX_SIDE:
        return [Shown(title, lines, again, views(pair))]
    factor = -(-side // MAX_SIDE)
    y, x = _window(pair)
    part = f"{WINDOW} x {WINDOW} px at x {x}, y {y} of {side}, around the largest difference, as they are"
    means = f"the whole image of {side} px, in means of {factor} x {factor} px"
    return [
        Shown(title, (*lines, part), again, views(_cut(pair, y, x))),
        Shown(f"{title}, whole", (means,), None, views(_reduced(pair, factor))),
    ]


def golden_images(precision: str, pictures: GoldenPictures) -> list[Shown]:
    """The golden images that are furthest from what is stored of them."""
    return [_golden(precision, pictures, drawing) for drawing in pictures.worst(GOLDEN)]


def _golden(precision: str, pictures: GoldenPictures, drawing: GoldenDrawing) -> Shown:
    golden = pictures.golden
    off = f"{drawing.levels} levels at most" if drawing.finite else "NaN or infinity"
    lines = [
        f"{golden.samples.describe(drawing.image)}; graph {drawing.graph}, batch {drawing.batch}",
        f"off what the bundle stores: {off}",
    ]
    tiles, tile = golden.samples.tiles.shape[1], golden.samples.tile
    if tiles > 1:
        lines.append(f"stored are {tiles} tiles of {tile} px, shown in their places, and means of blocks around them")
    return Shown(f"Golden image {drawing.image}, {precision}", tuple(lines), None, views(drawing.pair))


def _window(pair: ImagePair) -> tuple[int, int]:
    """Top left of the window around the largest difference, inside the image."""
    with np.errstate(invalid="ignore"):
        off = np.nan_to_num(np.abs(pair.measured - pair.reference).max(axis=0), nan=np.inf)
    place = np.unravel_index(int(off.argmax()), off.shape)
    y, x = (int(np.clip(at - WINDOW // 2, 0, size - WINDOW)) for at, size in zip(place, off.shape))
    return y, x


def _cut(pair: ImagePair, y: int, x: int) -> ImagePair:
    rows, columns = slice(y, y + WINDOW), slice(x, x + WINDOW)
    return ImagePair(pair.reference[:, rows, columns], pair.measured[:, rows, columns], pair.pixels[rows, columns])


def _reduced(pair: ImagePair, factor: int) -> ImagePair:
    """Means of `factor` x `factor` pixels; what is left over at the right and the bottom is left out."""
    small = []
    for image in (pair.reference, pair.measured):
        channels, height, width = (image.shape[0], *(size // factor for size in image.shape[1:]))
        cut = image[:, : height * factor, : width * factor].reshape(channels, height, factor, width, factor)
        small.append(cut.mean(axis=(2, 4)))
    return ImagePair(small[0], small[1], to_pixels(small[1][None])[0])


def frames(pictures: Sequence[Shown]) -> str:
    """All of them: each a frame that a slider divides between reference and measured, the difference, and the heat."""
    return "\n".join(_frame(shown, number) for number, shown in enumerate(pictures))


def _frame(shown: Shown, number: int) -> str:
    again = "" if shown.command is None else command(shown.command)
    drawn, what = shown.views, escape(shown.title)
    kind = ' class="small"' if drawn.reference.shape[0] <= SMALL else ""
    gain, top = drawn.difference.gain, drawn.heat.top
    return (
        f'<section class="picture">{heading(shown.title, 3)}{bullets(shown.lines)}{again}<div class="views">'
        f'<figure class="compare"><div class="frame">{_image(drawn.measured, f"{what}: measured", kind)}'
        f'<div class="over">{_image(drawn.reference, f"{what}: reference", kind)}</div></div>'
        f'<label for="slider{number}">Left reference, right measured</label>'
        f'<input id="slider{number}" type="range" min="0" max="100" value="50" '
        'aria-valuetext="50 % reference"></figure>'
        f"<figure>{_image(drawn.difference.pixels, f'{what}: difference, amplified', kind)}"
        f"<figcaption>Difference x {gain:,}: grey where nothing differs, lighter where more was measured</figcaption>"
        f"</figure><figure>{_image(drawn.heat.pixels, f'{what}: heat map of the difference', kind)}"
        f"<figcaption>Heat: dark where nothing differs, yellow from {top:.3g} levels on</figcaption></figure>"
        "</div></section>"
    )


def _image(pixels: np.ndarray, alt: str, kind: str) -> str:
    height, width = pixels.shape[:2]
    return f'<img{kind} alt="{alt}" width="{width}" height="{height}" src="{data_uri("image/png", png_bytes(pixels))}">'
