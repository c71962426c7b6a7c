"""The same call at either port, in every form that it can be written in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf import json_format

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from tests.rpc.bad_input.specs import LIMIT_BYTES
from tests.support.second_port import CONNECT_JSON, FORMS, CannotBeWrittenError, SecondPort
from tests.support.serving import COMPLETION, Failure, ServerUnderTest, failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp
    from google.protobuf.message import Message

GRPC = "grpc"
PORTS = (GRPC, *FORMS)


class OnePort:
    """One server at one of its ports.

    Attributes:
        form: How calls are written.
    """

    def __init__(self, server: ServerUnderTest, session: aiohttp.ClientSession, form: str) -> None:
        self.form = form
        self._server = server
        self._http = SecondPort(session, server.http_url, form)

    def size(self, request: Message) -> int:
        """Returns a request's size in bytes, as it is written here."""
        return request.ByteSize() if self.form == GRPC else len(self._http.written(request))

    async def refused(self, method: str, request: Message | bytes, *, timeout_s: float | None = 20) -> Failure:
        """Calls a method that must fail; returns how."""
        if self.form == GRPC:
            return await self._server.refused(method, request, timeout_s=timeout_s)
        try:
            # In JSON it may be larger than is taken.
            if not isinstance(request, bytes) and request.ByteSize() <= LIMIT_BYTES < self.size(request):
                pytest.skip("in JSON it is larger than is taken")
            answer = await self._http.call(method, request, timeout_s=timeout_s)
        except CannotBeWrittenError as error:
            pytest.skip(f"JSON has no way to write it: {error}")
        assert grpc.StatusCode.OK != answer.code, "the call went well"
        assert [] == answer.messages
        return failure(answer.code, answer.status.message, answer.status)

    async def complete(self, request: Message, headers: Mapping[str, str | bytes] | None = None) -> pb.CompleteResponse:
        """Calls CompletionService.Complete, which must go well."""
        if self.form == GRPC:
            answered = await self._server.raw(f"{COMPLETION}/Complete", request.SerializeToString(), tuple((headers or {}).items()))
            return pb.CompleteResponse.FromString(answered)
        texts = {name: value for name, value in (headers or {}).items() if isinstance(value, str)}
        answer = await self._http.call(f"{COMPLETION}/Complete", request, headers=texts)
        assert grpc.StatusCode.OK == answer.code, answer.status.message
        [message] = answer.messages
        if self.form == CONNECT_JSON:
            return json_format.Parse(message, pb.CompleteResponse())
        return pb.CompleteResponse.FromString(message)
