"""Parzen densities from SciPy: mixtures of truncated normals, their masses on levels, Aitchison-Aitken kernels.

pip install scipy; python parzen.py > parzen.json
"""

import json

import numpy as np
import scipy
from scipy.stats import truncnorm

random = np.random.RandomState(5)


def width(values, dimensions):
    m = len(values)
    reference = 1.06 * np.std(values) * m ** (-1 / (4 + dimensions))
    return max(reference, 1 / min(100, m + 2))


def kernel(kind, count, values, points, dimensions):
    """Densities or masses of `points` under the kernel of each of `values`: (points, values)."""
    if kind == "categorical":
        share = 1 / (len(values) + 1)
        same = np.floor(points[:, None] * count) == np.floor(values[None, :] * count)
        return np.where(same, 1 + share, share) / (1 + count * share)
    sigma = width(values, dimensions)
    low, high = (0 - values) / sigma, (1 - values) / sigma
    if kind == "numeric":
        return truncnorm.pdf(points[:, None], low, high, loc=values, scale=sigma)
    half = 0.5 / count
    return truncnorm.cdf(points[:, None] + half, low, high, loc=values, scale=sigma) - truncnorm.cdf(
        points[:, None] - half, low, high, loc=values, scale=sigma
    )


def density(columns, rows, points):
    product = np.ones((len(points), len(rows)))
    prior = 1.0
    for index, (kind, count) in enumerate(columns):
        product *= kernel(kind, count, rows[:, index], points[:, index], len(columns))
        prior /= count or 1
    return (product.sum(axis=1) + prior) / (len(rows) + 1)


def draw(columns, n):
    rows = random.rand(n, len(columns))
    for index, (_, count) in enumerate(columns):
        if count:
            rows[:, index] = (np.floor(rows[:, index] * count) + 0.5) / count
    return rows


cases = []
for columns, n, good in [
    ([("numeric", 0)], 9, 2),
    ([("numeric", 0), ("numeric", 0), ("numeric", 0)], 20, 6),
    ([("numeric", 0), ("ordinal", 5), ("categorical", 4)], 22, 5),
]:
    rows, points = draw(columns, n), draw(columns, 6)
    ratio = np.log(density(columns, rows[:good], points)) - np.log(density(columns, rows[good:], points))
    cases.append({
        "columns": columns,
        "rows": rows.tolist(),
        "good": good,
        "probes": points.tolist(),
        "log_ratio": ratio.tolist(),
    })
print(json.dumps({"library": f"SciPy {scipy.__version__}", "cases": cases}))
