"""The server, asked over real sockets."""
