"""MODEL on the command line: a checkpoint of ours, `module:callable`, or a TorchScript / torch.export file."""

import hashlib
import importlib
import sys
import sysconfig
import uuid
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from brittle.attacks import answer_of
from brittle.ground import BrittleError, eval_mode, first_line, seeded

from .checkpoints import load_net
from .zoo import PREFIX as ZOO
from .zoo import zoo_file

PROGRAMS = (".pt", ".ts", ".pth", ".pt2", ".torchscript")
TRUSTED = "trusted:"  # before a file whose loader may run code


@dataclass(frozen=True)
class Loaded:
    """A model ready to be attacked: what it is called, where it is from, a SHA-256 of that, the checkpoint's header,
    and whether it is imported code, which may depend on more than is known."""

    model: Callable[[Tensor], Any]
    name: str
    source: str
    digest: str
    header: dict[str, Any] | None = None
    imported: bool = False


def load_model(spec: str, weights: Path | None = None) -> Loaded:
    """The model that `spec` names.

    Args:
        spec: `zoo:NAME`, `FILE.safetensors` (ours), `FILE.pt` / `.ts` (TorchScript), `trusted:FILE.pt2` (torch.export,
            whose loader may run pickled code), or `module:callable`, imported from the working directory; a class or
            function without required arguments is called and must give a model.
        weights: a state dict for `module:callable`, read with `weights_only=True` or as safetensors; prefixes `module.`
            or `model.` are cut where that makes it fit.
    Raises:
        BrittleError: nothing of that kind, or it cannot be loaded. No pickled code is run but from `trusted:`.
    """
    if spec.startswith(ZOO):
        net, header = load_net(zoo_file(spec.removeprefix(ZOO)))
        return Loaded(net, header["name"], spec, _sha256_of(net), header)
    trusted, bare = spec.startswith(TRUSTED), spec.removeprefix(TRUSTED)
    path = Path(bare).expanduser()
    if weights and (path.suffix in (".safetensors", *PROGRAMS) or path.is_file()):
        raise BrittleError(f"{spec} has weights of its own; drop --weights {weights}, which is for module:callable")
    if path.suffix == ".safetensors":
        net, header = load_net(path)
        return Loaded(net, header.get("name", path.stem), spec, _sha256_of(net), header)
    if path.suffix in PROGRAMS or path.is_file():
        return Loaded(_load_program(path, trusted), path.stem, spec, _sha256(path))
    if ":" in spec:
        model = _import(spec)
        if weights:
            _load_weights(model, weights, spec)
        _check_values(model, spec)
        # what a plain function depends on cannot be known: it is never taken for the same model twice
        digest = f"{_sources()}{_sha256_of(model)}" if isinstance(model, nn.Module) else uuid.uuid4().hex
        return Loaded(model, spec, spec, digest, imported=True)
    raise BrittleError(
        f"{spec!r} is no model: give FILE.safetensors, a TorchScript or torch.export file, or module:callable"
    )


def behaviour_of(model: Callable[[Tensor], Any], x: Tensor) -> str:
    """SHA-256 (hex) of what a model answers on some images, in eval mode, from one seed; one of its own for a model
    that fails."""
    try:
        with seeded(0, x.device), torch.no_grad(), eval_mode(model):
            answers = answer_of(model, x).float().cpu().contiguous()
    except Exception:  # whoever uses the model says what is wrong with it
        return uuid.uuid4().hex
    return hashlib.sha256(answers.numpy().tobytes()).hexdigest()


def _sources() -> str:
    """SHA-256 (hex) of every file of code that is imported from outside the environment: that of the user."""
    inside = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    inside.add(Path(__file__).resolve().parents[1])
    named = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    files = {Path(file).resolve() for file in named if file}
    own = sorted(file for file in files if file.is_file() and not inside & set(file.parents))
    return hashlib.sha256("".join(f"{file.name} {_sha256(file)}" for file in own).encode()).hexdigest()


def _load_program(path: Path, trusted: bool) -> Callable[[Tensor], Any]:
    if not path.is_file():
        raise BrittleError(f"there is no file {path}")
    if not zipfile.is_zipfile(path):
        raise BrittleError(
            f"{path} is neither TorchScript nor torch.export; nothing pickled is run: give module:callable with "
            f"--weights {path}"
        )
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    exported = any(
        name.endswith(("archive_format", "serialized_exported_program.json", "models/model.json")) for name in names
    )
    scripted = any("/code/" in name or name.endswith("constants.pkl") for name in names)
    if not exported and not scripted:
        raise BrittleError(
            f"{path} holds no program but (probably) weights; give module:callable with --weights {path}"
        )
    if exported and not trusted:
        raise BrittleError(
            f"{path} is a torch.export program: its loader runs code that someone may have hidden in it; if you trust "
            f"where it is from, write {TRUSTED}{path}"
        )
    try:
        if exported:
            return torch.export.load(path).module()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module: nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
        return module.eval()
    except Exception as error:
        raise BrittleError(f"{path} cannot be loaded as a program ({first_line(error)})") from None


def _import(spec: str) -> Callable[[Tensor], Any]:
    module_name, _, attribute = spec.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
        model = getattr(module, attribute)
    except ModuleNotFoundError as error:
        raise BrittleError(f"{spec}: there is no module {error.name!r} here or installed") from None
    except AttributeError:
        raise BrittleError(f"{spec}: module {module_name!r} has no {attribute!r}") from None
    except (Exception, SystemExit) as error:
        raise BrittleError(f"{spec}: importing it failed ({type(error).__name__}: {error})") from None
    if isinstance(model, type) or (callable(model) and not isinstance(model, nn.Module) and _takes_nothing(model)):
        try:
            model = model()
        except (Exception, SystemExit) as error:
            raise BrittleError(f"{spec}: calling it failed ({type(error).__name__}: {error})") from None
    if not callable(model):
        raise BrittleError(f"{spec} gives {type(model).__name__}, which is no model: it cannot be called on images")
    return model  # type: ignore[no-any-return]


def _check_values(model: Any, spec: str) -> None:
    """Raise `BrittleError` if a module has parameters or buffers that are declared but hold no numbers."""
    for name, value in model.state_dict().items() if isinstance(model, nn.Module) else ():
        if is_lazy(value) or value.is_meta:
            raise BrittleError(f"{spec}: its {name} holds no numbers yet; load weights before it is handed over")


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _takes_nothing(function: Callable[..., Any]) -> bool:
    import inspect

    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return all(parameter.default is not parameter.empty or parameter.kind in (2, 4) for parameter in parameters)


def _load_weights(model: Any, path: Path, spec: str) -> None:
    if not isinstance(model, nn.Module):
        raise BrittleError(f"{spec} is no torch.nn.Module, so --weights {path} cannot be put into it")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise BrittleError(f"there is no file {path}") from None
    except Exception as error:
        raise BrittleError(
            f"{path} cannot be read as plain weights ({first_line(error)}); nothing pickled is run"
        ) from None
    state = next(
        (state[key] for key in ("state_dict", "model") if isinstance(state, dict) and isinstance(state.get(key), dict)),
        state,
    )
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise BrittleError(f"{path} holds no state dict (names to tensors)")
    for prefix in ("", "module.", "model."):  # as DataParallel and other wrappers write them
        cut = {name.removeprefix(prefix): value for name, value in state.items()}
        if set(cut) == set(model.state_dict()):
            break
    else:
        cut = state
    try:
        model.load_state_dict(cut)
    except RuntimeError as error:
        raise BrittleError(f"{path} does not fit {spec}: {' '.join(str(error).split())[:200]}") from None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sha256_of(net: nn.Module) -> str:
    """Of the architecture as it prints itself, of the plain attributes of its modules, and of every parameter and
    buffer."""
    sha = hashlib.sha256(repr(net).encode())
    for name, module in net.named_modules():
        plain = {key: value for key, value in vars(module).items() if key[:1] != "_" and key != "training"}
        sha.update(f"{name} {[(key, plain[key]) for key in sorted(plain) if _is_plain(plain[key])]}".encode())
    for name, value in sorted(net.state_dict().items()):
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        sha.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()
