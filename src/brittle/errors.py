"""The one error a user is meant to read. It stands beside the floors, so that nothing heavy is imported with it."""


class BrittleError(ValueError):
    """Bad input (a file, a shape, a flag, a model), said in one line that tells what to do about it."""
