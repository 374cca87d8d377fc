"""Array names used in every signature, checked by the tests at run time.

`B` is the number of examples and `*S` the shape of one of them (`C H W` for images).
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

Images = Float[Tensor, "B *S"]
Labels = Int[Tensor, "B"]
Logits = Float[Tensor, "B C"]
PerExample = Float[Tensor, "B"]
Flags = Bool[Tensor, "B"]
