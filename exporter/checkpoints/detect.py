"""Tell what a file is from its first bytes, never from its name."""

from __future__ import annotations

from enum import Enum

from runtime.errors import CheckpointError

HEAD_BYTES = 256
"""How much of a file is looked at."""

SUPPORTED = (
    "supported: NVIDIA pickles (StyleGAN and StyleGAN2 of TensorFlow, StyleGAN2-ADA, StyleGAN3), rosinality "
    "style-based-gan-pytorch and stylegan2-pytorch, stylegan-edge .safetensors"
)


class Container(str, Enum):
    """The containers that a checkpoint may come in."""

    PICKLE = "pickle"
    TORCH_ZIP = "torch zip archive"
    TORCH_STREAM = "torch stream"
    SAFETENSORS = "safetensors"


_TORCH_STREAM_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_FOREIGN = (
    (b"\x89HDF", "an HDF5 file (Keras or TensorFlow weights)"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"Rar!", "a RAR archive: unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it first"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"version https://git-lfs", "a git-lfs pointer: run 'git lfs pull' to fetch the file itself"),
    (b"<", "a web page: the download did not give the file"),
    (b"{", "a JSON file"),
    (b"\x08", "an ONNX model or another protocol buffer: it is exported already"),
)


def detect_container(head: bytes, size: int) -> Container:
    """Name the container of a file of `size` bytes that begins with `head`. Raises CheckpointError for any other."""
    if size == 0:
        raise CheckpointError(f"the file is empty; {SUPPORTED}")
    if head.startswith(b"PK\x03\x04"):
        return Container.TORCH_ZIP
    if head.startswith(_TORCH_STREAM_START):
        return Container.TORCH_STREAM
    if len(head) > 8 and head[8:9] == b"{":
        return Container.SAFETENSORS
    for magic, what in _FOREIGN:
        if head.lstrip().startswith(magic):
            raise CheckpointError(f"the file looks like {what}; {SUPPORTED}")
    # Binary pickles begin with PROTO; textual ones (protocol 0) with a global, a mark or a container.
    if head[:1] == b"\x80" or head[:1] in tuple(b"%c" % char for char in b"c(]}i"):
        return Container.PICKLE
    raise CheckpointError(f"the file is of an unknown kind (it begins with {head[:8]!r}); {SUPPORTED}")
