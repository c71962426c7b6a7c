"""What `grpc-status-details-bin` holds, as far as Antiphon sends it: `google.rpc.Status` and the details this client reads.

Written by hand, twelve fields in all: googleapis-common-protos would bring protobuf's own runtime (a C extension of 5 MB, and its version conflicts with the
application's own generated code) for them.
"""

# ruff: noqa: RUF009  # betterproto2.field() makes a dataclass field
# betterproto2 evaluates the annotations in this module at run time: no `from __future__ import annotations` here.
from dataclasses import dataclass
from datetime import timedelta

import betterproto2

from antiphon_client._generated.google.protobuf import Duration


@dataclass(eq=False, repr=False)
class Detail(betterproto2.Message):
    """`google.protobuf.Any`: a message and the name of its type."""

    type_url: str = betterproto2.field(1, betterproto2.TYPE_STRING)
    value: bytes = betterproto2.field(2, betterproto2.TYPE_BYTES)

    @property
    def type_name(self) -> str:
        """The full name of the message's type."""
        return self.type_url.rpartition("/")[2]


@dataclass(eq=False, repr=False)
class Status(betterproto2.Message):
    """`google.rpc.Status`."""

    code: int = betterproto2.field(1, betterproto2.TYPE_INT32)
    message: str = betterproto2.field(2, betterproto2.TYPE_STRING)
    details: list[Detail] = betterproto2.field(3, betterproto2.TYPE_MESSAGE, repeated=True)


@dataclass(eq=False, repr=False)
class ErrorInfo(betterproto2.Message):
    """`google.rpc.ErrorInfo`."""

    reason: str = betterproto2.field(1, betterproto2.TYPE_STRING)
    domain: str = betterproto2.field(2, betterproto2.TYPE_STRING)
    metadata: dict[str, str] = betterproto2.field(
        3, betterproto2.TYPE_MAP, map_meta=betterproto2.map_meta(betterproto2.TYPE_STRING, betterproto2.TYPE_STRING)
    )


@dataclass(eq=False, repr=False)
class RetryInfo(betterproto2.Message):
    """`google.rpc.RetryInfo`."""

    retry_delay: timedelta | None = betterproto2.field(1, betterproto2.TYPE_MESSAGE, unwrap=lambda: Duration, optional=True)


@dataclass(eq=False, repr=False)
class BadRequestFieldViolation(betterproto2.Message):
    """`google.rpc.BadRequest.FieldViolation`."""

    field: str = betterproto2.field(1, betterproto2.TYPE_STRING)
    description: str = betterproto2.field(2, betterproto2.TYPE_STRING)
    reason: str = betterproto2.field(3, betterproto2.TYPE_STRING)


@dataclass(eq=False, repr=False)
class BadRequest(betterproto2.Message):
    """`google.rpc.BadRequest`."""

    field_violations: list[BadRequestFieldViolation] = betterproto2.field(1, betterproto2.TYPE_MESSAGE, repeated=True)
