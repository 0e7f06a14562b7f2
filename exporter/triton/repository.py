"""Write a Triton model repository: mapping, the step after it, synthesis, and an ensemble of the three."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exporter.triton import readme
from exporter.triton.models import VERSION, Ensemble, Model, Platform, Step, Tensor
from exporter.triton.plans import Plan, find_plan
from exporter.triton.step_graph import PSI, build_step, style_names
from runtime.bundle import Bundle
from runtime.engine_record import MAX_BATCH
from runtime.errors import InputError, OutputError
from runtime.files import sha256_of_path
from runtime.generator import default_batch
from runtime.manifest import MANIFEST
from runtime.output import explain_os_errors, move_into_place, move_together, staging_folder
from runtime.parity import BF16, FP32
from runtime.spec import latent_names

CONFIG = "config.pbtxt"
CLIENT = "client.py"
README = "README.md"
ORIGIN = "bundle.json"
"""What the models were made of. It keeps the ensemble's version folder from being empty, which object stores lose."""
MAX_NAME = 100
"""Characters of a name: with the endings of its parts far from the 255 that a folder's name may have."""

_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")


@dataclass(frozen=True)
class Repository:
    """What was written: the models, the ensemble last. `plan` is None where synthesis is an ONNX graph."""

    path: Path
    models: tuple[Model, ...]
    ensemble: Ensemble
    plan: Plan | None

    @property
    def names(self) -> list[str]:
        """The names of the models, each a folder; what depends on others comes after them."""
        return [*(model.name for model in self.models), self.ensemble.name]


def write_repository(
    bundle: Bundle,
    path: str | Path,
    name: str | None = None,
    precision: str = FP32,
    platform: Platform = Platform.ONNXRUNTIME,
    max_batch: int | None = None,
    engine: str | None = None,
    force: bool = False,
) -> Repository:
    """Write a bundle's models at `path`: a new repository, or beside the other models of one that is there.

    `name` is the ensemble's (None: that of the bundle's folder); the others are `NAME_mapping`, `NAME_truncation` and
    `NAME_synthesis`. `precision` is that of synthesis. `platform` "tensorrt" takes the plan of the bundle's engine,
    `engine` its folder where several fit. `max_batch` bounds what runs at once (None: what suits the generator, or all
    that the plan takes). `force` replaces models of these names, and no others.

    Raises InputError for a wrong argument, BundleError for a precision that the bundle lacks, EngineMismatchError
    where no engine fits, OutputError where the models can't be written; then nothing is left behind or changed.
    """
    path = Path(path)
    name = _check_name(name or bundle.path.resolve().name)
    plan = _choose_plan(bundle, precision, platform, engine)
    repository = _plan_models(bundle, path, name, precision, _check_batch(bundle, max_batch, plan), plan)
    _check_target(repository, force)
    step = build_step(bundle)
    existed = path.exists()
    with staging_folder(_staging_target(path, name)) as folder:
        for model in repository.models:
            home = _write_config(folder, model)
            _write_file(bundle, model, home / model.platform.file, precision, plan, step)
        _write_ensemble(folder, repository, bundle, precision)
        if existed:
            with explain_os_errors(path):
                move_together(folder, [path / item for item in repository.names])
        else:
            move_into_place(folder, path)
    return repository


def _check_name(name: str) -> str:
    if len(name) > MAX_NAME or not _NAME.match(name):
        raise InputError(
            f"model name {name[:MAX_NAME]!r} can't be a folder and a part of an URL, expected up to {MAX_NAME} letters "
            "without accents, digits, '_', '-' and '.'; give another --name"
        )
    return name


def _choose_plan(bundle: Bundle, precision: str, platform: Platform, engine: str | None) -> Plan | None:
    if platform is Platform.ONNXRUNTIME and precision == BF16:
        raise InputError(f"ONNX Runtime has no convolutions in {BF16}; use --platform tensorrt, or another --precision")
    bundle.graph("synthesis", precision)
    if platform is Platform.TENSORRT:
        return find_plan(bundle, precision, engine)
    if engine is not None:
        raise InputError("an engine was given, but --platform onnxruntime runs graphs; add --platform tensorrt")
    return None


def _check_batch(bundle: Bundle, max_batch: int | None, plan: Plan | None) -> int:
    most = plan.profile.most if plan else MAX_BATCH
    if max_batch is None:
        return most if plan else default_batch(bundle.spec)
    if not 1 <= max_batch <= most:
        whose = f", all that the engine {plan.engine.folder.name} takes" if plan else ""
        raise InputError(f"max batch is {max_batch}, expected 1 to {most}{whose}")
    return max_batch


def _plan_models(
    bundle: Bundle, path: Path, name: str, precision: str, max_batch: int, plan: Plan | None
) -> Repository:
    mapping, synthesis = bundle.graph("mapping"), bundle.graph("synthesis", precision)
    latents = latent_names(bundle.manifest.options.latents_per_image)
    styles = style_names(len(latents))
    given = tuple(Tensor.of(item) for item in mapping.inputs)
    w = Tensor.of(mapping.outputs[0])
    own = tuple(Tensor.of(item) for item in synthesis.inputs)
    images = tuple(Tensor.of(item) for item in synthesis.outputs)
    psi = Tensor(PSI, "float32", (bundle.spec.num_ws,))
    sizes = {max_batch}
    if plan is not None and 1 < plan.profile.typical < max_batch:
        sizes.add(plan.profile.typical)  # what it is fastest at
    first = Model(f"{name}_mapping", given, (w,), max_batch, (max_batch,))
    renamed = tuple(Tensor(item, w.dtype, w.dims) for item in styles)
    middle = Model(f"{name}_truncation", (*renamed, psi), own, max_batch, (max_batch,))
    last = Model(f"{name}_synthesis", own, images, max_batch, tuple(sorted(sizes)))
    if plan is not None:
        last = Model(last.name, own, images, max_batch, last.preferred, Platform.TENSORRT, plan.number)
    z, *labels = given
    steps = (
        *(_mapping_step(first, latent, style) for latent, style in zip(latents, styles)),
        Step(middle, _same(middle.inputs), _same(own)),
        Step(last, _same(own), _same(images)),
    )
    inputs = (*(Tensor(item, z.dtype, z.dims) for item in latents), *labels, psi)
    return Repository(path, (first, middle, last), Ensemble(name, inputs, images, max_batch, steps), plan)


def _mapping_step(mapping: Model, latent: str, style: str) -> Step:
    """One latent through the mapping network, with the label that all share."""
    return Step(mapping, _same(mapping.inputs) | {"z": latent}, {"w": style})


def _same(tensors: tuple[Tensor, ...]) -> dict[str, str]:
    return {item.name: item.name for item in tensors}


def _check_target(repository: Repository, force: bool) -> None:
    """Refuse, before any work, a target that is no repository or has what may not be replaced."""
    path = repository.path
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_dir():
        raise OutputError(f"{path}: is a file, expected a model repository or the name of a new folder")
    if (path / MANIFEST).is_file():
        raise OutputError(f"{path}: is a bundle, expected a model repository or the name of a new folder")
    others = [item for item in _folders(path) if not _is_model(item)]
    if others:
        raise OutputError(
            f"{path}: is not a model repository: {others[0].name} in it is no model, and Triton would not start; "
            "choose another folder"
        )
    taken = [item for item in repository.names if (path / item).exists() or (path / item).is_symlink()]
    if taken and not force:
        raise OutputError(
            f"{path / taken[0]}: exists already; choose another --name or folder, or pass --force to replace it"
        )
    wrong = [item for item in taken if not (path / item).is_dir()]
    if wrong:
        raise OutputError(f"{path / wrong[0]}: is a file where a model's folder belongs; choose another --name")


def _staging_target(path: Path, name: str) -> Path:
    """What the models are written beside: the repository, for Triton takes every folder in it for a model.

    Nothing can be renamed into a mounted file system from outside, so there they are written beside each other.
    """
    return path / name if path.exists() and path.is_mount() else path.resolve()


def _folders(path: Path) -> Iterator[Path]:
    with explain_os_errors(path):
        yield from sorted(item for item in path.iterdir() if item.is_dir() and not item.name.startswith("."))


def _is_model(folder: Path) -> bool:
    """Whether Triton may take a folder for a model: it has a configuration, or a version for one to be made from."""
    return (folder / CONFIG).is_file() or any(item.is_dir() and item.name.isdecimal() for item in folder.iterdir())


def _write_config(folder: Path, model: Model | Ensemble) -> Path:
    """A model's folder with its configuration; returns the folder of its version."""
    home = folder / model.name / str(VERSION)
    home.mkdir(parents=True)
    (home.parent / CONFIG).write_text(model.config(), encoding="utf-8")
    return home


def _write_file(bundle: Bundle, model: Model, path: Path, precision: str, plan: Plan | None, step: bytes) -> None:
    kind = model.name.rpartition("_")[2]
    if kind == "truncation":
        path.write_bytes(step)
    elif kind == "synthesis" and plan is not None:
        path.write_bytes(plan.engine.read_plan(kind))
    else:
        shutil.copyfile(bundle.graph_path(kind, precision if kind == "synthesis" else FP32), path)


def _write_ensemble(folder: Path, repository: Repository, bundle: Bundle, precision: str) -> None:
    home = _write_config(folder, repository.ensemble)
    origin = {
        "bundle": bundle.path.resolve().name,
        "manifest_sha256": sha256_of_path(bundle.path / MANIFEST),
        "checkpoint": bundle.manifest.provenance.checkpoint,
        "checkpoint_sha256": bundle.manifest.provenance.checkpoint_sha256,
        "precision": precision,
        "engine": repository.plan.engine.folder.name if repository.plan else None,
    }
    (home / ORIGIN).write_text(json.dumps(origin, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    text = readme.describe(bundle, repository.ensemble, precision, repository.plan)
    (home.parent / README).write_text(text, encoding="utf-8")
    (home.parent / CLIENT).write_text(_client(repository.ensemble.name, bundle.spec.default_cutoff), encoding="utf-8")


def _client(name: str, cutoff: int | None) -> str:
    """The sample client, with this model's name and cutoff for defaults."""
    text = Path(__file__).with_name(CLIENT).read_text("utf-8")
    for line, filled in (
        ('MODEL = ""\n', f"MODEL = {json.dumps(name)}\n"),
        ("CUTOFF: int | None = None\n", f"CUTOFF: int | None = {cutoff}\n"),
    ):
        assert text.count(line) == 1, line
        text = text.replace(line, filled)
    return text
