"""The client against real servers, sound and otherwise."""
