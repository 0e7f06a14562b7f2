"""The Open Inference Protocol, version 2: the same models by REST and by gRPC."""
