"""Bundles that are not what was exported: refused before anything in them is used."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import Bundle
from tests.cli.conftest import Refused

FILES = ("constants.npz", "golden.npz", "manifest.json", "mapping.onnx", "pipeline.onnx", "synthesis.onnx")
COMMANDS = (
    "generate copy --seeds 1 -o new",
    "verify copy",
    "inspect copy",
    "verify copy --json",
    "inspect --json copy",
)


@pytest.fixture
def copy(folder: Path, tiny_bundle: Bundle) -> Path:
    """A copy of a bundle, to be spoilt."""
    return Path(shutil.copytree(tiny_bundle.path, folder / "copy"))


def test_these_are_all_files_of_a_bundle(copy: Path) -> None:
    assert sorted(entry.name for entry in copy.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_noticed(name: str, command: str, copy: Path, refused: Refused) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    assert f"copy/{name}: " in refused(command)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", [lambda data: data[:-9], lambda data: data + b"\0", lambda data: b""])
def test_a_changed_length_is_noticed(name: str, change: Callable[[bytes], bytes], copy: Path, refused: Refused) -> None:
    (copy / name).write_bytes(change((copy / name).read_bytes()))
    assert f"copy/{name}: " in refused("verify copy")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_noticed(name: str, copy: Path, refused: Refused) -> None:
    (copy / name).unlink()
    assert name in refused("generate copy --seeds 1 -o new")


@pytest.mark.parametrize("name", FILES[3:])
def test_a_link_for_a_file_is_noticed(name: str, copy: Path, refused: Refused, folder: Path) -> None:
    (copy / name).rename(folder / name)
    (copy / name).symlink_to(folder / name)
    assert f"copy/{name}: is missing from the bundle" in refused("verify copy")


def rewrite(bundle: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a manifest and give it the digest of its new content, as an attacker or a later release would."""
    path = bundle / "manifest.json"
    content = json.loads(path.read_text())
    del content["digest"]
    change(content)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    path.write_text(json.dumps({**content, "digest": digest}))


def replace_array(bundle: Path, file: str, name: str, array: np.ndarray | None) -> None:
    """Change an array of a bundle (None: remove it) and its digest in the manifest."""
    with np.load(bundle / file) as stored:
        arrays = {key: stored[key] for key in stored.files} | ({} if array is None else {name: array})
    np.savez(bundle / file, **{key: value for key, value in arrays.items() if array is not None or key != name})
    data = (bundle / file).read_bytes()
    info = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    rewrite(bundle, lambda content: content["files"].update({file: info}))


MANIFESTS = {
    "a newer version": (lambda m: m.update(format_version=4), "has format_version 4, this release reads 3; upgrade"),
    "an older version": (lambda m: m.update(format_version=0), "this release reads 3; export the bundle again"),
    "release 0.1.0": (
        lambda m: (m.update(format_version=1), m["provenance"].pop("noise")),
        "copy/manifest.json: has format_version 1, this release reads 3; export the bundle again",
    ),
    "a version of text": (lambda m: m.update(format_version="1"), "has no format_version"),
    "a file outside": (lambda m: m["files"].update({"../x": {"sha256": "0", "size": 1}}), "'../x' leaves the bundle"),
    "an absolute file": (lambda m: m["files"].update({"/x": {"sha256": "0", "size": 1}}), "'/x' leaves the bundle"),
    "a hidden file": (lambda m: m["files"].update({".x": {"sha256": "0", "size": 1}}), "'.x' leaves the bundle"),
    "a graph outside": (lambda m: m["graphs"]["mapping"].update(file="../x"), "graph file '../x' has no digest"),
    "no graph": (lambda m: m.update(graphs={}), "has no graph 'mapping'"),
    "an unknown field": (lambda m: m.update(colour="red"), "unknown field 'colour'"),
    "a missing field": (lambda m: m.pop("options"), "the field 'options' is missing"),
    "an unknown noise": (lambda m: m["options"].update(noise="loud"), "found 'loud', expected one of explicit"),
    "a width of 0": (lambda m: m["specification"]["mapping"].update(z_dim=0), "z_dim is 0, expected 1 to 16384"),
    "a multiplier of 400 digits": (
        lambda m: m["specification"]["mapping"].update(lr_multiplier=10**400),
        "lr_multiplier",
    ),
    "no constants": (lambda m: m["files"].pop("constants.npz"), "constants.npz"),
    "no golden samples": (lambda m: m["files"].pop("golden.npz"), "golden.npz"),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_makes_no_sense_is_named(case: str, copy: Path, refused: Refused) -> None:
    change, message = MANIFESTS[case]
    rewrite(copy, change)
    listed = json.loads((copy / "manifest.json").read_text())["files"]
    for name in ("constants.npz", "golden.npz"):
        if name not in listed:
            (copy / name).unlink()
    assert message in refused("verify copy")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "copy/manifest.json: not JSON"),
        (b"garbage", "copy/manifest.json: not JSON"),
        (b"[" * 100_000, "copy/manifest.json: not JSON"),
        (b"[]", "copy/manifest.json: has no format_version; expected the manifest of a bundle"),
        (b"null", "has no format_version"),
        (b"{}", "has no format_version"),
        (b'{"format_version": true}', "copy/manifest.json: "),
        (b'{"format_version": 3}', "its content is not what its digest says"),
        (b'{"format_version": ' + b"9" * 5000 + b"}", "copy/manifest.json: "),
        (b"\xff\xfe\x00", "copy/manifest.json: is not UTF-8 text"),
        (b" " * (5 << 20), "over the limit of 4,194,304"),
    ],
)
def test_a_garbage_manifest_is_named(text: bytes, message: str, copy: Path, refused: Refused) -> None:
    (copy / "manifest.json").write_bytes(text)
    assert message in refused("inspect copy")


@pytest.mark.parametrize("name", ["mapping.onnx", "synthesis.onnx"])
def test_a_graph_that_is_none_is_named(name: str, copy: Path, refused: Refused) -> None:
    (copy / name).write_bytes(b"not a graph")
    info = {"sha256": hashlib.sha256(b"not a graph").hexdigest(), "size": 11}
    rewrite(copy, lambda content: content["files"].update({name: info}))
    assert f"copy/{name}: ONNX Runtime can't load the graph" in refused("generate copy --seeds 1 -o new")


ARRAYS = {
    "no mean of w": ("constants.npz", "w_avg", None),
    "a mean of w of another width": ("constants.npz", "w_avg", np.zeros(5, np.float32)),
    "no noise": ("constants.npz", "noise_00", None),
    "noise of another size": ("constants.npz", "noise_00", np.zeros((3, 3), np.float32)),
    "no sources": ("golden.npz", "sources", None),
    "a w of another width": ("golden.npz", "w", np.zeros((19, 5), np.float32)),
    "styles of another number": ("golden.npz", "sources", np.zeros((9, 5), np.int64)),
    "a latent that is not there": ("golden.npz", "sources", np.full((9, 6), 19)),
    "a latent before the first": ("golden.npz", "sources", np.full((9, 6), -1)),
    "a seed out of range": ("golden.npz", "seeds", np.full(19, 2**32)),
    "seeds that are no whole numbers": ("golden.npz", "seeds", np.zeros(19, np.float32)),
    "a class of a network without": ("golden.npz", "classes", np.zeros(1, np.int64)),
    "samples of noise that are no seed": ("golden.npz", "noise", np.array(["loud"] * 9)),
    "fewer psi than images": ("golden.npz", "psi", np.zeros((8, 6), np.float32)),
    "psi of another precision": ("golden.npz", "psi", np.zeros((9, 6))),
    "tiles of another number": ("golden.npz", "tiles", np.zeros((9, 2, 3, 16, 16), np.float32)),
    "tiles that are no squares": ("golden.npz", "tiles", np.zeros((9, 1, 3, 16, 8), np.float32)),
    "tiles larger than the image": ("golden.npz", "tiles", np.zeros((9, 5, 3, 32, 32), np.float32)),
    "blocks of another number": ("golden.npz", "blocks", np.zeros((9, 3, 8, 8), np.float32)),
    "more probes than images": ("golden.npz", "probes", np.zeros((10, 1), np.float32)),
    "no sample": ("golden.npz", "seeds", np.zeros(0, np.int64)),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_an_array_that_does_not_fit_is_named(case: str, copy: Path, refused: Refused) -> None:
    file, name, array = ARRAYS[case]
    replace_array(copy, file, name, array)
    assert f"copy/{file}: " in refused(
        "verify copy" if file == "golden.npz" else "generate copy --seeds 1 --psi 0.5 -o new"
    )


def test_pickled_objects_in_an_array_file_are_never_loaded(copy: Path, refused: Refused) -> None:
    replace_array(copy, "constants.npz", "w_avg", np.array([{}], dtype=object))
    assert "copy/constants.npz: can't be read" in refused("generate copy --seeds 1 --psi 0.5 -o new")


def test_an_option_that_the_bundle_fixed_is_refused(copy: Path, refused: Refused) -> None:
    rewrite(copy, lambda content: content["options"].update(noise="none"))
    assert "exported with --noise none" in refused("generate copy --seeds 1 --noise 5 -o new")
