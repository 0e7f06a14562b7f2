"""Golden samples, drawn by the reference: the images that a bundle is judged by, at export and ever after."""

from exporter.golden.cases import MAX_IMAGES, Case, affordable_images
from exporter.golden.draw import Reference, draw_reference

__all__ = ["MAX_IMAGES", "Case", "Reference", "affordable_images", "draw_reference"]
