"""Layer by layer: what a graph's layers put out, held against what the reference's do."""
