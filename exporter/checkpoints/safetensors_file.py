"""Our own checkpoint file: safetensors, with the specification in its metadata. Data only, nothing to execute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from exporter.checkpoints import limits
from exporter.checkpoints.checkpoint import Checkpoint
from exporter.checkpoints.detect import SUPPORTED
from exporter.checkpoints.layout import to_float32
from exporter.checkpoints.shown import quoted, shown
from runtime.errors import BundleError, CheckpointError
from runtime.extras import require
from runtime.output import write_atomically
from runtime.spec import GeneratorSpec

METADATA_KEY = "stylegan-edge"
DTYPES = ("F32", "F16", "F64")
"""Number types that are read; `write_safetensors` writes the first."""
FORMAT_VERSION = 2
"""Version of the metadata document below."""
READ_VERSIONS = (1, 2)
"""Versions that are read. What the first lacks has a default in the specification."""
CONVERT_AGAIN = "convert the checkpoint again"


def write_safetensors(checkpoint: Checkpoint, path: Path, overwrite: bool = False) -> None:
    """Write a checkpoint's weights and specification. Raises OutputError where `path` exists or can't be written."""
    numpy_format = require("safetensors.numpy")
    metadata = {"format_version": FORMAT_VERSION, "specification": checkpoint.spec.to_json()}
    weights = {name: np.asarray(array, order="C") for name, array in sorted(checkpoint.weights.items())}
    data = numpy_format.save(weights, metadata={METADATA_KEY: json.dumps(metadata, sort_keys=True)})
    write_atomically(path, data, overwrite=overwrite)


def read_safetensors(path: Path, head: bytes) -> tuple[GeneratorSpec, dict[str, np.ndarray], dict[str, str]]:
    """Read what `write_safetensors` wrote. Raises CheckpointError for any other safetensors file."""
    if int.from_bytes(head[:8], "little") > limits.MAX_HEADER_BYTES:
        raise CheckpointError(f"the safetensors header announces over {limits.MAX_HEADER_BYTES:,} bytes")
    safetensors = require("safetensors")
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            document = metadata.get(METADATA_KEY)
            if document is None:
                raise CheckpointError(f"the safetensors file has no specification of ours in its metadata; {SUPPORTED}")
            spec, version = _read_document(document)
            weights = {name: _read_tensor(file, name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"the safetensors file is truncated or damaged ({shown(str(error))})") from None
    return spec, weights, {"format version": str(version)}


def _read_tensor(file: Any, name: str) -> np.ndarray:
    dtype = file.get_slice(name).get_dtype()
    if dtype not in DTYPES:
        raise CheckpointError(f"the tensor {shown(name)} has type {quoted(dtype)}, expected one of {', '.join(DTYPES)}")
    return to_float32(file.get_tensor(name))


def _read_document(document: str) -> tuple[GeneratorSpec, int]:
    """The specification, and the version of the document that it stands in."""
    try:
        data = json.loads(document)
        version = data["format_version"]
        if type(version) is not int or version not in READ_VERSIONS:
            newer = isinstance(version, int) and version > FORMAT_VERSION
            raise CheckpointError(
                f"the safetensors file has format version {quoted(version)}, this release reads "
                f"{' and '.join(map(str, READ_VERSIONS))}; {'upgrade stylegan-edge' if newer else CONVERT_AGAIN}"
            )
        return GeneratorSpec.from_json(data["specification"]), version
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"the safetensors metadata is malformed ({shown(str(error))}); {CONVERT_AGAIN}") from None
    except BundleError as error:
        raise CheckpointError(f"{error}; {CONVERT_AGAIN}") from None
