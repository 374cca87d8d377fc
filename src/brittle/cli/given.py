"""What a verb is given: a model and data, by options that all such verbs share."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from brittle.errors import BrittleError

from .options import DataDir, Size, count_of

if TYPE_CHECKING:
    from brittle.learning import Split
    from brittle.studies import DataSource, File

MODEL_HELP = (
    "zoo:NAME, FILE.safetensors of ours, timm:NAME, torchvision:NAME, hf:DIR_OR_ID, robustbench:ID, a TorchScript or "
    "ONNX file, trusted:FILE.pt2 (torch.export), or module:callable"
)
FIRST = ("model", "data")  # the other options are listed last
USUAL_COUNT = 500  # of the images of a known data set; of a user's own data all are asked about
OWN = ("folder", "npz", "hf", "tensors")
RESIZED = ("folder", "hf", "restricted")


@dataclass(frozen=True)
class Given:
    """The model and the data of a verb, as they are typed."""

    model: Annotated[str | None, typer.Argument(metavar="MODEL", help=MODEL_HELP)] = None
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="data set: digits, mnist, cifar10, folder:PATH, folder:LIST.csv (a file and a label in each row), "
            "npz:PATH, hf:PATH (see: brittle data)",
        ),
    ] = None
    size: Size = None
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="state dict for an architecture (plain tensors only); random: untrained"),
    ] = None
    preprocess: Annotated[
        str,
        typer.Option(
            "--preprocess", help="what the model expects: means, then deviations (0.5,0.25), imagenet, cifar10 or mnist"
        ),
    ] = ""
    input_range: Annotated[
        str, typer.Option("--input-range", help="what black and white are to the model, such as 0,255")
    ] = "0,1"
    layout: Annotated[str, typer.Option("--layout", help="of the model's images: NCHW or NHWC")] = "NCHW"
    data_dir: DataDir = None

    def __post_init__(self) -> None:
        if self.size is not None and self.data is None:
            raise BrittleError("--size is of the pictures of --data; give both, or neither")

    def subject(self) -> tuple["File", "DataSource"]:
        """The model, and the data or else those that it was trained on, as declarations.

        Raises:
            BrittleError: no model is named, or no data; either cannot be had.
        """
        from brittle.learning import Inputs, real_name
        from brittle.studies import DataSource, File

        if self.model is None:
            raise BrittleError("say which model: give MODEL, such as zoo:mnist-linf")
        asked = DataSource.of(sized(self.data, self.size), self.data_dir) if self.data else None
        inputs = Inputs(self.preprocess, self.input_range, self.layout)
        file = File.of(self.model, self.weights, inputs, asked)
        source = asked or DataSource.of(_trained_on(file.load().header), self.data_dir)
        if part := source.load().held_out:
            from .terminal import console, noted

            console.print(f"note: tried on {part}; a test part of your own (PATH/test, x_test) is tried on as a whole")
            header = file.load().header or {}
            if "held_out" not in header and real_name(header.get("data", "")) == source.name:
                told = "this net was trained when others of these images were held out, and is tried on some of its own"
                console.print(noted(f"{told}; train it again", "warning"))
        return file.tried_on(source), source

    def filled(self, typed: frozenset[str], **usual: Any) -> "Given":
        """The same, with `usual` in the place of what is not in `typed`."""
        return replace(self, **{name: value for name, value in usual.items() if name not in typed})

    def loaded(self, n: str | int | None, device: str) -> tuple[Any, "Split", str]:
        """The model and the first `n` test images (as typed, or at most so many), both on the device, and the name of
        the data set."""
        from brittle.ground import pick_device
        from brittle.studies import on_device, test_examples

        file, source = self.subject()
        part = test_examples(source, n if isinstance(n, int) else count_asked(n, source))
        return on_device(file.load(), device), part.to(pick_device(device)), source.name


def about_a_model(verb: Callable[..., None]) -> Callable[..., None]:
    """A verb whose parameter `given: Given` becomes the argument and the options of `Given`."""
    hints = get_type_hints(Given, include_extras=True)
    options = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(Given)
    ]
    own = inspect.signature(verb, eval_str=True).parameters.values()
    ahead = [one for one in own if one.default is inspect.Parameter.empty and one.name != "given"]
    after = [one for one in own if one.default is not inspect.Parameter.empty]
    listed = [
        *ahead,
        *(one for one in options if one.name in FIRST),
        *after,
        *(one for one in options if one.name not in FIRST),
    ]

    @wraps(verb)
    def asking(**typed: Any) -> None:
        verb(given=Given(**{field.name: typed.pop(field.name) for field in fields(Given)}), **typed)

    asking.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in listed]
    )
    asking.__annotations__ = {one.name: one.annotation for one in listed}
    return asking


def sized(data: str, size: int | None) -> str:
    """A data set's name with the size that its pictures are brought to.

    Raises:
        BrittleError: it has no pictures to resize.
    """
    if size is not None and data.partition(":")[0] not in RESIZED:
        raise BrittleError(f"--size is for pictures ({', '.join(f'{kind}:PATH' for kind in RESIZED)}), not for {data}")
    return data if size is None else f"{data}@{size}"


def count_asked(n: str | None, source: "DataSource", usual: int = USUAL_COUNT) -> int:
    """How many test images: as many as are asked for, else `usual`, and of a user's own data all (0)."""
    there = len(source.load().test)
    if n is not None:
        return count_of(n, there)
    return 0 if source.typed.partition(":")[0] in OWN else min(usual, there)


def _trained_on(header: dict[str, Any] | None) -> str:
    """The data set that a checkpoint was trained on."""
    from brittle.learning import real_name

    if header and header.get("data"):
        return real_name(str(header["data"]))
    raise BrittleError("say on which data set: --data mnist (see: brittle data)")
