"""A user's own code: `module:callable`."""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from brittle.ground import BrittleError, first_line


def imported(spec: str) -> Callable[[Tensor], Any]:
    """What `module:callable` names, imported from the working directory; a class or function without required arguments
    is called and must give a model.

    Raises:
        BrittleError: there is no such thing, or it fails.
    """
    module_name, _, attribute = spec.partition(":")
    if module_name.endswith(".py") or "/" in module_name:
        path = Path(module_name.removesuffix(".py"))
        raise BrittleError(
            f"{spec}: name the module as import does: {path.name}:{attribute}, asked from {path.parent}/"
        )
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
        model = getattr(module, attribute)
    except ModuleNotFoundError as error:
        raise BrittleError(f"{spec}: there is no module {error.name!r} here or installed") from None
    except AttributeError:
        where = getattr(sys.modules.get(module_name), "__file__", None) or "built into Python"
        raise BrittleError(f"{spec}: module {module_name!r} ({where}) has no {attribute!r}") from None
    except (Exception, SystemExit) as error:
        raise BrittleError(f"{spec}: importing it failed ({type(error).__name__}: {first_line(error)})") from None
    if isinstance(model, type) or (callable(model) and not isinstance(model, nn.Module) and _takes_nothing(model)):
        try:
            model = model()
        except (Exception, SystemExit) as error:
            raise BrittleError(f"{spec}: calling it failed ({type(error).__name__}: {first_line(error)})") from None
    if not callable(model):
        raise BrittleError(f"{spec} gives {type(model).__name__}, which is no model: it cannot be called on images")
    return model  # type: ignore[no-any-return]


def check_values(model: Any, spec: str) -> None:
    """Raise `BrittleError` if a module has parameters or buffers that are declared but hold no numbers, or fails when
    it is looked at."""
    if not isinstance(model, nn.Module):
        return
    try:
        held, _, _ = model.state_dict(), repr(model), getattr(model, "absent", None)
    except Exception as error:
        raise BrittleError(f"{spec}: looking at it failed ({type(error).__name__}: {first_line(error)})") from None
    for name, value in held.items():
        if is_lazy(value) or (isinstance(value, Tensor) and value.is_meta):
            raise BrittleError(f"{spec}: its {name} holds no numbers yet; load weights before it is handed over")


def _takes_nothing(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return all(parameter.default is not parameter.empty or parameter.kind in (2, 4) for parameter in parameters)
