"""Paging of models by name: a token names the last model of its page, so a change in between loses nothing."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from antiphon.errors import InvalidRequestError, Reason

if TYPE_CHECKING:
    from antiphon.api.model.v1.model_service_pb2 import Model

_DEFAULT_SIZE = 100


def page(models: list[Model], *, page_size: int, after: str) -> tuple[list[Model], str]:
    """Cuts the page that follows a name out of models that are sorted by name.

    Returns:
        The page, and the next one's token; empty on the last page.
    """
    rest = [model for model in models if model.name > after]
    size = page_size or _DEFAULT_SIZE
    chosen = rest[:size]
    more = len(rest) > size
    return chosen, base64.urlsafe_b64encode(chosen[-1].name.encode()).decode() if more else ""


def name_in(token: str) -> str:
    """Returns the name of the last model on the page before; empty for the first page.

    Raises:
        InvalidRequestError: The token is none of ours (INVALID_FIELD).
    """
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise InvalidRequestError.at(Reason.ERROR_REASON_INVALID_FIELD, "page_token", "is no token of this method") from None
