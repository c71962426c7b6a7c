"""The methods of the contract that this client calls: path, types and what a repeated call does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import betterproto2

from antiphon_client.contract import completion, health, model

RequestT = TypeVar("RequestT", bound=betterproto2.Message)
ResponseT = TypeVar("ResponseT", bound=betterproto2.Message)

CLOSED = "the client is closed; make a new one"


@dataclass(frozen=True, slots=True)
class Method(Generic[RequestT, ResponseT]):
    """One method.

    Attributes:
        path: The full name, as in `/antiphon.api.model.v1.ModelService/GetModel`.
        request_type: What it takes.
        response_type: What it returns, or streams.
        no_side_effects: Whether it may be called again without harm; the contract's `idempotency_level`.
    """

    path: str
    request_type: type[RequestT]
    response_type: type[ResponseT]
    no_side_effects: bool = False


_COMPLETION = "/antiphon.api.completion.v1.CompletionService"
_MODEL = "/antiphon.api.model.v1.ModelService"
_HEALTH = "/antiphon.api.health.v1.HealthService"

COMPLETE = Method(f"{_COMPLETION}/Complete", completion.CompleteRequest, completion.CompleteResponse)
STREAM_COMPLETE = Method(f"{_COMPLETION}/StreamComplete", completion.StreamCompleteRequest, completion.StreamCompleteResponse)
COUNT_TOKENS = Method(f"{_COMPLETION}/CountTokens", completion.CountTokensRequest, completion.CountTokensResponse, no_side_effects=True)
LIST_MODELS = Method(f"{_MODEL}/ListModels", model.ListModelsRequest, model.ListModelsResponse, no_side_effects=True)
GET_MODEL = Method(f"{_MODEL}/GetModel", model.GetModelRequest, model.GetModelResponse, no_side_effects=True)
CHECK_HEALTH = Method(f"{_HEALTH}/CheckHealth", health.CheckHealthRequest, health.CheckHealthResponse, no_side_effects=True)
WATCH_HEALTH = Method(f"{_HEALTH}/WatchHealth", health.WatchHealthRequest, health.WatchHealthResponse, no_side_effects=True)


def encoded(request: betterproto2.Message) -> bytes:
    """A request's bytes, made before the call: an encoding that failed inside of gRPC would send an empty request, or look like the server's failure.

    Raises:
        TypeError: It is no message, or a field holds what it cannot hold.
    """
    # Untyped callers exist, and `bytes(5)` is five zeros.
    if not isinstance(request, betterproto2.Message):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"a request is a message of antiphon_client.contract, not {request!r:.80}")
    try:
        return bytes(request)
    except Exception as error:  # betterproto2 has no type of its own for it
        raise TypeError(f"{type(request).__name__} cannot be encoded: {error}") from error
