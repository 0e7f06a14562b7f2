"""StyleGAN3's up-sampling over inserted zeros: as its paper puts it, and as PyTorch runs it without custom kernels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from exporter.networks import ReferenceNetwork
from exporter.networks.fir import filter_and_stride, insert_zeros
from exporter.networks.stylegan3 import SynthesisLayer


class ZeroInsertionLayer(SynthesisLayer):
    """The same layer, all channels together, up-sampling in three steps: zeros, padding, filter."""

    def _activate(self, x: Tensor) -> Tensor:
        return self._activate_together(x)

    def _upsample(self, x: Tensor) -> Tensor:
        layer = self.layer
        if layer.up_taps == 1:
            return super()._upsample(x)
        first, last = layer.padding
        x = functional.pad(insert_zeros(x, layer.up), (first, last, first, last))
        return filter_and_stride(x, self.up_filter * layer.up, 1)


def with_zero_insertion(network: ReferenceNetwork) -> ReferenceNetwork:
    """The same network, its StyleGAN3 layers changed in place; other generations insert zeros for RGB images alone."""
    for module in network.modules():
        if isinstance(module, SynthesisLayer):
            module.__class__ = ZeroInsertionLayer
    return network
