"""Dimensions that are a number and a formula at once.

A free dimension of a model is a `Dim`: an `int` with the value that is counted with, which also
carries a polynomial in the model's free dimensions. Sums, differences, products and exact
quotients stay polynomials; `//` and `ceil_div` that do not come out even become atoms of their
own. So one propagation gives both the count and the formula.

A formula is a Python expression: `12*T**2 + 3*((H + 1)//2)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

#: ((atom, power), …), sorted by atom: the product of the atoms' powers. () is the constant.
Monomial = tuple[tuple[str, int], ...]
Polynomial = dict[Monomial, int]

#: A formula longer than this many terms helps nobody: it is given up (None).
MOST_TERMS = 64
#: Bounds of the work on formulas: terms kept while there is hope, products of terms made for one
#: product, letters of a quotient's name. Beyond, numbers go on without their formulas.
_KEPT_TERMS, _MOST_PRODUCTS, _MOST_LETTERS = 256, 4096, 1000


class Symbols:
    """The free dimensions of one propagation.

    `lost` tells that a formula could not be kept; `fits` has the sizes, by name, that free
    dimensions must have for the layers that they meet.
    """

    def __init__(self) -> None:
        self.lost = False
        #: The sizes in force are not those that the file states shapes for.
        self.stale = False
        #: The formula grew beyond its bounds.
        self.too_long = False
        #: The sizes in force of the free dimensions that the caller feeds, by name.
        self.opened: dict[str, int] = {}
        self.fits: dict[str, int] = {}
        #: What the atoms that are quotients divide, and by what.
        self.quotients: dict[str, tuple[Polynomial, int]] = {}

    def dim(self, name: str, value: int) -> Dim:
        """A free dimension called `name`, counted as `value`."""
        return Dim(value, {((name, 1),): 1}, self)


class Dim(int):
    """An integer that remembers how it follows from the free dimensions."""

    polynomial: Polynomial
    symbols: Symbols

    def __new__(cls, value: int, polynomial: Polynomial, symbols: Symbols) -> Dim:
        self = super().__new__(cls, value)
        self.polynomial = polynomial
        self.symbols = symbols
        return self

    def __add__(self, other: Any) -> Any:
        return _combine(self, other, int(self) + other, 1)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return _combine(self, other, int(self) - other, -1)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __neg__(self) -> Any:
        return self * -1

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, float) and other.is_integer():
            other = int(other)
        if not isinstance(other, int):
            return self._lose(int(self) * other)
        product: Polynomial = {}
        others = _polynomial(other)
        if len(self.polynomial) * len(others) > _MOST_PRODUCTS:
            return self._give_up(int(self) * int(other))
        for left, times in self.polynomial.items():
            for right, factor in others.items():
                key = _multiply(left, right)
                product[key] = product.get(key, 0) + times * factor
        return _made(int(self) * int(other), product, self.symbols)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        if not isinstance(other, int):
            return self._lose(int(self) // other)
        return _divide(self, other, self.symbols)

    def __rfloordiv__(self, other: Any) -> Any:
        if not isinstance(other, int):
            return self._lose(other // int(self))
        return _divide(other, self, self.symbols)

    def __mod__(self, other: Any) -> Any:
        if not isinstance(other, int):
            return self._lose(int(self) % other)
        return self - (self // other) * other

    def __pow__(self, other: Any, modulus: Any = None) -> Any:
        if modulus is None and isinstance(other, int) and 0 <= other <= 4:
            result: Any = 1
            for _ in range(other):
                result = self * result
            return result
        return self._lose(pow(int(self), other, modulus))

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, float) and other.is_integer():
            other = int(other)
        if isinstance(other, int) and other:
            exact = _quotient(self.polynomial, _polynomial(other))
            if exact is not None:
                return _made(int(self) // int(other), exact, self.symbols)
        return self._lose(int(self) / other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._lose(other / int(self))

    def __float__(self) -> float:
        return float(self._lose(int(self)))

    def __reduce__(self) -> Any:
        return (int, (int(self),))

    def fit(self, wanted: int) -> None:
        """Tell that the layer at hand takes no other size than `wanted`.

        Only of a free dimension that came this far as it was: `2*C` has no name to learn for.
        """
        name = _bare(self.polynomial)
        if name is not None and int(self) != int(wanted):
            self.symbols.fits.setdefault(name, int(wanted))

    def _lose(self, value: Any) -> Any:
        self.symbols.lost = True
        return value

    def _give_up(self, value: int) -> int:
        self.symbols.too_long = True
        self._lose(value)
        return value


def ceil_div(value: int, by: int) -> int:
    """⌈value / by⌉, formula kept."""
    return -(-value // by)


def product(values: Iterable[int]) -> int:
    """The product of all values, formula kept; 1 for none."""
    return math.prod(values)


def formula(value: int | None) -> str | None:
    """The formula of a number in the free dimensions; None for a plain number."""
    if not isinstance(value, Dim) or value.symbols.lost or len(value.polynomial) > MOST_TERMS:
        return None
    return _text(value.polynomial)


def plain(shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """A shape without its formulas."""
    return None if shape is None else tuple(map(int, shape))


def _polynomial(value: int) -> Polynomial:
    return value.polynomial if isinstance(value, Dim) else {(): value}


def _made(value: int, polynomial: Polynomial, symbols: Symbols) -> int:
    kept = {key: factor for key, factor in polynomial.items() if factor}
    if len(kept) > _KEPT_TERMS:
        symbols.too_long = symbols.lost = True
        return int(value)
    if not kept or set(kept) == {()}:
        return int(value)
    return Dim(value, kept, symbols)


def _combine(left: Dim, right: Any, value: Any, sign: int) -> Any:
    if not isinstance(right, int):
        return left._lose(value)
    total = dict(left.polynomial)
    for key, factor in _polynomial(right).items():
        total[key] = total.get(key, 0) + sign * factor
    return _made(int(value), total, left.symbols)


def _multiply(left: Monomial, right: Monomial) -> Monomial:
    if not left or not right:
        return left or right
    powers = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items()))


def _divide(top: int, bottom: int, symbols: Symbols) -> int:
    value = int(top) // int(bottom)
    exact = _quotient(_polynomial(top), _polynomial(bottom))
    if exact is not None:
        return _made(value, exact, symbols)
    above, below = _polynomial(top), _polynomial(bottom)
    name = _bare(above)
    if name in symbols.quotients and not isinstance(bottom, Dim) and bottom > 0:
        # ⌊⌊a / b⌋ / c⌋ is ⌊a / (b·c)⌋.
        above, inner = symbols.quotients[name]
        bottom = inner * bottom
        below = {(): bottom}
    atom = f"({_factor(above)}//{_factor(below)})"
    if len(atom) > _MOST_LETTERS:
        symbols.too_long = symbols.lost = True
        return value
    if not isinstance(bottom, Dim) and bottom > 0:
        symbols.quotients[atom] = (above, bottom)
    return Dim(value, {((atom, 1),): 1}, symbols)


def _bare(polynomial: Polynomial) -> str | None:
    """The atom that a polynomial consists of, with no factor and no power; None for any other."""
    if len(polynomial) != 1:
        return None
    ((monomial, factor),) = polynomial.items()
    return monomial[0][0] if factor == 1 and len(monomial) == 1 and monomial[0][1] == 1 else None


def _factor(polynomial: Polynomial) -> str:
    """A polynomial as a factor: in brackets where it needs them."""
    text = _text(polynomial)
    plain = _bare(polynomial) is not None or (set(polynomial) == {()} and polynomial[()] >= 0)
    return text if plain else f"({text})"


def _quotient(top: Polynomial, bottom: Polynomial) -> Polynomial | None:
    """top / bottom where bottom is one term that divides every term of top, else None."""
    if top == bottom:
        return {(): 1}
    if len(bottom) != 1:
        return None
    ((divisor, by),) = bottom.items()
    result: Polynomial = {}
    for key, factor in top.items():
        powers = dict(key)
        for atom, power in divisor:
            powers[atom] = powers.get(atom, 0) - power
        if factor % by or any(power < 0 for power in powers.values()):
            return None
        result[tuple(sorted((a, p) for a, p in powers.items() if p))] = factor // by
    return result


def _text(polynomial: Polynomial) -> str:
    terms = sorted(polynomial.items(), key=lambda term: (-sum(p for _, p in term[0]), term[0]))
    return " + ".join(_term(key, factor) for key, factor in terms).replace("+ -", "- ") or "0"


def _term(key: Monomial, factor: int) -> str:
    atoms = [atom if power == 1 else f"{atom}**{power}" for atom, power in key]
    if factor == -1 and atoms:
        return "-" + "*".join(atoms)
    return "*".join(([str(factor)] if factor != 1 or not atoms else []) + atoms)
