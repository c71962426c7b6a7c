"""Antiphon's Python SDK: clients, message builders, tools and errors live here; what a call means is decided by the contract, never here."""

from __future__ import annotations

from antiphon_client import contract
from antiphon_client._generated.antiphon.api.core.v1 import (
    Completed,
    ErrorReason,
    FinishReason,
    Message,
    Part,
    PartDelta,
    PartEnded,
    PartKind,
    PartStarted,
    ReasoningEffort,
    Role,
    Started,
    ToolCall,
    ToolCallArgumentsDelta,
    ToolCallEnded,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from antiphon_client.accumulate import StreamEvent, UnknownEvent
from antiphon_client.aio.client import AsyncClient
from antiphon_client.aio.streams import AsyncCompletionStream
from antiphon_client.completion import Completion
from antiphon_client.connection import Tls, client_version
from antiphon_client.errors import (
    AntiphonError,
    CallCancelledError,
    ConflictError,
    DeadlineExceededError,
    FailedPreconditionError,
    FieldViolation,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ResourceExhaustedError,
    ServerUnreachableError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from antiphon_client.media import audio, document, image, media
from antiphon_client.messages import Content, Conversation, MessageLike, assistant, system, text, tool_call, tool_result, user
from antiphon_client.parameters import CallParameters, CompletionParameters, completion_spec
from antiphon_client.sync.client import Client
from antiphon_client.sync.streams import CompletionStream
from antiphon_client.tools import Tool

__all__ = [
    "AntiphonError",
    "AsyncClient",
    "AsyncCompletionStream",
    "CallCancelledError",
    "CallParameters",
    "Client",
    "Completed",
    "Completion",
    "CompletionParameters",
    "CompletionStream",
    "ConflictError",
    "Content",
    "Conversation",
    "DeadlineExceededError",
    "ErrorReason",
    "FailedPreconditionError",
    "FieldViolation",
    "FinishReason",
    "InternalError",
    "InvalidRequestError",
    "Message",
    "MessageLike",
    "NotFoundError",
    "Part",
    "PartDelta",
    "PartEnded",
    "PartKind",
    "PartStarted",
    "PermissionDeniedError",
    "RateLimitedError",
    "ReasoningEffort",
    "ResourceExhaustedError",
    "Role",
    "ServerUnreachableError",
    "Started",
    "StreamEvent",
    "Tls",
    "Tool",
    "ToolCall",
    "ToolCallArgumentsDelta",
    "ToolCallEnded",
    "ToolCallStarted",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "UnknownEvent",
    "Usage",
    "UsageReported",
    "assistant",
    "audio",
    "client_version",
    "completion_spec",
    "contract",
    "document",
    "image",
    "media",
    "system",
    "text",
    "tool_call",
    "tool_result",
    "user",
]
