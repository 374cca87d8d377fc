"""State dicts, read without running code that stands in them."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from brittle.ground import BrittleError, first_line

from .archives import plain_load

HOLDERS = ("state_dict", "model", "model_state_dict", "net", "weights")  # under which training scripts keep it
PREFIXES = ("", "module.", "model.", "_orig_mod.")  # of DataParallel, other wrappers and torch.compile
State = dict[str, Tensor]


def read_state(path: Path) -> State:
    """Names to tensors, from safetensors or from a torch file.

    Raises:
        BrittleError: no such file, or no state dict in it.
    """
    try:
        state: Any = load_file(path) if path.suffix == ".safetensors" else plain_load(path)
    except FileNotFoundError:
        raise BrittleError(f"there is no file {path}") from None
    except BrittleError:
        raise
    except Exception as error:
        raise BrittleError(
            f"{path} cannot be read as plain weights ({first_line(error)}); nothing pickled is run"
        ) from None
    held = (state[key] for key in HOLDERS if isinstance(state, dict) and isinstance(state.get(key), dict))
    state = next(held, state)
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        there = (
            f"but {', '.join(map(str, state))[:100]}" if isinstance(state, dict) else f"but a {type(state).__name__}"
        )
        raise BrittleError(
            f"{path} holds no state dict (names to tensors), {there}; save one alone, or as one of {', '.join(HOLDERS)}"
        )
    return state


def put_into(model: Any, path: Path, spec: str) -> None:
    """Load the state dict in a file into a module; prefixes that wrappers put before names are cut where that makes it
    fit.

    Raises:
        BrittleError: no module, or it does not fit.
    """
    if not isinstance(model, nn.Module):
        raise BrittleError(f"{spec} is no torch.nn.Module, so --weights {path} cannot be put into it")
    state, wanted = read_state(path), set(model.state_dict())
    cut = ({name.removeprefix(prefix): value for name, value in state.items()} for prefix in PREFIXES)
    try:
        model.load_state_dict(next((one for one in cut if set(one) == wanted), state))
    except RuntimeError as error:
        raise BrittleError(f"{path} does not fit {spec}: {' '.join(str(error).split())[:200]}") from None


def classes_in(path: Path, net: nn.Module) -> int | None:
    """How many classes the state dict in a file tells apart, by the rows of the last matrix of such a net; none: as
    many as the net, or it cannot be said."""
    state, heads = read_state(path), [(name, len(value)) for name, value in net.state_dict().items() if value.dim() > 1]
    if not heads:
        return None
    head, usual = heads[-1]
    count = next((len(state[prefix + head]) for prefix in PREFIXES if prefix + head in state), usual)
    return None if count == usual else count
