"""Log expected improvement and log probability of improvement from their definitions, by mpmath and SciPy.

Expected improvement is the integral of (best - f) times the normal density below best, in closed form with enough
digits for the cancellation in the tail. pip install mpmath scipy; python improvement.py > improvement.json
"""

import json

import mpmath as mp
import scipy
from scipy.special import log_ndtr

rows = []
for mean in [-2.0, 0.0, 0.5, 3.0, 60.0]:
    for deviation in [1e-6, 1e-3, 0.4, 2.0]:
        best = 0.1
        z = (best - mean) / deviation
        mp.mp.dps = 60 + int(4 * mp.log10(abs(z) + 2))
        b, m, s = mp.mpf(best), mp.mpf(mean), mp.mpf(deviation)
        u = (b - m) / s
        value = (b - m) * mp.erfc(-u / mp.sqrt(2)) / 2 + s * mp.exp(-u * u / 2) / mp.sqrt(2 * mp.pi)
        rows.append({
            "mean": mean,
            "deviation": deviation,
            "best": best,
            "log_expected_improvement": float(mp.log(value)),
            "log_probability_of_improvement": float(log_ndtr(z)),
        })
print(json.dumps({"libraries": f"mpmath {mp.__version__}, SciPy {scipy.__version__}", "cases": rows}, indent=1))
