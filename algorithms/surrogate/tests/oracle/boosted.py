"""Gradient boosting with squared loss and exact splits from scikit-learn, single and without any randomness.

pip install scikit-learn; python boosted.py > boosted.json
"""

import json

import numpy as np
import sklearn
from sklearn.ensemble import GradientBoostingRegressor

random = np.random.RandomState(17)
cases = []
for n, d, trees, rate, depth, leaf in [(8, 1, 5, 0.5, 2, 1), (40, 1, 60, 0.1, 6, 1), (80, 2, 30, 0.2, 2, 5), (150, 3, 40, 0.1, 3, 8)]:
    # Multiples of 1/1024 are the same as the 32-bit floats that scikit-learn makes of them.
    x = random.randint(0, 1024, size=(n, d)) / 1024
    y = (np.sin(5 * x[:, 0]) + (x**2).sum(axis=1) + 0.2 * random.randn(n)).round(6)
    probes = random.randint(0, 1024, size=(20, d)) / 1024

    def fit(seed):
        model = GradientBoostingRegressor(
            loss="squared_error",
            n_estimators=trees,
            learning_rate=rate,
            max_depth=depth,
            min_samples_leaf=leaf,
            random_state=seed,
        )
        return model.fit(x, y)

    predictions = [fit(seed).predict(probes) for seed in range(5)]
    # Columns are tried in a drawn order, which decides between splits that explain as much: there are none.
    assert all(np.allclose(other, predictions[0], atol=1e-12) for other in predictions), (n, d)
    cases.append({
        "rows": x.tolist(),
        "targets": y.tolist(),
        "trees": trees,
        "learning_rate": rate,
        "depth": depth,
        "leaf_rows": leaf,
        "probes": probes.tolist(),
        "mean": predictions[0].tolist(),
    })
print(json.dumps({"library": f"scikit-learn {sklearn.__version__}", "cases": cases}))
