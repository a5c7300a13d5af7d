"""Densities of BOHB by statsmodels, the library that HpBandSter calls, with HpBandSter's split and bandwidth floor.

pip install statsmodels; python kernel_density.py > kernel_density.json
"""

import json

import numpy as np
import statsmodels
from statsmodels.nonparametric.kernel_density import KDEMultivariate

random = np.random.RandomState(11)
FLOOR = 1e-3
PERCENT = 15


def density(columns, rows):
    kinds = "".join("u" if kind == "categorical" else "c" for kind, _ in columns)
    fitted = KDEMultivariate(data=rows, var_type=kinds, bw="normal_reference")
    fitted.bw = np.clip(fitted.bw, FLOOR, None)
    for index, (kind, count) in enumerate(columns):
        if kind == "categorical":
            # Only where statsmodels' kernel is a probability over all choices are its numbers comparable.
            assert len(np.unique(rows[:, index])) == count and fitted.bw[index] < (count - 1) / count
    return fitted


def draw(columns, n):
    """Numbers in the unit interval, choices as codes."""
    return np.column_stack([
        random.randint(count, size=n) if kind == "categorical" else random.rand(n) for kind, count in columns
    ]).astype(float)


def encode(columns, rows):
    encoded = rows.copy()
    for index, (kind, count) in enumerate(columns):
        if kind == "categorical":
            encoded[:, index] = (rows[:, index] + 0.5) / count
    return encoded


cases = []
for columns, n, constant in [
    ([("numeric", 0)], 10, False),
    ([("numeric", 0), ("numeric", 0), ("numeric", 0)], 60, False),
    ([("numeric", 0), ("categorical", 2), ("categorical", 3)], 90, False),
    ([("numeric", 0), ("numeric", 0)], 30, True),
]:
    rows, points = draw(columns, n), draw(columns, 8)
    if constant:
        # Good points that agree in a column get the narrowest kernel, and far points the floor of the density.
        rows[: n // 3, 1] = 0.5
        points[:2, 1] = 0.5
    fewest = len(columns) + 1
    good = max(fewest, PERCENT * n // 100)
    bad = max(fewest, (100 - PERCENT) * n // 100)
    above, below = density(columns, rows[:good]), density(columns, rows[good : good + bad])
    floored = [np.maximum(kde.pdf(points), 1e-32) for kde in (above, below)]
    cases.append({
        "columns": columns,
        "rows": encode(columns, rows).tolist(),
        "probes": encode(columns, points).tolist(),
        "log_ratio": (np.log(floored[0]) - np.log(floored[1])).tolist(),
    })
print(json.dumps({"library": f"statsmodels {statsmodels.__version__}", "cases": cases}))
