"""A bundle on disk: opened only after every file in it has proved to be the one that was exported."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from runtime.errors import BundleError, IntegrityError, quoted
from runtime.files import sha256_of_path
from runtime.manifest import MANIFEST, MAX_MANIFEST_BYTES, FileInfo, GraphInfo, Manifest
from runtime.mixing import Mask
from runtime.names import NAME_RULE, is_name
from runtime.parity import TOLERANCES
from runtime.spec import TRANSFORM, GeneratorSpec, noise_name

CONSTANTS = "constants.npz"
GOLDEN = "golden.npz"
DIRECTIONS = "directions.npz"
MAX_DIRECTIONS = 1000
"""Directions that a bundle may hold: more than anybody looks through."""
Shape = tuple[int | None, ...]
_AGAIN = "copy the bundle again, or export it again"


class Bundle:
    """The folder that export writes. Its files are checked against the manifest's digests when it is opened."""

    def __init__(self, path: str | Path) -> None:
        """Open and check a bundle.

        Raises BundleError where it is missing, incomplete or of another format version, IntegrityError where a file
        is not the one that was exported.
        """
        self.path = Path(path)
        self.manifest = self._read_manifest()
        for name in (CONSTANTS, GOLDEN):
            if name not in self.manifest.files:
                raise BundleError(f"{self.path / MANIFEST}: does not list {name}; {_AGAIN}")
        for name in ("mapping", "synthesis"):  # in float32: what everything else is judged by
            self.graph(name)
        if self.manifest.options.split is not None:
            for name in ("head", "tail"):
                for precision in self.precisions:
                    self.graph(name, precision)
        for name, info in self.manifest.files.items():
            self._check_file(name, info)

    @property
    def spec(self) -> GeneratorSpec:
        """The generator's specification."""
        return self.manifest.specification

    @property
    def mask(self) -> Mask:
        """The mixing mask that the synthesis graph holds."""
        options = self.manifest.options
        return Mask(np.array(options.mask, np.float64), options.sources)

    def graph(self, name: str, precision: str = "fp32") -> GraphInfo:
        """A graph's description. Raises BundleError, naming what there is, where the bundle lacks it."""
        key = graph_key(name, precision)
        if key not in self.manifest.graphs:
            found = ", ".join(sorted(self.manifest.graphs))
            raise BundleError(f"{self.path}: has no graph {key!r}, only {found}; export the bundle again with it")
        return self.manifest.graphs[key]

    def graph_path(self, name: str, precision: str = "fp32") -> Path:
        """Where a graph's ONNX file is."""
        return self.path / self.graph(name, precision).file

    @property
    def precisions(self) -> list[str]:
        """The precisions that it holds synthesis in, float32 first."""
        return [name for name in TOLERANCES if graph_key("synthesis", name) in self.manifest.graphs]

    def precision_of(self, name: str, precision: str) -> str:
        """The precision in which a graph is run with others of `precision`: mapping stays in float32."""
        own = name == "mapping" and graph_key(name, precision) not in self.manifest.graphs
        return "fp32" if own else precision

    @cached_property
    def constants(self) -> dict[str, np.ndarray]:
        """`w_avg` [w_dim], the checkpoint's own noise, `noise_00` [H, W], ..., and transform [3, 3]; float32.

        Nobody can write into them, so that they are handed on without a copy: at 1024 px noise has 11 MB.
        """
        spec = self.spec
        shapes: dict[str, Shape] = {"w_avg": (spec.w_dim,)}
        shapes |= {noise_name(index): shape for index, shape in enumerate(spec.noise_shapes)}
        if spec.takes_transform:
            shapes[TRANSFORM] = (3, 3)
        return {name: _frozen(array) for name, array in self.read_arrays(CONSTANTS, shapes).items()}

    @property
    def w_avg(self) -> np.ndarray:
        """Mean of `w`, float32 [w_dim]."""
        return self.constants["w_avg"]

    @property
    def stored_noise(self) -> list[np.ndarray]:
        """The checkpoint's own noise, float32 [H, W] a noisy layer."""
        return [self.constants[noise_name(index)] for index in range(len(self.spec.noise_shapes))]

    @property
    def stored_transform(self) -> np.ndarray | None:
        """The checkpoint's own transform, float32 [3, 3]; None where the generator takes none."""
        return self.constants[TRANSFORM] if self.spec.takes_transform else None

    @cached_property
    def directions(self) -> dict[str, np.ndarray]:
        """Named directions in W for edits, float32 [w_dim] or [num_ws, w_dim] each, by name; none where it has none."""
        if DIRECTIONS not in self.manifest.files:
            return {}
        arrays = self._load_arrays(DIRECTIONS)
        check_directions(self.spec, arrays, str(self.path / DIRECTIONS))
        return {name: _frozen(array) for name, array in sorted(arrays.items())}

    def read_arrays(self, name: str, shapes: Mapping[str, Shape]) -> dict[str, np.ndarray]:
        """The arrays of one of the bundle's `.npz` files; None in a shape is any length.

        Raises BundleError where one is missing or of another shape. Pickled objects are refused.
        """
        arrays = self._load_arrays(name)
        for key, shape in shapes.items():
            found = arrays[key].shape if key in arrays else None
            if found is None or len(found) != len(shape) or any(n not in (None, m) for n, m in zip(shape, found)):
                told = "no such array" if found is None else f"shape {list(found)}"
                wanted = ", ".join("any" if size is None else str(size) for size in shape)
                raise BundleError(f"{self.path / name}: {key} has {told}, expected [{wanted}]; {_AGAIN}")
        return {key: arrays[key] for key in shapes}

    def _load_arrays(self, name: str) -> dict[str, np.ndarray]:
        with (self.path / name).open("rb") as file:
            try:
                with np.load(file, allow_pickle=False) as arrays:
                    return {key: arrays[key] for key in arrays.files}
            except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
                raise BundleError(f"{self.path / name}: can't be read ({error}); {_AGAIN}") from None

    def _read_manifest(self) -> Manifest:
        path = self.path / MANIFEST
        if not self.path.exists():
            raise BundleError(f"{self.path}: no such folder; expected a bundle, as 'stylegan-edge export' writes it")
        if not self.path.is_dir():
            raise BundleError(
                f"{self.path}: is a file, expected a bundle's folder; "
                f"make one with 'stylegan-edge export {self.path} -o BUNDLE'"
            )
        if not path.is_file():
            raise BundleError(f"{self.path}: has no {MANIFEST}, so it is not a bundle; expected what 'export' writes")
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise BundleError(f"{path}: has {path.stat().st_size:,} bytes, over the limit of {MAX_MANIFEST_BYTES:,}")
        try:
            return Manifest.from_text(path.read_text("utf-8"), str(path))
        except UnicodeDecodeError:
            raise BundleError(f"{path}: is not UTF-8 text; {_AGAIN}") from None

    def _check_file(self, name: str, info: FileInfo) -> None:
        path = self.path / name
        if not path.is_file() or path.is_symlink():
            raise IntegrityError(f"{path}: is missing from the bundle; {_AGAIN}")
        if path.stat().st_size != info.size:
            raise IntegrityError(f"{path}: has {path.stat().st_size} bytes, expected {info.size}; {_AGAIN}")
        if sha256_of_path(path) != info.sha256:
            raise IntegrityError(f"{path}: its sha256 is not the manifest's: the file was changed or damaged; {_AGAIN}")


def check_directions(spec: GeneratorSpec, directions: Mapping[str, np.ndarray], where: str) -> None:
    """Raise BundleError unless these are finite float32 directions, [w_dim] or [num_ws, w_dim], named in a word."""
    if len(directions) > MAX_DIRECTIONS:
        raise BundleError(f"{where}: holds {len(directions)} directions, over the limit of {MAX_DIRECTIONS}")
    shapes = ((spec.w_dim,), (spec.num_ws, spec.w_dim))
    for name, array in directions.items():
        if not is_name(name):
            raise BundleError(f"{where}: the name {quoted(name)} is not {NAME_RULE}")
        if array.dtype != np.float32 or array.shape not in shapes or not np.isfinite(array).all():
            raise BundleError(
                f"{where}: {name} is {array.dtype} {list(array.shape)}, expected finite float32 "
                f"[{spec.w_dim}] or [{spec.num_ws}, {spec.w_dim}]"
            )


def graph_key(name: str, precision: str) -> str:
    """The manifest's key of a graph: its name, and its precision where that is not float32."""
    return name if precision == "fp32" else f"{name}.{precision}"


def _frozen(array: np.ndarray) -> np.ndarray:
    """An array that nobody can write into, through what it is a view of neither."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner.setflags(write=False)
        owner = owner.base
    return array
