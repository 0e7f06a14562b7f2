"""Which graph draws a precision. Some backends compute one that has no graph of its own, from float32's."""

from __future__ import annotations

from collections.abc import Iterable

from runtime.backends.base import BackendName
from runtime.bundle import Bundle
from runtime.errors import InputError
from runtime.parity import BF16, FP32

COMPUTED = {BackendName.OPENVINO: (BF16,)}
"""What a backend makes of float32's graph when it runs it: OpenVINO rounds to bfloat16 where the CPU multiplies it."""


def is_computed(bundle: Bundle, precision: str, backend: BackendName) -> bool:
    """Whether a backend draws a precision without a graph of that precision; a bundle that has one draws with it."""
    return precision in COMPUTED.get(backend, ()) and precision not in bundle.precisions


def precisions_on(bundle: Bundle, backend: BackendName) -> list[str]:
    """What may be asked of a backend ("auto": of any): the precisions that the bundle holds, then those computed."""
    backends = COMPUTED if backend is BackendName.AUTO else (backend,)
    computed = (item for one in backends for item in COMPUTED.get(one, ()) if is_computed(bundle, item, one))
    return [*bundle.precisions, *dict.fromkeys(computed)]


def check_precisions(bundle: Bundle, backend: BackendName, names: Iterable[str]) -> None:
    """Raise InputError for the first of some precisions that a backend can't draw the bundle in."""
    known = precisions_on(bundle, backend)
    for name in names:
        if name not in known:
            raise InputError(f"{bundle.path}: has no precision {name[:20]!r}, only {', '.join(known)}")


def graph_precision(bundle: Bundle, name: str, precision: str, backend: BackendName) -> str:
    """The precision of the graph that a backend runs for `precision`."""
    return FP32 if is_computed(bundle, precision, backend) else bundle.precision_of(name, precision)


def arithmetic(name: str, precision: str) -> str:
    """The precision that a graph is computed in beside others of `precision`: mapping stays in float32."""
    return FP32 if name == "mapping" else precision
