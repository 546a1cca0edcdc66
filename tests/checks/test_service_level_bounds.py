"""The arithmetic of the service level, to the look."""
