"""TensorRT's own parser and builder on a machine without a GPU. For tests only: its plans can't run here."""
