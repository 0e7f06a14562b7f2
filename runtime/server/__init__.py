"""A bundle's images over HTTP: the extra `serve`."""
