"""Bundles of every kind that a repository may be made of."""

from __future__ import annotations

KINDS = ("stylegan1", "stylegan2", "mixed", "stylegan3")
"""StyleGAN truncates two rows of its own, StyleGAN3 stores a transform. The mixed one is a StyleGAN2 with all else:
classes, grey images, three sources, noise inside, float16."""
MASK = "A:0-2,B*0.5+A*0.5:3,C:4-5"
"""Three sources, two of them tied together by a blend."""
PRECISIONS = {"mixed": "fp16"}
"""Of synthesis, where it is not float32."""
MAX_BATCH = 4
