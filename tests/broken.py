"""Bundles whose graphs were changed on purpose, and signed anew: only their images tell."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx

from runtime import Bundle
from runtime.files import sha256_of_path
from runtime.manifest import MANIFEST, FileInfo


def broken(bundle: Bundle, folder: Path, graph: str, change: Callable[[onnx.ModelProto], None]) -> Bundle:
    """A copy of a bundle at `folder`, with a change made to one of its graphs."""
    shutil.copytree(bundle.path, folder)
    path = folder / bundle.manifest.graphs[graph].file
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    files = {**bundle.manifest.files, path.name: FileInfo(sha256_of_path(path), path.stat().st_size)}
    manifest = dataclasses.replace(bundle.manifest, files=files)
    (folder / MANIFEST).write_text(manifest.to_text(), encoding="utf-8")
    return Bundle(folder)


def rename_inputs(names: dict[str, str]) -> Callable[[onnx.ModelProto], None]:
    """What takes the value of one name takes that of another."""

    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            for index, name in enumerate(node.input):
                node.input[index] = names.get(name, name)

    return change
