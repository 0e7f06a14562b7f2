"""`manifest.json`: what a bundle holds, how it was made, and the digest of every file in it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from runtime.errors import BundleError, IntegrityError, quoted
from runtime.parity import Figures
from runtime.records import digest_of, from_plain, to_plain
from runtime.spec import GeneratorSpec

FORMAT_VERSION = 3
"""Version of the bundle's layout. A reader refuses any other."""
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 4 << 20
"""A manifest of the largest network has about 20 KB."""

_FILE_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")


class NoiseMode(str, Enum):
    """Where a synthesis graph's noise comes from."""

    EXPLICIT = "explicit"
    CONST = "const"
    NONE = "none"


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a graph; a named dimension is free."""

    name: str
    dtype: str
    shape: tuple[Any, ...]


@dataclass(frozen=True)
class GraphInfo:
    """One ONNX file: its interface, precision, opset and size in nodes."""

    file: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    precision: str
    opset: int
    nodes: int


@dataclass(frozen=True)
class FileInfo:
    """What a file of the bundle must be."""

    sha256: str
    size: int


@dataclass(frozen=True)
class BakedStyle:
    """Rows of `ws` that the graph holds: those of a seed's latent, truncated by psi, of a class where there are any."""

    seed: int
    psi: float
    label: int | None
    rows: tuple[int, ...]


@dataclass(frozen=True)
class ExportOptions:
    """How synthesis was exported: noise, the mixing mask [num_ws, K] with the names of its sources, baked styles.

    `split` is how many rows of `ws` may be fixed for a session: there is a head for them, and a tail (None: neither).
    `float_layers` are those that int8 and float8 leave in float32.
    """

    noise: NoiseMode
    mask: tuple[tuple[float, ...], ...]
    sources: tuple[str, ...]
    identity_mask: bool
    baked: tuple[BakedStyle, ...]
    split: int | None = None
    tuned_for: str = "cpu"
    skipped_passes: tuple[str, ...] = ()
    float_layers: tuple[str, ...] = ()

    @property
    def latents_per_image(self) -> int:
        """How many latents one image is made of: one a source, or one where every row is its own source."""
        return 1 if self.identity_mask else len(self.sources)


@dataclass(frozen=True)
class Provenance:
    """Where a bundle comes from.

    `mean_w` and `noise` say whether the checkpoint stored the mean of w and the noise, or export made them.
    """

    checkpoint: str
    checkpoint_sha256: str
    checkpoint_format: str
    mean_w: str
    noise: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Manifest:
    """The whole document. `parity` holds what export measured, by graph and precision."""

    format_version: int
    specification: GeneratorSpec
    options: ExportOptions
    graphs: dict[str, GraphInfo]
    parity: tuple[Figures, ...]
    provenance: Provenance
    files: dict[str, FileInfo]

    def __post_init__(self) -> None:
        for name in self.files:
            if not _FILE_NAME.match(name):
                raise BundleError(f"{MANIFEST}: the file name {name!r} leaves the bundle; expected a plain name")
        for graph in self.graphs.values():
            if graph.file not in self.files:
                raise BundleError(f"{MANIFEST}: the graph file {graph.file!r} has no digest")

    def to_text(self) -> str:
        """The document as JSON text, with the digest of its own content."""
        content = to_plain(self)
        return json.dumps({**content, "digest": digest_of(content)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_text(cls, text: str, where: str) -> Manifest:
        """Read what `to_text` wrote.

        Raises BundleError where the document is malformed or of another format version, IntegrityError where its
        content is not what its digest says.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{where}: not JSON ({error}); export the bundle again") from None
        version = content.get("format_version") if isinstance(content, dict) else None
        if not isinstance(version, int):
            raise BundleError(f"{where}: has no format_version; expected the manifest of a bundle")
        if version != FORMAT_VERSION:
            raise BundleError(
                f"{where}: has format_version {quoted(version)}, this release reads {FORMAT_VERSION}; "
                f"{'upgrade stylegan-edge' if version > FORMAT_VERSION else 'export the bundle again'}"
            )
        digest = content.pop("digest", None)
        if digest != digest_of(content):
            raise IntegrityError(f"{where}: its content is not what its digest says; copy or export the bundle again")
        return from_plain(cls, content, where)
