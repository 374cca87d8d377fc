"""Beside the floors, so that nothing heavy is imported with it. The one error a user is meant to read: a single clear line, exit status 2 on the command line."""


class BrittleError(ValueError):
    """Bad input (a file, a shape, a flag, a model), said in one line that tells what to do about it."""
