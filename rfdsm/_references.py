"""The papers behind the formulas, as BibTeX."""

from typing import Any

import numpy as np

from rfdsm import _arguments as arguments, linear
from rfdsm._problem import Problem


def _arxiv(key: str, number: str, title: str, authors: str) -> str:
    return (
        f"@misc{{{key},\n  title = {{{title}}},\n  author = {{{authors}}},\n  year = {{20{number[:2]}}},\n"
        f"  eprint = {{{number}}},\n  archivePrefix = {{arXiv}},\n  url = {{https://arxiv.org/abs/{number}}},\n}}"
    )


LEARNING_CURVES = _arxiv(
    "george2025denoising",
    "2502.00336",
    "{Denoising Score Matching with Random Features: Insights on Diffusion Models from Precise Learning Curves}",
    "George, Anand Jerry and Veiga, Rodrigo and Macris, Nicolas",
)
FINITE_M = _arxiv(
    "urfin2026double",
    "2609.26392",
    "{Double Descent and Malign Overfitting in Diffusion Models}",
    "Urfin, Rapha{\\\"e}l and Bonnaire, Tony and Biroli, Giulio and M{\\'e}zard, Marc",
)
DYNAMICS = _arxiv(
    "bonnaire2025why",
    "2505.17638",
    "{Why Diffusion Models Don't Memorize: The Role of Implicit Dynamical Regularization in Training}",
    "Bonnaire, Tony and Urfin, Rapha{\\\"e}l and Biroli, Giulio and M{\\'e}zard, Marc",
)
ONE_STEP = _arxiv(
    "halder2024solvable",
    "2411.17807",
    "{A solvable generative model with a linear, one-step denoiser}",
    "Halder, Indranil",
)
SOFTWARE = (
    "@software{rfdsm,\n  title = {rfdsm: denoising score matching with random features, in theory and in simulation},\n"
    "  author = {{The rfdsm developers}},\n  year = {2026},\n  version = {0.1.0},\n}"
)


def citation(problem: Any, *, training: Any = False) -> str:
    """Prints the BibTeX of the papers whose formulas answer a problem, and of this software; returns it too.

    The learning curves of random features are those of arXiv 2502.00336 (m = 1 and m = infinity). Problems with a
    finite m > 1 anywhere in the grid add arXiv 2609.26392; a covariance other than a multiple of the identity, the
    spectrum of the features and training time add arXiv 2505.17638; the linear one-step denoiser is arXiv 2411.17807.

    Args:
        problem: a `Problem` or a `linear.Problem`; fields may be arrays, but must be concrete.
        training: whether `spectral_density`, `training_curve` or `optimal_stopping` were used.

    Raises:
        ValueError: anything else as problem, a traced problem, or training not a bool.

    Examples:
        >>> import rfdsm
        >>> text = rfdsm.citation(rfdsm.Problem(psi_n=8, psi_p=16, m=4, t=0.1, ridge=1e-3))  # doctest: +ELLIPSIS
        @misc{george2025denoising,
          title = {{Denoising Score Matching with Random Features: ...}},
        ...
        @software{rfdsm,
        ...
        >>> text.count("@misc")
        2
    """
    if not isinstance(training, bool):
        raise ValueError(f"training = {training!r} must be True or False")
    if isinstance(problem, linear.Problem):
        entries = [ONE_STEP]
    elif isinstance(problem, Problem):
        if problem.traced:
            raise ValueError("problem must be concrete: m decides which papers apply")
        m = np.asarray(problem.m)
        entries = [LEARNING_CURVES]
        entries += [FINITE_M] if np.any((m > 1) & np.isfinite(m)) else []
        entries += [DYNAMICS] if training or problem.spectrum.nodes.size > 1 else []
    else:
        raise ValueError(f"problem must be a rfdsm.Problem or a rfdsm.linear.Problem, got {arguments.kind(problem)}")
    text = "\n\n".join([*entries, SOFTWARE])
    print(text)
    return text
