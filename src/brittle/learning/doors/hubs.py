"""Models of libraries by their names there: timm, torchvision, Hugging Face's transformers, RobustBench."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from brittle.ground import BrittleError, first_line, package, seeded

from ..reach import reached
from .inputs import classifier
from .names import in_order_of
from .weights import State, classes_in, put_into, read_state

HUGGING_FACE = "hf"
RANDOM = "random"  # in the place of a file of weights: an untrained net
NO_CODE = {"trust_remote_code": False}  # else one is asked whether a model's own code may run


@dataclass(frozen=True)
class Known:
    """What a library knows of a model.

    Attributes:
        build: the architecture with random weights, for so many classes (none: as it is).
        trained: the same with the weights that the library has for it; none: it has none.
        mean, std: in units of [0, 1], of the preparation that those were trained with; (): it is inside.
        classes: its classes by name, in the order of its logits; (): not known.
        told: the preparation is known.
        renamed: the model with a state dict under the library's older names; none: it has none.
    """

    build: Callable[[int | None], nn.Module]
    trained: Callable[[], nn.Module] | None
    mean: Sequence[float] = ()
    std: Sequence[float] = ()
    classes: Sequence[str] = ()
    told: bool = True
    renamed: Callable[[nn.Module, State], nn.Module] | None = None


def load_from_hub(spec: str, weights: Path | None, plain: bool, classes: Sequence[str] = ()) -> Callable[[Tensor], Any]:
    """The model that a library knows as "timm:NAME", "torchvision:NAME", "hf:DIR_OR_ID" or "robustbench:ID".

    Args:
        weights: a state dict to put into it, or `random` for none (drawn from seed 0); default: what the library has.
        plain: leave the library's normalisation out; somebody says another one.
        classes: of the data, by name, in whose order the logits come where the model has the same names.
    Raises:
        BrittleError: a library that is not installed, an unknown name, weights that cannot be had or do not fit.
    """
    hub, _, name = spec.partition(":")
    try:
        with reached(name, spec) if hub == HUGGING_FACE else nullcontext():
            known = HUBS[hub](name, spec)
            if not known.told and not plain:
                raise BrittleError(
                    f"{spec} does not say how its images are prepared: give --preprocess MEANS,DEVIATIONS"
                )
            model = _filled(known, spec, weights)
    except BrittleError:
        raise
    except Exception as error:  # whatever the library raises on a name that it does not know, or without a network
        hint = "give --weights FILE, or --weights random for an untrained net" if weights is None else "check the name"
        raise BrittleError(
            f"{spec} cannot be had ({type(error).__name__}: {first_line(error)[:200]}); {hint}"
        ) from None
    model = in_order_of(model, spec, known.classes, classes)
    if plain or not known.mean:
        return model.eval()
    made = classifier(model, mean=known.mean, std=known.std).eval()
    made.said = {}  # by the user
    return made


def _filled(known: Known, spec: str, weights: Path | None) -> nn.Module:
    if weights is None:
        if known.trained is None:
            raise BrittleError(f"{spec} comes without weights; give --weights FILE, or --weights random")
        return known.trained()
    with seeded(0, torch.device("cpu")):
        model = known.build(None)
        if str(weights) == RANDOM:
            return model
        if (count := classes_in(weights, model)) is not None:
            model = known.build(count)
    try:
        put_into(model, weights, spec)
    except BrittleError:
        if known.renamed is None:
            raise
        return known.renamed(model, read_state(weights))
    return model


def _timm(name: str, spec: str) -> Known:
    timm = package("timm", spec, "hub")
    about = timm.get_pretrained_cfg(name)
    if about is None and not timm.is_model(name):
        raise BrittleError(f"timm knows no model {name!r}; see timm.list_models()")

    def build(classes: int | None) -> nn.Module:
        return timm.create_model(name, **({} if classes is None else {"num_classes": classes}))  # type: ignore[no-any-return]

    return Known(
        build,
        lambda: timm.create_model(name, pretrained=True),
        getattr(about, "mean", ()),
        getattr(about, "std", ()),
    )


def _torchvision(name: str, spec: str) -> Known:
    models = package("torchvision.models", spec, "hub")
    prepared = models.get_model_weights(name).DEFAULT.transforms()
    if not hasattr(prepared, "mean"):
        raise BrittleError(f"{spec} is no classifier of images: what it is shown is for {type(prepared).__name__}")

    def build(classes: int | None) -> nn.Module:
        return models.get_model(name, **({} if classes is None else {"num_classes": classes}))  # type: ignore[no-any-return]

    return Known(build, lambda: models.get_model(name, weights="DEFAULT"), prepared.mean, prepared.std)


def _hugging_face(name: str, spec: str) -> Known:
    transformers = package("transformers", spec, "hub")
    found = transformers.AutoModelForImageClassification
    logs = package("transformers.utils.logging", spec, "hub")
    reader = package("transformers.image_processing_base", spec, "hub").ImageProcessingMixin
    try:
        (said, _), told = reader.get_image_processor_dict(name), True
    except OSError:
        said, told = {"do_normalize": False}, False
    scale = 255 * said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 255
    mean, std = (said["image_mean"], said["image_std"]) if said.get("do_normalize", True) else ([0.0], [1.0])

    def build(classes: int | None) -> nn.Module:
        more = {} if classes is None else {"num_labels": classes}
        return found.from_config(transformers.AutoConfig.from_pretrained(name, **NO_CODE, **more))  # type: ignore[no-any-return]

    def trained() -> nn.Module:
        with _silently(logs):
            return found.from_pretrained(name, **NO_CODE)  # type: ignore[no-any-return]

    names = transformers.AutoConfig.from_pretrained(name, **NO_CODE).id2label
    return Known(
        build,
        trained,
        [one / scale for one in mean],
        [one / scale for one in std],
        [names[number] for number in sorted(names)],
        told,
        partial(_renamed, spec, logs),
    )


@contextmanager
def _silently(logs: Any) -> Iterator[None]:
    """Without the progress bars of transformers, whose module of logging this is."""
    shown = logs.is_progress_bar_enabled()
    logs.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logs.enable_progress_bar()


def _renamed(spec: str, logs: Any, model: Any, state: State) -> nn.Module:
    """A model of transformers with weights under the names that it writes into files, which may be older ones."""
    with _silently(logs):
        found, about = type(model).from_pretrained(
            None, config=model.config, state_dict=state, output_loading_info=True
        )
    if strange := [*about["missing_keys"], *about["unexpected_keys"], *about["mismatched_keys"]]:
        raise BrittleError(f"these weights do not fit {spec}: {strange[0]}")
    return found  # type: ignore[no-any-return]


def _robustbench(name: str, spec: str) -> Known:
    """ID, or DATA/THREAT/ID where an ID stands in several lists: "cifar10/Linf/Standard"."""
    *where, wanted = name.split("/")
    lists = package("robustbench.model_zoo.models", spec, "robustbench").model_dicts
    found = {
        (data.value, threat.value): models[wanted]
        for data, of_data in lists.items()
        for threat, models in of_data.items()
        if wanted in models and where in ([], [data.value, threat.value])
    }
    if len(found) != 1:
        told = ", ".join(f"robustbench:{data}/{threat}/{wanted}" for data, threat in found)
        raise BrittleError(f"{spec} stands for several models: {told}" if found else f"RobustBench has no {name!r}")
    [((data, threat), entry)] = found.items()
    build = entry["model"] if callable(entry["model"]) else entry["model"][0]
    load = package("robustbench.utils", spec, "robustbench").load_model
    return Known(lambda classes: build(), lambda: load(wanted, dataset=data, threat_model=threat))


HUBS: dict[str, Callable[[str, str], Known]] = {
    "timm": _timm,
    "torchvision": _torchvision,
    HUGGING_FACE: _hugging_face,
    "robustbench": _robustbench,
}
