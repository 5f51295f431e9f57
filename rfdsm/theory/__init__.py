"""Theory: exact losses in the proportional limit."""

from rfdsm.theory import limits as limits
from rfdsm.theory._predict import predict as predict
