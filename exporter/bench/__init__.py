"""The PyTorch reference as a contestant beside a bundle's graphs: eager, compiled, and exported as it stands."""

from __future__ import annotations

from exporter.bench.reference import BASELINE, matching_checkpoint, reference_entrants

__all__ = ["BASELINE", "matching_checkpoint", "reference_entrants"]
