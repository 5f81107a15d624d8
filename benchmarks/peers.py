"""Other LASSO solvers, each called as its documentation says, for one target's path: coefficients [n, k].

Each runs with the loosest of its tolerances at which our float64 judge finds the wanted gap at every lambda, in float32
where that suffices; compilation is over before the clock starts.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from planted import relative_gap, standardized


@dataclass
class Problem:
    """x: standardized masks float64 [m, n]; single: the same in float32; gram: x^T x; gram_seconds: what it took."""

    masks: np.ndarray
    x: np.ndarray = field(init=False)
    single: np.ndarray = field(init=False)
    gram: np.ndarray = field(init=False)
    gram_seconds: float = 0.0
    prepare_seconds: float = 0.0

    def __post_init__(self) -> None:
        began = time.perf_counter()
        self.x = standardized(self.masks)
        self.prepare_seconds = time.perf_counter() - began
        self.single = np.asfortranarray(self.x, np.float32)
        began = time.process_time()
        # One sgemm of the masks is exact below 2^24 models; centering and scaling are rank-one.
        bits = self.masks.astype(np.float32)
        counts = (bits.T @ bits).astype(np.float64)
        m = len(bits)
        mean = counts.diagonal() / m
        inverse = 1 / np.sqrt(mean * (1 - mean))
        counts -= m * np.outer(mean, mean)
        counts *= inverse[:, None]
        counts *= inverse
        self.gram = np.ascontiguousarray(counts)
        self.gram_seconds = time.process_time() - began


def sklearn_raw(problem: Problem, y: np.ndarray, lambdas: np.ndarray, tol: float, dtype: type) -> np.ndarray:
    from sklearn.linear_model import lasso_path

    x = _of(problem, dtype)
    return lasso_path(x, y.astype(dtype), alphas=lambdas, precompute=False, tol=tol, max_iter=10_000)[1]


def sklearn_gram(problem: Problem, y: np.ndarray, lambdas: np.ndarray, tol: float, dtype: type) -> np.ndarray:
    from sklearn.linear_model import lasso_path

    products = problem.x.T @ y
    return lasso_path(
        problem.x, y, alphas=lambdas, precompute=problem.gram, Xy=products, tol=tol, max_iter=10_000, check_input=False
    )[1]


def celer_raw(problem: Problem, y: np.ndarray, lambdas: np.ndarray, tol: float, dtype: type) -> np.ndarray:
    from celer import celer_path

    x = _of(problem, dtype)
    return celer_path(x, y.astype(dtype), "lasso", alphas=lambdas.astype(dtype), tol=tol, max_iter=100)[1]


def skglm_raw(problem: Problem, y: np.ndarray, lambdas: np.ndarray, tol: float, dtype: type) -> np.ndarray:
    from skglm.datafits import Quadratic
    from skglm.penalties import L1
    from skglm.solvers import AndersonCD

    x = _of(problem, dtype)
    # Its tolerance is a distance to the subdifferential, on lambda's scale.
    solver = AndersonCD(tol=tol * lambdas[0], fit_intercept=False, warm_start=True)
    datafit, penalty = _compiled(Quadratic(), dtype), _compiled(L1(float(lambdas[0])), dtype)
    return solver.path(x, y.astype(dtype), datafit, penalty, alphas=lambdas.astype(dtype))[1]


def adelie_cov(problem: Problem, y: np.ndarray, lambdas: np.ndarray, tol: float, dtype: type) -> np.ndarray:
    import adelie

    m = len(y)
    if not hasattr(problem, "_covariance"):
        problem._covariance = np.asfortranarray(problem.gram / m)
    state = adelie.solver.gaussian_cov(
        A=problem._covariance,
        v=problem.x.T @ y / m,
        lmda_path=lambdas,
        tol=tol,
        rdev_tol=0,
        early_exit=False,
        progress_bar=False,
        n_threads=1,
    )
    return state.betas.toarray().T


def _of(problem: Problem, dtype: type) -> np.ndarray:
    return problem.single if dtype is np.float32 else problem.x


def _compiled(part: object, dtype: type) -> object:
    try:
        from skglm.utils.jit_compilation import compiled_clone
    except ImportError:
        return part
    return compiled_clone(part, to_float32=dtype is np.float32)


@dataclass(frozen=True)
class Peer:
    """tolerances: from loose to tight; gram: works on the Gram; single: float32 is tried first."""

    name: str
    solve: Callable[..., np.ndarray]
    tolerances: tuple[float, ...]
    gram: bool
    single: bool


PEERS = [
    Peer("scikit-learn, raw", sklearn_raw, (3e-4, 1e-4, 3e-5, 1e-5), False, True),
    Peer("scikit-learn, Gram", sklearn_gram, (3e-4, 1e-4, 3e-5, 1e-5), True, False),
    Peer("celer", celer_raw, (1e-3, 3e-4, 1e-4, 3e-5, 1e-5), False, True),
    Peer("skglm", skglm_raw, (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6), False, True),
    Peer("adelie, covariance", adelie_cov, (1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12), True, False),
]


def measure(peer: Peer, problem: Problem, ys: list[np.ndarray], grids: list[np.ndarray], goal: float) -> dict:
    """Median seconds a target, the tolerance it took and the largest gap found; or why there is none."""
    import sys

    tried: list[str] = []
    for dtype in (np.float32, np.float64) if peer.single else (np.float64,):
        for tol in peer.tolerances:
            try:
                gap, wall, cpu = _paths(peer, problem, ys, grids, tol, dtype, goal)
            except Exception as error:
                tried.append(f"{dtype.__name__}: {type(error).__name__}: {error}")
                break
            tried.append(f"{dtype.__name__} tol {tol:g}: gap {gap:.2g}")
            print("   ", peer.name, tried[-1], f"{np.median(wall):.2f} s a target", file=sys.stderr, flush=True)
            if gap <= goal:
                found = {"wall": float(np.median(wall)), "cpu": float(np.median(cpu)), "gap": gap, "tol": tol}
                return found | {"dtype": dtype.__name__, "targets": len(wall), "tried": tried}
    return {"failed": "; ".join(tried)}


def _paths(
    peer: Peer, problem: Problem, ys: list, grids: list, tol: float, dtype: type, goal: float
) -> tuple[float, list[float], list[float]]:
    worst, wall, cpu = 0.0, [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Compiles what compiles, on a short path.
        peer.solve(problem, ys[0], grids[0][:2], tol, dtype)
        for y, grid in zip(ys, grids, strict=True):
            began, used = time.perf_counter(), time.process_time()
            coefs = peer.solve(problem, y, grid, tol, dtype)
            wall.append(time.perf_counter() - began)
            cpu.append(time.process_time() - used)
            worst = max(worst, float(relative_gap(problem.x, y, coefs, grid).max()))
            if worst > goal:
                break
    return worst, wall, cpu
