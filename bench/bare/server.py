"""The bare server: `grpc.aio`, uvloop and aiohttp, one gRPC message per upstream token.

It speaks the same contract as Antiphon and passes the same checks of the load generator, but has none of the rest: no interceptors, no validation,
no timeouts, no retries, no typed errors. Each choice in it is the cheapest plain one, so that the comparison flatters nobody.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import aiohttp
import grpc
import grpc.aio
import orjson
import uvloop
from google.protobuf.timestamp_pb2 import Timestamp

from antiphon.api.completion.v1 import completion_service_pb2 as service_pb
from antiphon.api.core.v1 import completion_pb2, event_pb2, message_pb2, usage_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SERVICE = "antiphon.api.completion.v1.CompletionService"

ROLES = {
    message_pb2.ROLE_SYSTEM: "system",
    message_pb2.ROLE_USER: "user",
    message_pb2.ROLE_ASSISTANT: "assistant",
}

FINISH_REASONS = {"stop": completion_pb2.FINISH_REASON_STOP, "length": completion_pb2.FINISH_REASON_LENGTH}


class ChatUsage(TypedDict):
    """The usage object of the OpenAI wire format, as far as it is read here."""

    prompt_tokens: int
    completion_tokens: int


def to_chat(spec: completion_pb2.CompletionSpec, *, stream: bool) -> bytes:
    """Writes a chat-completions request."""
    body: dict[str, object] = {
        "model": spec.model.partition("/")[2],
        "messages": [{"role": ROLES[message.role], "content": "".join(part.text for part in message.parts)} for message in spec.messages],
    }
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return orjson.dumps(body)


def to_usage(usage: ChatUsage) -> usage_pb2.Usage:
    """Reads what a call used."""
    return usage_pb2.Usage(input_tokens=usage["prompt_tokens"], output_tokens=usage["completion_tokens"])


class BareCompletionService:
    """Both completion RPCs, each straight from the provider's wire format to the contract's messages."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        """Takes the session to call the upstream with and the upstream's base URL, such as `http://127.0.0.1:9000/v1`."""
        self._session = session
        self._url = f"{base_url}/chat/completions"
        self._headers = {"Content-Type": "application/json", "Authorization": "Bearer bench"}

    async def complete(
        self,
        request: service_pb.CompleteRequest,
        context: grpc.aio.ServicerContext[service_pb.CompleteRequest, service_pb.CompleteResponse],
    ) -> service_pb.CompleteResponse:
        """One POST, one parse, one message."""
        del context
        created = Timestamp()
        created.GetCurrentTime()
        async with self._session.post(self._url, data=to_chat(request.spec, stream=False), headers=self._headers) as reply:
            reply.raise_for_status()
            body = orjson.loads(await reply.read())
        choice = body["choices"][0]
        return service_pb.CompleteResponse(
            completion=completion_pb2.Completion(
                completion_id=uuid.uuid4().hex,
                model=request.spec.model,
                create_time=created,
                message=message_pb2.Message(role=message_pb2.ROLE_ASSISTANT, parts=[message_pb2.Part(text=choice["message"]["content"])]),
                finish_reason=FINISH_REASONS.get(choice["finish_reason"], completion_pb2.FINISH_REASON_UNSPECIFIED),
                provider_finish_reason=choice["finish_reason"],
                usage=to_usage(body["usage"]),
            )
        )

    async def stream_complete(
        self,
        request: service_pb.StreamCompleteRequest,
        context: grpc.aio.ServicerContext[service_pb.StreamCompleteRequest, service_pb.StreamCompleteResponse],
    ) -> AsyncIterator[service_pb.StreamCompleteResponse]:
        """One message per token, as the lines of the upstream's server-sent events come."""
        del context
        stream_id = uuid.uuid4().hex
        sequence = 1
        now = Timestamp(seconds=int(time.time()))
        yield service_pb.StreamCompleteResponse(
            event=event_pb2.Event(stream_id=stream_id, sequence=sequence, time=now, started=event_pb2.Started(model=request.spec.model))
        )
        finish_reason = ""
        usage: ChatUsage = {"prompt_tokens": 0, "completion_tokens": 0}
        async with self._session.post(self._url, data=to_chat(request.spec, stream=True), headers=self._headers) as reply:
            reply.raise_for_status()
            async for line in reply.content:
                if not line.startswith(b"data: ") or line == b"data: [DONE]\n":
                    continue
                chunk = orjson.loads(line[6:])
                if chunk["usage"]:
                    usage = chunk["usage"]
                if not chunk["choices"]:
                    continue
                choice = chunk["choices"][0]
                finish_reason = choice["finish_reason"] or finish_reason
                if text := choice["delta"].get("content"):
                    sequence += 1
                    yield service_pb.StreamCompleteResponse(
                        event=event_pb2.Event(stream_id=stream_id, sequence=sequence, part_delta=event_pb2.PartDelta(text=text))
                    )
        yield service_pb.StreamCompleteResponse(
            event=event_pb2.Event(
                stream_id=stream_id,
                sequence=sequence + 1,
                time=Timestamp(seconds=int(time.time())),
                completed=event_pb2.Completed(
                    finish_reason=FINISH_REASONS.get(finish_reason, completion_pb2.FINISH_REASON_UNSPECIFIED),
                    provider_finish_reason=finish_reason,
                    usage=to_usage(usage),
                ),
            )
        )


def method_handlers(servicer: BareCompletionService) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """Builds what protoc's own service stubs would register."""
    return {
        "Complete": grpc.unary_unary_rpc_method_handler(
            servicer.complete,
            request_deserializer=service_pb.CompleteRequest.FromString,
            response_serializer=service_pb.CompleteResponse.SerializeToString,
        ),
        "StreamComplete": grpc.unary_stream_rpc_method_handler(
            servicer.stream_complete,
            request_deserializer=service_pb.StreamCompleteRequest.FromString,
            response_serializer=service_pb.StreamCompleteResponse.SerializeToString,
        ),
    }


async def serve(listen: str, base_url: str, certificate: Path | None, private_key: Path | None) -> None:
    """Serves until SIGTERM or SIGINT; with a certificate and its key, by TLS."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None), cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        server = grpc.aio.server()
        server.add_registered_method_handlers(SERVICE, method_handlers(BareCompletionService(session, base_url)))
        if certificate is not None and private_key is not None:
            pairs = [(private_key.read_bytes(), certificate.read_bytes())]  # noqa: ASYNC240  # before anything is served
            port = server.add_secure_port(listen, grpc.ssl_server_credentials(pairs))
        else:
            port = server.add_insecure_port(listen)
        await server.start()
        print(f"listening on 127.0.0.1:{port}", flush=True)
        await stop.wait()
        await server.stop(grace=1)


def main() -> None:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(description="the bare server of the paired bench")
    parser.add_argument("--listen", default="127.0.0.1:0", help="host:port; port 0 takes a free one")
    parser.add_argument("--upstream", required=True, help="base URL of the upstream, such as http://127.0.0.1:9000/v1")
    parser.add_argument("--certificate", type=Path, help="its certificate chain (PEM); none: plaintext")
    parser.add_argument("--private-key", type=Path, help="the certificate's key (PEM)")
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.listen, arguments.upstream, arguments.certificate, arguments.private_key))


if __name__ == "__main__":
    main()
