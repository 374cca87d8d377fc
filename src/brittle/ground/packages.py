"""Libraries that are wanted only where they are asked for."""

import importlib
import warnings
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
