"""Log-kernels with a static description of their formula."""

import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class LogKernel:
    """Function from the costs of pairs to logarithms, with its description.

    Reductions over pairs call it like any other function. A program that is
    compiled for known formulas (Pallas, Triton) looks at `static` to choose
    its code and passes it the `rate`: together they determine every value. With
    `r = rate * cost`, the formulas are:

    - `"gaussian"`: `-r**2 / 2`;
    - `"laplacian"`: `-r`;
    - `"matern"`, of `nu`: `log P(s) - s` at `s = sqrt(2 nu) r`, where `P` is
      `sum_k 2**k C(p, k) (2 p - k)! / (2 p)! s**k` with `p = nu - 1/2`;
    - `"inverse_multiquadric"`, of `exponent`: `-exponent * log(1 + r**2)`;
    - `"von_mises_fisher"`: `-r**2 / 2`, the costs being distances of unit
      vectors;
    - `"spherical_logarithmic"`: `log(log((1 + a) / (1 + r**2)) / log(1 + a))`
      with `a = 4 * rate**2`, likewise;
    - `"gibbs"`: `-r`, for any cost.

    Those are the `"value"`, `log k(r)`. The other quantities are `"slope"`,
    `log(-k'(r) / r)`; `"gradient_weight"`, `log(-k'(r) / (r k(r)))`;
    `"companion"`, `log psi(r)` for `psi(r)`, the integral of `s k(s)` from `r`
    to infinity; and `"companion_weight"`, `log(psi(0) k(r) / psi(r))`.

    Args:
        family: str, or `None` for a formula that only `function` knows.
        quantity: str, see above.
        parameters: tuple of pairs `(name, float)`.
        rate: scalar float tensor, one over a bandwidth.
        function: callable from the rate and costs to logarithms of the shape of
            the costs.
    """

    family: str | None
    quantity: str
    parameters: tuple
    rate: Any
    function: Callable

    def __call__(self, cost):
        return self.function(self.rate, cost)

    def after(self, zero):
        """The log-kernel with a scalar 0 added to its rate, see `Turns`."""
        return dataclasses.replace(self, rate=self.rate + zero)

    @property
    def static(self):
        """`(family, quantity, parameters)`, hashable; `None` if not known."""
        if self.family is None:
            return None
        return self.family, self.quantity, self.parameters
