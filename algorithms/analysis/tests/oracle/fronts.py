"""Hypervolumes and nondominated points of random sets by moocore.

pip install moocore numpy; python fronts.py > fronts.json
"""

import json

import moocore
import numpy as np

random = np.random.RandomState(3)
cases = []
for objectives, count in [(2, 1), (2, 30), (3, 25), (4, 20), (5, 16)]:
    points = np.round(random.rand(count, objectives), 3)
    # A repeated point, and one beyond the reference.
    points = np.vstack([points, points[:1], np.full((1, objectives), 1.2)])
    cases.append(
        {
            "points": points.tolist(),
            "reference": [1.1] * objectives,
            "hypervolume": moocore.hypervolume(points, ref=[1.1] * objectives),
            "nondominated": moocore.is_nondominated(points, keep_weakly=True).tolist(),
        }
    )
print(json.dumps({"library": f"moocore {moocore.__version__}", "cases": cases}))
