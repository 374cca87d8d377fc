"""What a training says, written for a logger as it goes: CSV, TensorBoard, Weights & Biases."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from brittle.ground import BrittleError, package

from .progress import TrainingProgress

LOGGERS = {"csv": "csv:FOLDER", "tensorboard": "tensorboard:FOLDER", "wandb": "wandb:PROJECT"}
NOT_FIGURES = ("step", "steps", "alarm")


def logged(events: Iterable[TrainingProgress], log: str) -> Iterator[TrainingProgress]:
    """The same events, whose figures are logged by step; a run that is taken up again goes on at its step, in files
    of its own.

    Args:
        log: as in `LOGGERS`, or "" for none.
    Raises:
        BrittleError: another text, or a logger that is not installed.
    """
    logger = _logger(log) if log else None
    for event in events:
        figures = {
            name: value for name, value in asdict(event).items() if value is not None and name not in NOT_FIGURES
        }
        if logger is not None and event.loss is not None:
            logger.log_metrics(figures, event.step)
            logger.save()
        yield event
    if logger is not None:
        logger.finalize("success")


def check_log(log: str) -> None:
    """Raise `BrittleError` if nothing can be logged there."""
    kind, _, place = log.partition(":")
    if kind not in LOGGERS or not place:
        raise BrittleError(f"a log is written {', '.join(LOGGERS.values())}, not {log!r}")
    if kind != "csv":
        package(kind, log, "log")


def _logger(log: str) -> Any:
    check_log(log)
    kind, _, place = log.partition(":")
    if kind == "wandb":
        return package("lightning.pytorch.loggers", log, "log").WandbLogger(project=place)
    loggers = package("lightning_fabric.loggers", log, "log")
    return (loggers.CSVLogger if kind == "csv" else loggers.TensorBoardLogger)(place, name="")
