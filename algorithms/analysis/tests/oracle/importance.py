"""Importances of three parameters on known functions: functional ANOVA and PED-ANOVA by Optuna, Sobol indices by formula.

Shares of functional ANOVA are means over five seeds of Optuna's forest, not normalized. pip install optuna scipy
scikit-learn; python importance.py > importance.json
"""

import json

import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from scipy.stats import qmc

optuna.logging.set_verbosity(optuna.logging.ERROR)
NAMES = ["x0", "x1", "x2"]


def ishigami(u):
    x = np.pi * (2 * u - 1)
    return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


def g_function(u):
    a = np.array([0, 1, 4.5])
    return np.prod((abs(4 * u - 2) + a) / (1 + a), axis=1)


def bowl(u):
    return 4 * (u[:, 0] - 0.3) ** 2 + (u[:, 1] - 0.6) ** 2 + 0.1 * u[:, 2]


def indices():
    parts = [0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2, 49 / 8, 8 * 0.1**2 * np.pi**8 / 225]
    total = sum(parts)
    found = {"ishigami": ([parts[0], parts[1], 0], [parts[0] + parts[2], parts[1], parts[2]], total)}
    alone = (1 / 3) / (1 + np.array([0, 1, 4.5])) ** 2
    others = [alone[i] * np.prod(1 + np.delete(alone, i)) for i in range(3)]
    found["g"] = (alone.tolist(), others, np.prod(1 + alone) - 1)

    def parabola(center):  # The variance of (u - center)^2.
        fourth = ((1 - center) ** 5 + center**5) / 5
        return fourth - (((1 - center) ** 3 + center**3) / 3) ** 2

    terms = [16 * parabola(0.3), parabola(0.6), 0.01 / 12]
    found["bowl"] = (terms, terms, sum(terms))
    return found


cases = []
for name, function in [("ishigami", ishigami), ("g", g_function), ("bowl", bowl)]:
    rows = np.round(qmc.Sobol(3, seed=5).random(256), 4)
    losses = np.round(function(rows), 6)
    study = optuna.create_study(direction="minimize")
    for row, loss in zip(rows, losses):
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(zip(NAMES, row.tolist())),
                distributions={name: FloatDistribution(0, 1) for name in NAMES},
                value=float(loss),
            )
        )
    by_seed = [
        get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed), normalize=False)
        for seed in range(5)
    ]
    best = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), normalize=True)
    first, total, variance = indices()[name]
    cases.append(
        {
            "name": name,
            "rows": rows.tolist(),
            "losses": losses.tolist(),
            "fanova": [round(float(np.mean([found[n] for found in by_seed])), 6) for n in NAMES],
            "ped_anova": [round(best[n], 6) for n in NAMES],
            "first": [round(float(part / variance), 6) for part in first],
            "total": [round(float(part / variance), 6) for part in total],
        }
    )
print(json.dumps({"versions": {"optuna": optuna.__version__}, "cases": cases}))
