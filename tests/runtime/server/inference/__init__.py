"""The Open Inference Protocol, asked by Triton's own clients."""
