"""Times differentiable cone solvers on programs with quadratic rows."""

import timing
from peers import CvxpyLayers, CvxpyLayersDense, Moreau
from problems import QCQP_WORKS

PEERS = [Moreau, CvxpyLayers, CvxpyLayersDense]

if __name__ == "__main__":
    timing.time_all(QCQP_WORKS, PEERS, __doc__)
