"""The StyleGAN2 synthesis network of NVIDIA's PyTorch snapshots."""

from __future__ import annotations

from exporter.checkpoints.filters import shared_taps
from exporter.checkpoints.module_tree import Module, common, require_lrelu
from exporter.checkpoints.shown import quoted, shown
from runtime.errors import CheckpointError
from runtime.spec import MAX_BLOCKS, Architecture, StyleGAN2Spec


def read_synthesis(synthesis: Module) -> StyleGAN2Spec:
    """The specification of a synthesis network. Raises CheckpointError where it is not understood."""
    resolutions = synthesis.get("block_resolutions", list)
    if not 1 <= len(resolutions) <= MAX_BLOCKS or resolutions != [4 << index for index in range(len(resolutions))]:
        found = ", ".join(shown(item) for item in resolutions[:MAX_BLOCKS]) or "no resolution"
        raise CheckpointError(f"the synthesis network has blocks at {found}, expected 4, 8, 16, ...")
    blocks = [synthesis.child(f"b{resolution}") for resolution in resolutions]
    convs = [child for block in blocks for name, child in block.children.items() if name.startswith("conv")]
    for conv in convs:
        require_lrelu(conv)
    return StyleGAN2Spec(
        architecture=_architecture(blocks),
        channels=tuple(block.child("conv1").tensor("weight", 4).shape[0] for block in blocks),
        resample_filter=shared_taps(
            [module.tensors["resample_filter"] for module in synthesis.walk() if "resample_filter" in module.tensors]
        ),
        conv_clamp=common("conv_clamp", [conv.number_or_none("conv_clamp") for conv in convs]),
        use_noise=common("use_noise", [conv.get("use_noise", bool) for conv in convs]),
        scaled_demodulation=False,
    )


def _architecture(blocks: list[Module]) -> Architecture:
    architecture = common("architecture", [block.get("architecture", str) for block in blocks])
    if architecture not in [known.value for known in Architecture]:
        raise CheckpointError(
            f"the synthesis network has the architecture {quoted(architecture)}, expected skip, orig or resnet"
        )
    return Architecture(architecture)
