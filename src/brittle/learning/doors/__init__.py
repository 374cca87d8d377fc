"""MODEL, wherever it is: our checkpoints and nets, a user's code, programs, and the libraries that models come from."""

from .inputs import USUAL, Classifier, Inputs, classifier
from .loading import Loaded, load_model, runs_code
from .names import Reordered
from .tell_apart import behaviour_of, digest_of_code

__all__ = [
    "USUAL",
    "Classifier",
    "Inputs",
    "Loaded",
    "Reordered",
    "behaviour_of",
    "classifier",
    "digest_of_code",
    "load_model",
    "runs_code",
]
