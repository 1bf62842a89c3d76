"""Times differentiable QP solvers on the QPs and affine projections of the Rust benchmark."""

import timing
from peers import CvxpyLayers, CvxpyLayersDense, Moreau, MoreauActiveSet, QpLayer, Qpth
from problems import QP_WORKS

PEERS = [MoreauActiveSet, Moreau, QpLayer, Qpth, CvxpyLayers, CvxpyLayersDense]

if __name__ == "__main__":
    timing.time_all(QP_WORKS, PEERS, __doc__)
