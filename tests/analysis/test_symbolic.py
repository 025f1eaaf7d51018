"""Numbers with formulas: the formula, evaluated, is the number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgewise.analysis.symbolic import Symbols, ceil_div, formula, product

small = st.integers(1, 12)


@given(small, small, small, small)
def test_formula_evaluates_to_the_value_elsewhere_too(
    h: int, t: int, other_h: int, other_t: int
) -> None:
    def compute(height: int, time: int) -> int:
        return 3 * height * time - 2 * time + (height + 1) // 2 + ceil_div(time, 3) * time

    symbols = Symbols()
    text = formula(compute(symbols.dim("H", h), symbols.dim("T", t)))
    assert text is not None
    assert eval(text, {"H": other_h, "T": other_t}) == compute(other_h, other_t)


def test_exact_quotients_leave_no_floor() -> None:
    n = Symbols().dim("N", 4)
    assert formula(6 * n * n // (2 * n)) == "3*N"
    assert 6 * n // n == 6
    assert formula(6 * n // n) is None


def test_a_quotient_of_a_quotient_is_one() -> None:
    n = Symbols().dim("N", 90)
    half = (n - 1) // 2
    assert formula(3 * (half // 2 // 4)) == "3*((N - 1)//16)"
    assert formula((half + 1) // 2) == "((((N - 1)//2) + 1)//2)"
    assert half // 2 // 4 == 89 // 16


def test_what_cancels_is_a_plain_number() -> None:
    n = Symbols().dim("N", 4)
    assert type(n - n + 7) is int
    assert type(n * 0) is int


def test_a_lost_formula_is_not_told() -> None:
    n = Symbols().dim("N", 4)
    half = int(n / 2)
    assert half == 2
    assert formula(n * half) is None, "a formula that forgot its way through a float would be wrong"


def test_product_of_nothing_is_one() -> None:
    assert product([]) == 1
