"""MODEL on the command line."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from brittle.ground import BrittleError

from ..checkpoints import load_net
from ..data import DataSet, statistics_of
from ..nets import NETS, build_net
from ..zoo import PREFIX as ZOO
from ..zoo import zoo_file
from .archives import TRUSTED
from .hubs import HUBS, load_from_hub
from .imported import check_values, imported
from .inputs import Inputs
from .names import in_order_of
from .programs import PROGRAMS, load_program
from .tell_apart import digest_of, digest_of_code, digest_of_program
from .weights import classes_in, put_into


@dataclass(frozen=True)
class Loaded:
    """A model ready to be attacked: what it is called, where it is from, a SHA-256 of that, the checkpoint's header,
    whether it is imported code, which may depend on more than is known, whether the digest is that of all that is known
    (else the model is never taken for the same again), where its weights are if they lie apart, and what was said of
    its inputs (`Inputs.said`)."""

    model: Callable[[Tensor], Any]
    name: str
    source: str
    digest: str
    header: dict[str, Any] | None = None
    imported: bool = False
    known: bool = True
    weights: str | None = None
    inputs: dict[str, str] = field(default_factory=dict)


def load_model(
    spec: str, weights: str | Path | None = None, inputs: Inputs | None = None, data: DataSet | None = None
) -> Loaded:
    """The model that `spec` names.

    Args:
        spec: `zoo:NAME`; `FILE.safetensors` (ours); `FILE.pt` / `.ts` (TorchScript), `FILE.onnx`, `trusted:FILE.pt2`
            (torch.export, whose loader may run pickled code); `timm:NAME`, `torchvision:NAME`, `hf:DIR_OR_ID`,
            `robustbench:ID`; the name of one of our nets, with weights and data; or `module:callable`, imported from
            the working directory, where a class or function without required arguments is called and gives the model.
        weights: a state dict for what has none of its own, read with `weights_only=True` or as safetensors; prefixes
            such as `module.` are cut where that makes it fit. Of a library's model, `random` leaves it untrained.
        inputs: what the model expects of its images; default: [0, 1], or what its library says.
        data: what it is asked about; shape and classes of one of our nets, and in which order the classes of a
            checkpoint or a model of `hf:` come, where it has them by name.
    Raises:
        BrittleError: nothing of that kind, or it cannot be loaded. No pickled code is run but from `trusted:`.
    """
    asked = inputs or Inputs()
    found = replace(
        _opened(spec, Path(weights) if weights else None, bool(asked.said), data),
        weights=str(weights) if weights else None,
    )
    if not asked.said:
        return found
    digest = hashlib.sha256(f"{found.digest} {sorted(asked.said.items())}".encode()).hexdigest()
    return replace(found, model=asked.around(found.model), digest=digest, inputs=asked.said)


def _opened(spec: str, weights: Path | None, plain: bool, data: DataSet | None) -> Loaded:
    bare = spec.removeprefix(TRUSTED)
    path = Path(os.path.expanduser(bare))  # which leaves a home that is unknown as it is
    hub = spec.partition(":")[0] in HUBS
    is_file = not hub and (path.suffix in (".safetensors", *PROGRAMS) or path.is_file())
    if weights and (spec.startswith(ZOO) or is_file):
        raise BrittleError(f"{spec} has weights of its own; drop --weights {weights}, which is for an architecture")
    if spec.startswith(ZOO):
        return _checkpoint(zoo_file(spec.removeprefix(ZOO)), spec, data)
    if hub:
        return _of_code(load_from_hub(spec, weights, plain, data.classes if data else ()), spec)
    if path.suffix == ".safetensors":
        return _checkpoint(path, spec, data)
    if path.suffix == ".py":
        raise BrittleError(f"{spec} is code: say which class or function of it is the model: {path.stem}:NAME")
    if is_file:
        program = load_program(path, bare != spec)
        return Loaded(program, path.stem, spec, digest_of_program(path, program))
    if spec in NETS:
        net = _our_net(spec, weights, data)
        return Loaded(net, spec, spec, digest_of(net))
    if ":" in spec:
        model = imported(spec)
        if weights:
            put_into(model, weights, spec)
        check_values(model, spec)
        return _of_code(model, spec)
    raise BrittleError(
        f"{spec!r} is no model: give FILE.safetensors, a TorchScript, ONNX or torch.export file, zoo:NAME, timm:NAME, "
        "torchvision:NAME, hf:DIR_OR_ID, robustbench:ID, or module:callable"
    )


def runs_code(spec: str) -> bool:
    """Whether loading or asking what `spec` names may run what its author wrote: all but checkpoints and nets of ours
    and the models of libraries."""
    ours = spec.startswith(ZOO) or spec in NETS or spec.endswith(".safetensors")
    return not ours and spec.partition(":")[0] not in HUBS


def _of_code(model: Callable[[Tensor], Any], spec: str) -> Loaded:
    digest = digest_of_code(model)
    return Loaded(model, spec, spec, digest, imported=True, known=digest == digest_of_code(model))


def _checkpoint(path: Path, spec: str, data: DataSet | None) -> Loaded:
    net, header = load_net(path)
    named = in_order_of(net, spec, header["classes"], data.classes if data else ())
    return Loaded(named, header.get("name", path.stem), spec, digest_of(named), header)


def _our_net(name: str, weights: Path | None, data: DataSet | None) -> nn.Module:
    if weights is None or data is None:
        raise BrittleError(f"{name} is one of our nets without weights; give --weights FILE and --data, or train it")
    mean, std = statistics_of(data.name, data.shape[0])
    net = build_net(name, data.shape, len(data.classes), mean, std)  # type: ignore[arg-type]
    if (count := classes_in(weights, net)) is not None:
        net = build_net(name, data.shape, count, mean, std)  # type: ignore[arg-type]
    put_into(net, weights, name)
    return net.eval()
