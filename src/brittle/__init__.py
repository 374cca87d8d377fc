"""Attack, audit and train classifiers; find the features that are useful yet brittle.

x_adv = brittle.pgd(brittle.against(model), Linf("8/255"), steps=40)(x, y)
report = brittle.audit(model, (x, y), threats=[Linf(0.3), L2(2), L1(10)])
sets = brittle.disentangle(robust, standard, split)
scores = brittle.usefulness(model, split, L2(0.25))
"""

import lazy_loader

__version__ = "0.1.0"

# names are written in __init__.pyi, and imported when they are first used: `brittle --help` does not wait for torch
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
