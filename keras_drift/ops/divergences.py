"""f-divergences and their flow weights."""

import math
from typing import Any
from typing import NamedTuple

from keras import ops

from keras_drift import checks

# Members of the alpha family, `f''(u) = scale * u**(alpha - 2)`.
_ALPHA_FAMILY = {
    "chi2": (1.0, 2.0),
    "hellinger": (0.5, 0.5),
    "kl_pq": (1.0, 0.0),
    "kl_qp": (1.0, 1.0),
    "neyman": (1.0, -1.0),
}
_NAMES = (*_ALPHA_FAMILY, "jensen_shannon")
# Leaves room for sums and products of exponentials in float32.
LARGEST_EXPONENT = 60.0


class FDivergence(NamedTuple):
    """A divergence `D(q | p) = E_p f(u)` of two densities, `u = q / p`.

    Attributes:
        integrand: callable from `log u` to `f(u) / (1 + u)`, whose mean under
            `p + q` is the divergence. It is 0 with slope 0 at `u = 1`, positive
            elsewhere, and bounded wherever a divergence can be.
        log_weight: callable from `log u` to `log(u f''(u))`: the factor of the
            score difference of `p` and `q` in the gradient flow of the
            divergence. Both take any finite `log u`.
    """

    integrand: Any
    log_weight: Any


def f_divergence(divergence):
    """Resolves a name, an alpha or a mixture to an f-divergence.

    Args:
        divergence: one of

            - `"kl_qp"`, `KL(q | p)`: `f = u log u - u + 1`, weight `1`;
            - `"kl_pq"`, `KL(p | q)`: `f = u - 1 - log u`, weight `1 / u`;
            - `"chi2"`, Pearson's: `f = (u - 1)**2 / 2`, weight `u`;
            - `"neyman"`: `f = (u - 1)**2 / (2 u)`, weight `1 / u**2`;
            - `"hellinger"`: `f = (sqrt(u) - 1)**2`, weight `1 / (2 sqrt(u))`;
            - `"jensen_shannon"`: weight `1 / (2 (1 + u))`;
            - a float alpha: weight `u**(alpha - 1)`;
            - a dict from those names to their shares, which sum to 1.

    Returns:
        An `FDivergence`.

    Raises:
        ValueError: if there is no such divergence.
        TypeError: if it is none of these.
    """
    if isinstance(divergence, dict):
        return _mixture(divergence)
    if checks.is_number(divergence):
        if not math.isfinite(divergence):
            raise ValueError(
                "The alpha of a divergence must be finite. "
                f"Received: divergence={divergence!r}"
            )
        return _alpha_divergence(1.0, float(divergence))
    if not isinstance(divergence, str):
        raise TypeError(
            "`divergence` is a name, a number alpha or a dict of shares such "
            "as {'kl_pq': 0.5, 'chi2': 0.5}. "
            f"Received: divergence={divergence!r}"
        )
    checks.choice("divergence", divergence, _NAMES)
    if divergence == "jensen_shannon":
        return FDivergence(_jensen_shannon, _jensen_shannon_log_weight)
    return _alpha_divergence(*_ALPHA_FAMILY[divergence])


_NEAR_A_LIMIT = 1e-3


def _alpha_divergence(scale, alpha):
    def integrand(log_u):
        of_q, of_p = _shares(log_u)
        # Near its two limits the difference below cancels.
        if abs(alpha - 1) < _NEAR_A_LIMIT:
            return scale * (of_q * (log_u - 1) + of_p)
        if abs(alpha) < _NEAR_A_LIMIT:
            return scale * (of_p * (-log_u - 1) + of_q)
        exponent = alpha * log_u - ops.softplus(log_u)
        power = ops.exp(ops.minimum(exponent, LARGEST_EXPONENT))
        excess = power - alpha * of_q + (alpha - 1) * of_p
        return scale * excess / (alpha * (alpha - 1))

    def log_weight(log_u):
        return (alpha - 1) * log_u + math.log(scale)

    return FDivergence(integrand, log_weight)


def _shares(log_u):
    """`q / (p + q)` and `p / (p + q)`."""
    return ops.sigmoid(log_u), ops.sigmoid(-log_u)


def _jensen_shannon(log_u):
    of_q, of_p = _shares(log_u)
    entropy = of_q * ops.softplus(-log_u) + of_p * ops.softplus(log_u)
    return 0.5 * (math.log(2) - entropy)


def _jensen_shannon_log_weight(log_u):
    return -ops.softplus(log_u) - math.log(2)


def _mixture(shares):
    for name, share in shares.items():
        checks.choice("divergence", name, _NAMES)
        checks.non_negative_number(
            f"divergence[{name!r}]", share, "is a share, zero or positive"
        )
    total = sum(shares.values())
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        raise ValueError(
            "The shares of a mixture of divergences must sum to 1. "
            f"Received: divergence={shares!r}, which sum to {total}"
        )
    parts = [
        (share, f_divergence(name)) for name, share in shares.items() if share
    ]

    def integrand(log_u):
        return sum(share * part.integrand(log_u) for share, part in parts)

    def log_weight(log_u):
        logs = [
            part.log_weight(log_u) + math.log(share) for share, part in parts
        ]
        return ops.logsumexp(ops.stack(logs), axis=0)

    return FDivergence(integrand, log_weight)
