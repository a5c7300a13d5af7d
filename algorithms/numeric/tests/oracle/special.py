"""Reference values of the log-domain functions, by mpmath with 60 digits from their definitions.

pip install mpmath==1.4.1 (any version); python special.py > special.json
"""

import json

import mpmath as mp

mp.mp.dps = 60


def pdf(z):
    return mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)


def cdf(z):
    return mp.erfc(-z / mp.sqrt(2)) / 2


def digits_for(z):
    # The definition cancels to 1/z^2 of a density of exp(-z^2/2); carry what that loses.
    mp.mp.dps = 60 + int(4 * mp.log10(abs(z) + 1)) + 10


rows = []
for z in [-1e6, -1e3, -200.0, -60.0, -50.5, -49.5, -38.0, -20.0, -8.0, -5.0, -2.0, -1.0001, -0.9999, -0.3, 0.0, 0.7,
          3.0, 10.0, 40.0]:
    digits_for(z)
    x = mp.mpf(z)
    h = pdf(x) + x * cdf(x)
    rows.append({
        "z": z,
        "log_kernel": float(mp.log(h)),
        "kernel_slope": float(cdf(x) / h),
        "log_cdf": float(mp.log(cdf(x))),
        "log_cdf_slope": float(pdf(x) / cdf(x)),
    })
erfcx = []
for x in [0.0, 0.1, 1.0, 3.0, 5.9, 6.1, 20.0, 1e4]:
    digits_for(x)
    y = mp.mpf(x)
    erfcx.append({"x": x, "value": float(mp.exp(y * y) * mp.erfc(y))})
print(json.dumps({"library": f"mpmath {mp.__version__}", "normal": rows, "scaled_erfc": erfcx}, indent=1))
