"""Gaussian process reference values from scikit-learn: Matern 5/2 with fixed ARD hyperparameters and noise.

pip install scikit-learn; python gaussian_process.py > gaussian_process.json
"""

import json

import numpy as np
import sklearn
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

random = np.random.RandomState(7)
cases = []
for n, d, noise, signal in [(1, 1, 1e-2, 1.0), (8, 2, 1e-3, 1.0), (25, 3, 0.05, 1.7), (120, 4, 1e-4, 0.6)]:
    x = random.rand(n, d)
    y = np.sin(3 * x[:, 0]) + (x**2).sum(axis=1) + 0.1 * random.randn(n)
    # The model under test standardizes its targets; so does this script, and a single one has deviation 1.
    deviation = y.std() if n > 1 else 1.0
    z = (y - y.mean()) / deviation
    lengths = 0.3 + random.rand(d)
    candidates = random.rand(6, d)
    kernel = ConstantKernel(signal, "fixed") * Matern(lengths, "fixed", nu=2.5) + WhiteKernel(noise, "fixed")
    model = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None).fit(x, z)
    mean, cov = model.predict(candidates, return_cov=True)
    cases.append({
        "rows": x.tolist(),
        "targets": y.tolist(),
        "noise_variance": noise,
        "signal_variance": signal,
        "length_scales": lengths.tolist(),
        "candidates": candidates.tolist(),
        # WhiteKernel adds the noise to the predicted variance; the model under test predicts without it.
        "mean": mean.tolist(),
        "variance": (np.diag(cov) - noise).tolist(),
        "log_marginal_likelihood": float(model.log_marginal_likelihood_value_),
    })
print(json.dumps({"library": f"scikit-learn {sklearn.__version__}", "cases": cases}))
