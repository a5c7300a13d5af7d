"""Log expected hypervolume improvement and MESMO's information, from their definitions by mpmath.

The open region is cut by the whole grid of front coordinates: every grid cell that no front point dominates adds the
product of one-dimensional expected lengths. That is another decomposition than the library's, and the digits are enough
for the cancellation in the tails. pip install mpmath; python hypervolume.py > hypervolume.json
"""

import itertools
import json
import random

import mpmath as mp

mp.mp.dps = 80
generator = random.Random(7)


def expected_below(t, mean, deviation):
    """E[max(t - f, 0)] of a normal f."""
    if t == -mp.inf:
        return mp.mpf(0)
    z = (t - mean) / deviation
    return (t - mean) * mp.erfc(-z / mp.sqrt(2)) / 2 + deviation * mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)


def improvement(front, reference, mean, deviation):
    objectives = len(reference)
    edges = [sorted({-mp.inf, mp.mpf(reference[k])} | {mp.mpf(p[k]) for p in front}) for k in range(objectives)]
    below = [
        [expected_below(edge, mp.mpf(mean[k]), mp.mpf(deviation[k])) for edge in edges[k]] for k in range(objectives)
    ]
    total = mp.mpf(0)
    for place in itertools.product(*[range(len(edge) - 1) for edge in edges]):
        lower = [edges[k][place[k]] for k in range(objectives)]
        if any(all(p[k] <= lower[k] for k in range(objectives)) for p in front):
            continue
        term = mp.mpf(1)
        for k in range(objectives):
            term *= below[k][place[k] + 1] - below[k][place[k]]
        total += term
    return total


def front_of(points):
    def dominated(p):
        return any(q != p and all(a <= b for a, b in zip(q, p)) for q in points)

    return [p for p in points if not dominated(p)]


cases = []
for objectives in [2, 3, 4]:
    for shift, scale in [(0.0, 0.3), (0.6, 0.05), (3.0, 0.1), (0.5, 1e-3), (-1.5, 0.2), (12.0, 0.5)]:
        front = front_of([[round(generator.random(), 3) for _ in range(objectives)] for _ in range(6)])
        reference = [1.1] * objectives
        mean = [round(generator.random() * 0.5 + shift, 3) for _ in range(objectives)]
        deviation = [scale * (1 + k) for k in range(objectives)]
        value = mp.log(improvement(front, reference, mean, deviation))
        cases.append({
            "front": front,
            "reference": reference,
            "mean": mean,
            "deviation": deviation,
            "log_expected_hypervolume_improvement": float(value),
        })

information = []
for gamma in [-40.0, -6.0, -1.0, 0.0, 0.7, 3.9, 4.1, 9.0, 35.0]:
    g = mp.mpf(gamma)
    cdf = mp.erfc(-g / mp.sqrt(2)) / 2
    density = mp.exp(-g * g / 2) / mp.sqrt(2 * mp.pi)
    # One minus a tail that the digits would not show.
    log_cdf = mp.log1p(-mp.erfc(g / mp.sqrt(2)) / 2) if g > 0 else mp.log(cdf)
    value = g * density / (2 * cdf) - log_cdf
    information.append({"gamma": gamma, "log_information": float(mp.log(value))})
print(json.dumps({"libraries": f"mpmath {mp.__version__}", "cases": cases, "information": information}, indent=1))
