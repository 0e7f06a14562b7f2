"""The command line: the one place that knows all of `exporter`, `engines` and `runtime`."""
