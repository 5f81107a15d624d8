"""Types of arrays that many modules name."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
