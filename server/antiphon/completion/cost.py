"""What a call cost, by the operator's price table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antiphon.api.core.v1.usage_pb2 import Cost

if TYPE_CHECKING:
    from antiphon.api.core.v1.usage_pb2 import Usage
    from antiphon.api.model.v1.model_service_pb2 import Prices

_MILLION = 1_000_000
# The contract's field holds no more.
_MOST_MICROS = 2**63 - 1


def priced(usage: Usage, prices: Prices) -> Cost:
    """Returns the cost in millionths of the currency's unit, rounded up.

    Cached tokens have their own prices where the table gives them, and count as input otherwise; counts that a provider reports beyond the input's
    total are not charged twice, and counts below nothing are nothing.
    """
    input_tokens = max(usage.input_tokens, 0)
    read = min(max(usage.cache_read_tokens, 0), input_tokens)
    written = min(max(usage.cache_write_tokens, 0), input_tokens - read)
    plain = input_tokens - read - written
    read_price = prices.cache_read_micros_per_million if prices.HasField("cache_read_micros_per_million") else None
    write_price = prices.cache_write_micros_per_million if prices.HasField("cache_write_micros_per_million") else None
    base = prices.input_micros_per_million
    total = plain * base
    total += read * (base if read_price is None else read_price)
    total += written * (base if write_price is None else write_price)
    total += max(usage.output_tokens, 0) * prices.output_micros_per_million
    amount_micros = min(-(-total // _MILLION), _MOST_MICROS)
    return Cost(amount_micros=amount_micros, currency_code=prices.currency_code, price_table_version=prices.price_table_version)
