"""All targets at once at one lambda each: block descent with cheap products, certified with exact ones.

For each block of units in turn, every target's LASSO over that block is solved by accelerated proximal steps, given the
coefficients of all other units (Gauss-Seidel over blocks: where masks share a direction, as with an alpha that varies,
a gradient step on all units at once would have to be tens of times shorter). The slopes of a block are those of the
last certificate less C times what has changed since, a product in few bits. A certificate recomputes the slopes of all
units in float64 from the counts and with them the duality gap; targets that miss the tolerance go on, the others are
left.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

from subtrain.regression.device.covariance import Covariance, DeviceBlock, Fast
from subtrain.regression.lasso.path_stopping import Stop

# Sweeps over all blocks before a certificate, and proximal steps in a block: at first, and at most. Both double while
# targets miss the tolerance.
SWEEPS = (2, 16)
STEPS = (4, 256)


@dataclass(frozen=True)
class DeviceRules:
    """tol: relative gap to reach. sweeps: at most for one lambda. stop: when a validated path ends. positive: weights
    may not be negative."""

    tol: float
    sweeps: int
    stop: Stop
    positive: bool


@dataclass(frozen=True)
class Model:
    """What all targets share. penalty: float64 [n], 0 for a unit that is left out."""

    exact: Covariance
    fast: Fast
    penalty: Any


@dataclass(frozen=True)
class DescentState:
    """t targets, float64: coef [n, t]; slope = rho - C coef [n, t]; rho [n, t]; variance [t]."""

    coef: Any
    slope: Any
    rho: Any
    variance: Any

    def take(self, at: Any) -> DescentState:
        """A copy of the targets `at`."""
        return DescentState(self.coef[:, at], self.slope[:, at], self.rho[:, at], self.variance[at])

    def put(self, at: Any, part: DescentState) -> None:
        """Write back what `take` gave."""
        self.coef[:, at] = part.coef
        self.slope[:, at] = part.slope


def solve(model: Model, state: DescentState, lam: Any, rules: DeviceRules) -> tuple[Any, Any]:
    """Bring every target to its lambda [t]; the duality gaps and the sweeps taken, [t]. state is updated."""
    import torch

    goal = 0.5 * rules.tol * state.variance
    gap = torch.full_like(lam, float("inf"))
    taken = torch.zeros(lam.shape, dtype=torch.int64, device=lam.device)
    at = torch.arange(len(lam), device=lam.device)
    part = state
    for turn in count():
        sweeps = min(SWEEPS[0] << min(turn, 16), SWEEPS[1], rules.sweeps - int(taken[at[0]]))
        _descend(model, part, lam[at], rules, sweeps, min(STEPS[0] << min(turn, 16), STEPS[1]))
        gap[at] = certify(model, part, lam[at], rules.positive)
        taken[at] += sweeps
        going = ~(gap[at] <= goal[at]) & (taken[at] < rules.sweeps)
        if part is not state and not bool(going.all()):
            state.put(at, part)
        if not bool(going.any()):
            return gap, taken
        if not bool(going.all()):
            at = at[going]
            part = state.take(at)
    raise AssertionError("unreachable")


def certify(model: Model, state: DescentState, lam: Any, positive: bool) -> Any:
    """Recompute the slopes from the counts, and the duality gap [t] of the coefficients as they are; inf for NaN."""
    import torch

    fitted, residual = state.variance.clone(), state.variance.clone()
    l1, excess = torch.zeros_like(lam), torch.ones_like(lam)
    for here, part in model.exact.parts():
        rho, coef = state.rho[here], state.coef[here]
        slope = torch.addmm(rho, part, state.coef, alpha=-1.0)
        state.slope[here] = slope
        penalty = model.penalty[here, None]
        fitted -= (rho * coef).sum(dim=0)
        residual -= ((rho + slope) * coef).sum(dim=0)
        l1 += lam * (penalty * coef.abs()).sum(dim=0)
        pull = (slope if positive else slope.abs()) / penalty.clamp_min(1e-300)
        excess = torch.maximum(excess, pull.where(penalty > 0, 0.0).amax(dim=0) / lam)
    return _gap(fitted, residual, l1, excess).nan_to_num(nan=float("inf"), posinf=float("inf"))


def _gap(fitted: Any, residual: Any, l1: Any, excess: Any) -> Any:
    """Primal minus the best dual value along the residual, as `descent.duality_gap` has it."""
    import torch

    # NaN must come through: clamp keeps it.
    residual = residual.clamp_min(0.0)
    scale = torch.where(residual == 0.0, 1.0, fitted / residual)
    scale = torch.minimum(scale, 1.0 / excess).clamp_min(0.0)
    return (0.5 * residual + l1 - scale * fitted + 0.5 * scale.square() * residual).clamp_min(0.0)


def _descend(model: Model, state: DescentState, lam: Any, rules: DeviceRules, sweeps: int, steps: int) -> None:
    """Some sweeps over all blocks of units, from slopes that are exact for the coefficients at entry."""
    import torch

    matrix = model.fast.matrix
    before = state.coef.clone()
    size = _stride(model, state, lam, rules.positive)
    # What a target's coefficients have changed since, in units of its first step: within the range of few bits.
    change = torch.zeros(before.shape, dtype=matrix.dtype, device=before.device)
    moving = False
    for _ in range(sweeps):
        for block in model.fast.blocks:
            units = block.units
            slope = state.slope[units]
            if moving:
                slope = slope - (matrix[units] @ change).double() * size
            bound = torch.outer(model.penalty[units], lam)
            coef = _block(block, state.coef[units], slope, bound, rules.positive, steps)
            state.coef[units] = coef
            change[units] = ((coef - before[units]) / size).to(matrix.dtype)
            moving = True


def _stride(model: Model, state: DescentState, lam: Any, positive: bool) -> Any:
    """The largest change of a coefficient in one proximal step, [t]; 1 where nothing changes."""
    import torch

    largest = torch.zeros_like(lam)
    for block in model.fast.blocks:
        coef = state.coef[block.units]
        bound = torch.outer(model.penalty[block.units], lam)
        moved = _soft(coef + block.step * state.slope[block.units], block.step * bound, positive) - coef
        largest = torch.maximum(largest, moved.abs().amax(dim=0))
    return largest.where(largest > 0, 1.0)


def _block(block: DeviceBlock, coef: Any, slope: Any, bound: Any, positive: bool, steps: int) -> Any:
    """Coefficients [b, t] after accelerated proximal steps with restarts; slope: at `coef`, other units held."""
    import torch

    here = ahead = coef
    pull = slope
    momentum = torch.ones_like(slope[0])
    for left in reversed(range(steps)):
        reached = _soft(ahead + block.step * pull, block.step * bound, positive)
        if not left:
            break
        onward = reached - here
        # Where the last step points back, momentum has overshot: start it again.
        momentum = torch.where(((ahead - reached) * onward).sum(dim=0) > 0, 1.0, momentum)
        larger = 0.5 * (1.0 + (1.0 + 4.0 * momentum.square()).sqrt())
        here, ahead = reached, reached + ((momentum - 1.0) / larger) * onward
        momentum = larger
        pull = slope - (block.inner @ (ahead - coef).float()).double()
    return reached


def _soft(value: Any, bound: Any, positive: bool) -> Any:
    import torch

    if positive:
        return (value - bound).clamp_min(0.0)
    return value - torch.minimum(torch.maximum(value, -bound), bound)
