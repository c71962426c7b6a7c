"""A cost is exact in whole micro-units, rounded up once, and no token is charged twice or at a negative price."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.api.core.v1.usage_pb2 import Usage
from antiphon.api.model.v1.model_service_pb2 import Prices
from antiphon.completion.cost import priced

PLAIN = Prices(currency_code="USD", price_table_version="2026-11", input_micros_per_million=3_000_000, output_micros_per_million=15_000_000)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(), 0),
        (Usage(input_tokens=1), 3),
        (Usage(output_tokens=1), 15),
        (Usage(input_tokens=1000, output_tokens=500), 10_500),
        (Usage(input_tokens=1000, cache_read_tokens=400), 3000),
    ],
)
def test_plain_prices(usage: Usage, expected: int) -> None:
    cost = priced(usage, PLAIN)
    assert (expected, "USD", "2026-11") == (cost.amount_micros, cost.currency_code, cost.price_table_version)


@pytest.mark.parametrize(("tokens", "expected"), [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2)])
def test_a_fraction_is_rounded_up(tokens: int, expected: int) -> None:
    assert expected == priced(Usage(input_tokens=tokens), Prices(input_micros_per_million=1)).amount_micros


def test_cached_tokens_have_their_own_prices() -> None:
    prices = Prices(input_micros_per_million=1_000_000, cache_read_micros_per_million=100_000, cache_write_micros_per_million=1_250_000)
    usage = Usage(input_tokens=1000, cache_read_tokens=600, cache_write_tokens=300)
    assert 100 + 60 + 375 == priced(usage, prices).amount_micros


def test_a_price_of_nothing_is_not_the_price_of_input() -> None:
    prices = Prices(input_micros_per_million=1_000_000, cache_read_micros_per_million=0)
    assert 400 == priced(Usage(input_tokens=1000, cache_read_tokens=600), prices).amount_micros


def test_cached_tokens_beyond_the_input_are_not_charged() -> None:
    prices = Prices(input_micros_per_million=1_000_000, cache_read_micros_per_million=500_000, cache_write_micros_per_million=2_000_000)
    usage = Usage(input_tokens=10, cache_read_tokens=25, cache_write_tokens=25)
    assert 5 == priced(usage, prices).amount_micros


COUNTS = st.integers(0, 2**40)
PRICES = st.integers(0, 10**9)


@given(input_=COUNTS, output=COUNTS, read=COUNTS, written=COUNTS, prices=st.tuples(PRICES, PRICES, PRICES, PRICES))
def test_the_amount_is_the_exact_sum_rounded_up(
    input_: int, output: int, read: int, written: int, prices: tuple[int, int, int, int]
) -> None:
    base, out, cache_read, cache_write = prices
    table = Prices(
        input_micros_per_million=base,
        output_micros_per_million=out,
        cache_read_micros_per_million=cache_read,
        cache_write_micros_per_million=cache_write,
    )
    usage = Usage(input_tokens=input_, output_tokens=output, cache_read_tokens=read, cache_write_tokens=written)
    read = min(read, input_)
    written = min(written, input_ - read)
    exact = Fraction((input_ - read - written) * base + read * cache_read + written * cache_write + output * out, 1_000_000)
    if exact < 2**63 - 1:
        amount = priced(usage, table).amount_micros
        assert exact <= amount < exact + 1


@given(values=st.tuples(*[st.integers(-(2**63), 2**63 - 1)] * 4, PRICES))
def test_counts_that_cannot_be_do_not_fail(values: tuple[int, ...]) -> None:
    usage = Usage(input_tokens=values[0], output_tokens=values[1], cache_read_tokens=values[2], cache_write_tokens=values[3])
    table = Prices(input_micros_per_million=values[4], output_micros_per_million=1)
    assert 0 <= priced(usage, table).amount_micros
