"""Clusters of incomplete points (k-means) and mixtures of Gaussians (EM), seeded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posewright.people import Doubles, Ints, Mask

__all__ = ["Mixture", "cluster", "fit_mixture", "nearest_centre"]


_ROUNDS = 200
_FLOOR = 0.002**2  # added to the variances, so that offsets on one line still have a density
_CONVERGED = 1e-6  # gain of the mean log-likelihood
_STILL = 1e-3  # share of the points that may still change their cluster


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """M Gaussians in D dimensions: weights (M,) of sum 1, means (M, D), covariances (M, D, D)."""

    weights: Doubles
    means: Doubles
    covariances: Doubles

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def moments(self) -> tuple[Doubles, Doubles]:
        """(D,) mean and (D, D) covariance of the whole."""
        mean = self.weights @ self.means
        apart = self.means - mean
        within = np.einsum("m,mij->ij", self.weights, self.covariances)
        return mean, within + np.einsum("m,mi,mj->ij", self.weights, apart, apart)

    def log_densities(self, points: Doubles) -> Doubles:
        """(N, D) -> (N, M) log of weight times density."""
        factors = np.linalg.cholesky(self.covariances)  # (M, D, D)
        apart = (points[None] - self.means[:, None]).transpose(0, 2, 1)  # (M, D, N)
        spread = np.square(np.linalg.solve(factors, apart)).sum(1)  # (M, N)
        size = 2 * np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(1)
        size += points.shape[1] * np.log(2 * np.pi)
        with np.errstate(divide="ignore"):  # a component that has lost all its points
            weights = np.log(self.weights)
        return np.asarray(weights - size / 2 - spread.T / 2)


def fit_mixture(points: Doubles, count: int, rng: np.random.Generator) -> Mixture:
    """(N, D), N at least 1 -> the mixture of `count` Gaussians by expectation-maximisation.

    It starts from clusters and ends where the likelihood does not grow.
    """
    count = min(count, len(points))
    _, labels = cluster(points, np.ones(points.shape, np.bool_), count, rng)
    belongs = np.eye(labels.max() + 1)[labels]  # (N, M)
    last = -np.inf
    mixture = _from_shares(points, belongs)
    for _ in range(_ROUNDS):
        logs = mixture.log_densities(points)
        top = logs.max(1, keepdims=True)
        total = top + np.log(np.exp(logs - top).sum(1, keepdims=True))
        mixture = _from_shares(points, np.exp(logs - total))
        now = float(total.mean())
        if now - last < _CONVERGED:
            break
        last = now
    return mixture


def _from_shares(points: Doubles, shares: Doubles) -> Mixture:
    """(N, D), (N, M) -> the most likely mixture of points that belong to it by shares."""
    total = np.maximum(shares.sum(0), 1e-12)  # (M,)
    means = (shares.T @ points) / total[:, None]
    apart = points[:, None] - means  # (N, M, D)
    covariances = np.einsum("nm,nmi,nmj->mij", shares, apart, apart, optimize=True)
    covariances = covariances / total[:, None, None] + _FLOOR * np.eye(points.shape[1])
    return Mixture(total / total.sum(), means, covariances)


def cluster(
    points: Doubles, known: Mask, count: int, rng: np.random.Generator
) -> tuple[Doubles, Ints]:
    """(N, D), (N, D) which numbers are known -> (C, D) centres, (N,) number of each point's.

    k-means from k-means++ (Arthur and Vassilvitskii 2007) with the distance over what is known; at
    most `count` centres, each of at least one point.  NaN where no point of a centre is known.
    """
    # at most `count` of the points, far ones likelier; fewer where all are alike
    chosen = [int(rng.integers(len(points)))]
    far = np.full(len(points), np.inf)
    while len(chosen) < count:
        centre = np.where(known[chosen[-1]], points[chosen[-1]], np.nan)[None]
        far = np.minimum(far, _distances(points, known, centre)[:, 0])
        # a point that shares nothing with any centre is as likely as the farthest
        far = np.where(np.isfinite(far), far, far[np.isfinite(far)].max(initial=0))
        if far.sum() <= 0:
            break
        chosen.append(int(rng.choice(len(points), p=far / far.sum())))
    centres = np.where(known[chosen], points[chosen], np.nan)
    labels = nearest_centre(points, known, centres)
    for _ in range(_ROUNDS):
        used, labels = np.unique(labels, return_inverse=True)
        member = np.eye(len(used))[labels]  # (N, C)
        seen = member.T @ known
        with np.errstate(invalid="ignore"):
            centres = (member.T @ np.where(known, points, 0)) / np.where(seen, seen, np.nan)
        fresh = nearest_centre(points, known, centres)
        moved = int((fresh != labels).sum())
        labels = fresh
        if moved <= _STILL * len(points):
            break
    used, labels = np.unique(labels, return_inverse=True)  # the last round may have emptied one
    return centres[used], labels.astype(np.int64)


def nearest_centre(points: Doubles, known: Mask, centres: Doubles) -> Ints:
    """(N, D), (N, D), (C, D) -> (N,) number of the nearest centre over what both know."""
    return np.asarray(_distances(points, known, centres).argmin(1), np.int64)


def _distances(points: Doubles, known: Mask, centres: Doubles) -> Doubles:
    """(N, D), (C, D) -> (N, C) mean squared distances; infinite where nothing is shared."""
    there = np.isfinite(centres)
    at, mask = np.where(known, points, 0), known.astype(np.float64)
    to, has = np.where(there, centres, 0), there.astype(np.float64)
    squares = np.square(at) @ has.T - 2 * at @ to.T + mask @ np.square(to).T
    shared = mask @ has.T
    mean = np.maximum(squares, 0) / np.maximum(shared, 1)
    return np.where(shared > 0, mean, np.inf)
