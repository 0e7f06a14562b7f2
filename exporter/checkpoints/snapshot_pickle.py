"""NVIDIA's pickles of all generations, read into plain data: PyTorch snapshots and TensorFlow networks."""

from __future__ import annotations

from typing import IO, Any

import numpy as np

from exporter.checkpoints import limits, nvidia, tensorflow
from exporter.checkpoints.detect import SUPPORTED
from exporter.checkpoints.module_tree import rebuild_module
from exporter.checkpoints.pickle_machine import AllowList, BoundedReader, empty_dictionary, load_pickle
from exporter.checkpoints.source import SourceFormat
from exporter.checkpoints.tensors import NUMPY_GLOBALS, TORCH_GLOBALS, StorageStreams
from runtime.errors import CheckpointError
from runtime.spec import GeneratorSpec


def _scalar_set(items: Any = (), *_: Any) -> set[Any]:
    if len(items) > limits.MAX_SET_ITEMS or not all(isinstance(item, (str, int)) for item in items):
        raise CheckpointError("the pickle is damaged: a set holds something else than a few names")
    return set(items)


_ALLOWED: AllowList = {
    **TORCH_GLOBALS,
    **NUMPY_GLOBALS,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): rebuild_module,
    ("collections", "OrderedDict"): empty_dictionary,
    ("dnnlib.util", "EasyDict"): empty_dictionary,
    ("builtins", "set"): _scalar_set,
    ("__builtin__", "set"): _scalar_set,
    (tensorflow.NETWORK.module, tensorflow.NETWORK.name): tensorflow.rebuild_network,
}


def read_snapshot_pickle(
    file: IO[bytes], size: int
) -> tuple[SourceFormat, tuple[GeneratorSpec, dict[str, np.ndarray], dict[str, str]]]:
    """Read a training snapshot: what it is, the specification, the generator's weights, and details.

    Raises UnsafeCheckpointError where the pickle names anything outside the allow-list, else CheckpointError.
    """
    allowed: AllowList = {**_ALLOWED, ("torch.storage", "_load_from_bytes"): StorageStreams()}
    value = load_pickle(BoundedReader(file, size), allowed)
    protocol = {"pickle protocol": _protocol(file)}
    if tensorflow.holds_networks(value):
        spec, weights, details = tensorflow.read_networks(value, size)
        return SourceFormat.NVIDIA_TENSORFLOW, (spec, weights, details | protocol)
    if not isinstance(value, dict):
        raise CheckpointError(f"the pickle holds a {type(value).__name__}, expected a training snapshot; {SUPPORTED}")
    spec, weights, details = nvidia.read_snapshot(value, size)
    return SourceFormat.NVIDIA_TORCH, (spec, weights, details | protocol)


def _protocol(file: IO[bytes]) -> str:
    file.seek(0)
    head = file.read(2)
    return str(head[1]) if head[:1] == b"\x80" else "0"
