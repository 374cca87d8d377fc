"""MODEL, wherever it is: our checkpoints and nets, a user's code, programs, and the libraries that models come from."""

from .inputs import USUAL, Classifier, Inputs, classifier
from .loading import Loaded, load_model
from .tell_apart import behaviour_of

__all__ = ["USUAL", "Classifier", "Inputs", "Loaded", "behaviour_of", "classifier", "load_model"]
