"""The cluster: its parts without Ray, and the whole with it, where it is installed."""
