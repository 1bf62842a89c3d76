"""Times solvers on sparse cone programs with second-order and exponential cones."""

import timing
from peers import Clarabel, CvxpyLayers, CvxpyLayersDense, Moreau
from problems import CONE_WORKS

PEERS = [Clarabel, Moreau, CvxpyLayers, CvxpyLayersDense]

if __name__ == "__main__":
    timing.time_all(CONE_WORKS, PEERS, __doc__)
