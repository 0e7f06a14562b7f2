"""The mean of `w`, for checkpoints that do not store it."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from exporter.checkpoints.checkpoint import Checkpoint
from exporter.checkpoints.layout import MEAN_W
from runtime.latents import one_hot

SAMPLES = 65_536
"""Samples averaged: the error of the mean is 1/256 of the spread of `w`."""
SEED = 0
_CHUNK = 4096


def compute_mean_w(checkpoint: Checkpoint) -> np.ndarray:
    """Mean of `w` over seeded samples, float32 [w_dim]; labels, where the generator takes them, drawn uniformly."""
    spec = checkpoint.spec
    zero = np.zeros(spec.w_dim, np.float32)
    network = dataclasses.replace(checkpoint, weights={**checkpoint.weights, MEAN_W: zero}).build()
    random = np.random.RandomState(SEED)
    total = np.zeros(spec.w_dim, np.float64)
    for _ in range(SAMPLES // _CHUNK):
        z = torch.from_numpy(random.randn(_CHUNK, spec.z_dim).astype(np.float32))
        labels = one_hot(random.randint(spec.c_dim, size=_CHUNK), spec.c_dim) if spec.c_dim else None
        with torch.no_grad():
            w = network.mapping(z, None if labels is None else torch.from_numpy(labels))
        total += w.double().sum(dim=0).numpy()
    return (total / SAMPLES).astype(np.float32)
