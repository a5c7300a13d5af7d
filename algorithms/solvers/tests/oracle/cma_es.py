"""Constants of CMA-ES and one generation's update by cmaes, an independent implementation of Hansen's tutorial.

pip install cmaes; python cma_es.py > cma_es.json
"""

import importlib.metadata
import json

import numpy as np
from cmaes import CMA

random = np.random.RandomState(3)

strategies = []
for n, members in [(2, 6), (3, 7), (5, 8), (10, 10), (20, 12), (10, 40), (40, 15), (2, 100)]:
    cma = CMA(mean=np.full(n, 0.5), sigma=0.2, population_size=members)
    strategies.append({
        "dimensions": n,
        "members": members,
        "weights": cma._weights.tolist(),
        "parents": cma._mu,
        "effective": cma._mu_eff,
        "rate_sigma": cma._c_sigma,
        "damping": cma._d_sigma,
        "rate_path": cma._cc,
        "rate_one": cma._c1,
        "rate_many": cma._cmu,
    })

updates = []
for n, members in [(2, 6), (3, 7), (5, 8)]:
    # The first generation alone: from the second on, the factor of the covariance is another one here.
    cma = CMA(mean=np.full(n, 0.5), sigma=0.1, population_size=members)
    points = 0.5 + 0.1 * random.randn(members, n).clip(-1.2, 1.2)
    cma.tell([(point, float(rank)) for rank, point in enumerate(points)])
    updates.append({
        "ranked": points.tolist(),
        "mean": cma._mean.tolist(),
        "sigma": cma._sigma,
        "covariance": cma._C.tolist(),
    })
print(json.dumps({"library": f"cmaes {importlib.metadata.version('cmaes')}", "strategies": strategies, "updates": updates}))
