"""Every TensorRT name that the code of some packages uses, read from the code itself.

Two conventions make that possible: a variable `trt` is the module, and any other variable that holds a TensorRT object
is annotated with its class, `config: tensorrt.IBuilderConfig`. What breaks them can't be resolved, and is an error.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

MODULE = "trt"
ANNOTATION = "tensorrt."
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def used_names(packages: Iterable[Path]) -> dict[str, set[str]]:
    """`Class.member` or `NAME` -> where it is used, over all files of some packages."""
    found: dict[str, set[str]] = {}
    for path in sorted(path for package in packages for path in package.rglob("*.py")):
        for name, line in _names_of_file(ast.parse(path.read_text())):
            found.setdefault(name, set()).add(f"{path.name}:{line}")
    return found


def _names_of_file(tree: ast.Module) -> Iterator[tuple[str, int]]:
    yield from _visit(tree, {})


def _visit(node: ast.AST, known: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Names used under a node; `known` holds the classes of the variables in scope."""
    if isinstance(node, FUNCTIONS):
        known = {**known, **_annotated(node)}
    if isinstance(node, ast.ClassDef):
        yield from _overridden(node)
    if isinstance(node, ast.Attribute):
        yield from _resolve(node, known)
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.Attribute) and isinstance(child, ast.Attribute) and _root(node) == MODULE:
            continue  # trt.A.B was resolved as a whole
        yield from _visit(child, known)


def _annotated(function: ast.AST) -> dict[str, str]:
    """The TensorRT class of each annotated parameter and variable of a function."""
    classes = {}
    for node in ast.walk(function):
        name = node.arg if isinstance(node, ast.arg) else None
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        annotation = getattr(node, "annotation", None)
        if name is not None and annotation is not None:
            text = ast.unparse(annotation).removesuffix(" | None")
            if text.startswith(ANNOTATION):
                classes[name] = text.removeprefix(ANNOTATION)
    return classes


def _resolve(node: ast.Attribute, known: dict[str, str]) -> Iterator[tuple[str, int]]:
    value = node.value
    if _root(node) == MODULE:
        yield ast.unparse(node).removeprefix(f"{MODULE}."), node.lineno
    elif isinstance(value, ast.Name) and value.id in known:
        yield f"{known[value.id]}.{node.attr}", node.lineno
    elif isinstance(value, (ast.Call, ast.Attribute)) and _innermost(value) in {*known, MODULE}:
        raise AssertionError(f"line {node.lineno}: {ast.unparse(node)}: give what TensorRT returns an annotated name")
    elif isinstance(value, ast.Name) and value.id == "tensorrt":
        yield node.attr, node.lineno  # in an annotation


def _overridden(node: ast.ClassDef) -> Iterator[tuple[str, int]]:
    """Methods that TensorRT calls, of a class that derives from one of its own."""
    for base in node.bases:
        if ast.unparse(base).startswith(f"{MODULE}."):
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and not item.name.startswith("_"):
                    yield f"{ast.unparse(base).removeprefix(f'{MODULE}.')}.{item.name}", item.lineno


def _root(node: ast.expr) -> str | None:
    """The variable that a chain of attributes begins with; None where it begins with anything else."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _innermost(node: ast.expr) -> str | None:
    """The same, through calls."""
    while isinstance(node, (ast.Attribute, ast.Call)):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return node.id if isinstance(node, ast.Name) else None
