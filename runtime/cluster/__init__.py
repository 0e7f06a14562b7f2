"""The same server on many machines: a Ray Serve application, the extra `ray`."""
