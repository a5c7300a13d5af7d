"""Two-level co-kriging (Kennedy and O'Hagan, 2000), the joint posterior of the upper level, with fixed hyperparameters.

Both levels are one Gaussian vector here; the library under test works level by level (Le Gratiet and Garnier, 2014), which
is the same for nested rows where the lower level has no noise. pip install numpy; python chain.py > chain.json
"""

import json

import numpy as np

random = np.random.RandomState(11)


def matern(a, b, lengths):
    distance = np.sqrt(5 * (((a[:, None, :] - b[None, :, :]) / lengths) ** 2).sum(axis=2))
    return (1 + distance + distance**2 / 3) * np.exp(-distance)


cases = []
for n, m, d, slope, noise in [(9, 4, 1, 0.8, 1e-3), (14, 6, 2, -1.3, 1e-2), (20, 9, 3, 0.5, 1e-4)]:
    lower = random.rand(n, d)
    upper = lower[:m]
    below = np.sin(4 * lower[:, 0]) + (lower**2).sum(axis=1)
    above = 3 * slope * below[:m] + 0.7 * np.cos(3 * upper[:, 0]) + 0.1 * random.randn(m)
    # Each level is standardized, and so are the residuals.
    z, y = (below - below.mean()) / below.std(), (above - above.mean()) / above.std()
    rest = y - slope * z[:m]
    center, scale = rest.mean(), rest.std()
    first = {"noise": 1e-9, "signal": 1.2, "lengths": 0.4 + 0.3 * random.rand(d)}
    second = {"noise": noise, "signal": 0.8, "lengths": 0.3 + 0.3 * random.rand(d)}

    def of_lower(a, b):
        return first["signal"] * matern(a, b, first["lengths"])

    def of_rest(a, b):
        return scale**2 * second["signal"] * matern(a, b, second["lengths"])

    covariance = np.block(
        [
            [of_lower(lower, lower) + first["noise"] * np.eye(n), slope * of_lower(lower, upper)],
            [
                slope * of_lower(upper, lower),
                slope**2 * of_lower(upper, upper) + of_rest(upper, upper) + scale**2 * noise * np.eye(m),
            ],
        ]
    )
    probes = random.rand(6, d)
    cross = np.hstack(
        [slope * of_lower(probes, lower), slope**2 * of_lower(probes, upper) + of_rest(probes, upper)]
    )
    solved = np.linalg.solve(covariance, cross.T).T
    mean = center + solved @ np.concatenate([z, y - center])
    prior = slope**2 * first["signal"] + scale**2 * second["signal"]
    cases.append(
        {
            "lower": lower.tolist(),
            "below": below.tolist(),
            "upper": upper.tolist(),
            "above": above.tolist(),
            "slope": slope,
            "first": {**first, "lengths": first["lengths"].tolist()},
            "second": {**second, "lengths": second["lengths"].tolist()},
            "probes": probes.tolist(),
            "mean": mean.tolist(),
            "variance": (prior - (solved * cross).sum(axis=1)).tolist(),
        }
    )
print(json.dumps({"library": f"numpy {np.__version__}", "cases": cases}))
