"""A GPU made up, for what runs on one: NVIDIA's own bindings over a driver and a TensorRT that compute on the CPU."""
