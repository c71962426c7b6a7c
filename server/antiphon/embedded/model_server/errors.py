"""Errors of the model server and their bodies in the OpenAI wire format.

ApiError                  status, type, code and parameter of an error body
├── BadRequestError       400: the request cannot be served as it is
├── UnauthorizedError     401: the key is missing or wrong
├── ModelNotFoundError    404: another model than the served one was asked for
├── BusyError             429: too many requests wait already
└── EngineFaultError      500: the engine failed, or its answer does not keep to the constraint
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from antiphon.embedded.model_server.json_types import JsonObject


class ApiError(Exception):
    """An error that is answered in the OpenAI wire format."""

    status = 500
    error_type = "server_error"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        """Keep what the body shows.

        Args:
            message: For the caller.
            code: Machine-readable reason.
            param: The request's field that caused it, as a dotted path.
        """
        super().__init__(message)
        self.code = code
        self.param = param

    def body(self) -> JsonObject:
        """The error as the OpenAI wire format has it."""
        return {
            "error": {"message": str(self), "type": self.error_type, "code": self.code, "param": self.param},
        }


class BadRequestError(ApiError):
    """The request cannot be served as it is."""

    status = 400
    error_type = "invalid_request_error"


class UnauthorizedError(ApiError):
    """The key is missing or wrong."""

    status = 401
    error_type = "authentication_error"


class ModelNotFoundError(ApiError):
    """Another model than the served one was asked for."""

    status = 404
    error_type = "not_found_error"


class BusyError(ApiError):
    """Too many requests wait already."""

    status = 429
    error_type = "rate_limit_error"


class EngineFaultError(ApiError):
    """The engine failed, or its answer does not keep to the constraint."""
