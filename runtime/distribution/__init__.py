"""Whether two generators draw the same distribution: moments, perceptual path length, linear separability."""

from runtime.distribution.drawer import Drawer, GraphDrawer
from runtime.distribution.figures import DistributionFigures, all_equal, compare
from runtime.distribution.measure import Distribution, Instruments, NotFinite, measure
from runtime.distribution.sampling import Sampling

__all__ = [
    "Distribution",
    "DistributionFigures",
    "Drawer",
    "GraphDrawer",
    "Instruments",
    "NotFinite",
    "Sampling",
    "all_equal",
    "compare",
    "measure",
]
