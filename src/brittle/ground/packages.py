"""Libraries that are wanted only where they are asked for."""

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from brittle.errors import BrittleError

from .text import first_line


def package(name: str, asked: str, extra: str) -> Any:
    """The module of this name, for what was `asked`; `extra` of ours installs it.

    Raises:
        BrittleError: it is not installed, or does not import beside the torch that is.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old names inside of the library
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise BrittleError(f"{asked} needs {error.name}; pip install 'brittle[{extra}]'") from None
    except Exception as error:
        raise BrittleError(f"{asked}: {name.partition('.')[0]} cannot be imported ({first_line(error)})") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Within, nothing is logged but errors: what a library says on its way to one is no news."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
