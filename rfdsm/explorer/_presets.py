"""Settings of the papers' figures, by a name that says what is seen there."""

import numpy as np

from rfdsm.explorer._state import State, low_rank

PRESETS = {
    "Double descent, m = 4 (2609.26392)": State(),
    "Malign overfitting, m = 16 (2609.26392)": State(psi_p=64.0, m=16.0),
    "One draw: a peak at p = n (2502.00336)": State(psi_p=8.0, m=1.0),
    "Infinitely many draws: no peak (2502.00336)": State(psi_p=2.0, m=np.inf),
    "Memorisation begins beyond p = n (2502.00336)": State(psi_n=64.0, psi_p=176.0, m=np.inf, ridge=1e-6),
    "Data on a subspace, D/d = 0.25 (2502.00336)": State(m=np.inf, spectrum=low_rank(0.25)),
    "Second peak at m n = d (2609.26392)": State(psi_n=0.25, psi_p=64.0, m=4.0, abscissa="psi_n"),
    "Two bulks of the spectrum (2505.17638)": State(psi_p=64.0, m=np.inf, t=0.01, ridge=0.0, view="spectrum"),
    "Two time scales of training (2505.17638)": State(
        psi_n=16.0, psi_p=64.0, m=np.inf, ridge=0.0, view="training", d=64
    ),
    "Which target generates? (2511.13720)": State(
        psi_n=4.0, psi_p=2.0, ridge=0.03, target="data", spectrum=low_rank(0.25), view="generation"
    ),
}
"""In the order of the menu; the first is what the page opens with."""
