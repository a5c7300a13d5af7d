"""Extremely randomized trees from scikit-learn: mean and variance over many trees.

pip install scikit-learn; python extra_trees.py > extra_trees.json
"""

import json

import numpy as np
import sklearn
from sklearn.ensemble import ExtraTreesRegressor

TREES = 4000
random = np.random.RandomState(3)
cases = []
for n, d, leaf in [(6, 1, 1), (25, 2, 1), (40, 3, 3)]:
    x = random.rand(n, d).round(6)
    y = (np.sin(5 * x[:, 0]) + (x**2).sum(axis=1)).round(6)
    probes = random.rand(8, d).round(6)
    model = ExtraTreesRegressor(TREES, max_features=None, min_samples_leaf=leaf, bootstrap=False, random_state=1)
    model.fit(x, y)
    trees = np.array([tree.predict(probes) for tree in model.estimators_])
    cases.append({
        "rows": x.tolist(),
        "targets": y.tolist(),
        "leaf_rows": leaf,
        "probes": probes.tolist(),
        "mean": trees.mean(axis=0).round(6).tolist(),
        # Variance of the trees' predictions; leaves of one row have none of their own.
        "between": trees.var(axis=0).round(6).tolist(),
        "between_error": (((trees - trees.mean(axis=0)) ** 2).std(axis=0) / np.sqrt(TREES)).round(6).tolist(),
    })
print(json.dumps({"library": f"scikit-learn {sklearn.__version__}", "trees": TREES, "cases": cases}))
