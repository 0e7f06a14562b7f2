"""Checkpoint files, read as data."""

from exporter.checkpoints.checkpoint import Checkpoint
from exporter.checkpoints.layout import MEAN_W
from exporter.checkpoints.load import load_checkpoint
from exporter.checkpoints.safetensors_file import read_safetensors, write_safetensors
from exporter.checkpoints.source import SourceFormat

__all__ = ["MEAN_W", "Checkpoint", "SourceFormat", "load_checkpoint", "read_safetensors", "write_safetensors"]
