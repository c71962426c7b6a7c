"""Bad values: sampling, bytes and addresses, labels, options, formats, and enums of no such value."""

from __future__ import annotations

from antiphon.api.core.v1.message_pb2 import Blob, Message, Part, Role, ToolResult
from tests.rpc.bad_input.specs import FIRST, LIMIT_BYTES, Bad, asks, blob, call, sampling, spec, uri

VALUES: list[Bad] = [
    # Sampling, each bound.
    *(
        Bad(f"{name} of {value!r}", sampling(**{name: value}), "INVALID_FIELD", [f"spec.sampling.{name}"])
        for name, values in {
            "max_output_tokens": (0, -1, 16_777_217, -(2**31)),
            "temperature": (-0.1, 2.1, float("nan"), float("inf"), float("-inf")),
            "top_p": (0.0, 1.1, -1.0, float("nan"), float("inf")),
            "top_k": (0, -1, 100_001),
            "frequency_penalty": (-2.1, 2.1, float("nan"), float("inf")),
            "presence_penalty": (-2.1, 2.1, float("nan"), float("-inf")),
            "top_logprobs": (-1, 21),
        }.items()
        for value in values
    ),
    Bad("too many stops", sampling(stop=[f"s{number}" for number in range(17)]), "INVALID_FIELD", ["spec.sampling.stop"]),
    Bad("the same stop twice", sampling(stop=["a", "a"]), "INVALID_FIELD", ["spec.sampling.stop"]),
    Bad("an empty stop", sampling(stop=["a", ""]), "INVALID_FIELD", ["spec.sampling.stop[1]"]),
    Bad("a stop that is too long", sampling(stop=["a" * 1025]), "INVALID_FIELD", ["spec.sampling.stop[0]"]),
    Bad("more output than the model writes", sampling(max_output_tokens=1001), "LIMIT_EXCEEDED", ["spec.sampling.max_output_tokens"]),
    # Bytes and addresses.
    *(
        Bad(f"{what} as {media_type}", blob(media_type, data), "MEDIA_TYPE_MISMATCH", [f"{FIRST}.parts[0].blob.media_type"])
        for what, media_type, data in (
            ("a JPEG", "image/png", b"\xff\xd8\xff\xe0"),
            ("a PNG", "image/jpeg", b"\x89PNG\r\n\x1a\n"),
            ("a program", "image/gif", b"MZ\x90\x00"),
            ("a page", "application/pdf", b"<html>"),
            ("a WAV", "image/webp", b"RIFF\x00\x00\x00\x00WAVE"),
            ("half a signature", "image/png", b"\x89PN"),
            ("noise", "text/plain", b"\xff\xfe\x00"),
            ("an Ogg", "audio/flac", b"OggS"),
        )
    ),
    Bad(
        "a tool's JPEG as image/png",
        spec(
            asks(call()),
            Message(
                role=Role.ROLE_TOOL,
                parts=[
                    Part(
                        tool_result=ToolResult(call_id="c1", parts=[Part(blob=Blob(media_type="image/png", data=b"\xff\xd8\xff"))]),
                    )
                ],
            ),
        ),
        "MEDIA_TYPE_MISMATCH",
        ["spec.messages[1].parts[0].tool_result.parts[0].blob.media_type"],
    ),
    Bad("no bytes", blob("image/png", b""), "INVALID_FIELD", [f"{FIRST}.parts[0].blob.data"]),
    *(
        Bad(f"the media type {media_type!r}", blob(media_type, b"x"), "INVALID_FIELD", [f"{FIRST}.parts[0].blob.media_type"])
        for media_type in ("", "image", "IMAGE/PNG", "image/png; q=1", "image/png\n", "/png", "image/", "a" * 128 + "/b", "imagé/png")
    ),
    *(
        Bad(f"the address {address[:30]!r}", uri(address), "INVALID_FIELD", [f"{FIRST}.parts[0].uri.uri"])
        for address in ("https://example.com/a b", "https://example.com/\x00", "https://example.com/" + "a" * 8192)
    ),
    *(
        Bad(f"the address {address[:30]!r}", uri(address), "INVALID_FIELD", [f"{FIRST}.parts[0].uri.uri"], prefix_only=True)
        for address in (
            "",
            "http://example.com/",
            "file:///etc/passwd",
            "example.com",
            "HTTPS://example.com",
            "data:text/plain,x",
            " https://a.b",
        )
    ),
    Bad("an address of a bad type", uri("https://a.b", "png"), "INVALID_FIELD", [f"{FIRST}.parts[0].uri.media_type"]),
    # The rest.
    Bad("too many labels", spec(labels={f"k{number}": "" for number in range(65)}), "INVALID_FIELD", ["spec.labels"]),
    Bad("a label's key in capitals", spec(labels={"Team": "x"}), "INVALID_FIELD", ['spec.labels["Team"]']),
    Bad("a label without a key", spec(labels={"": "x"}), "INVALID_FIELD", ['spec.labels[""]']),
    Bad("a label that is too long", spec(labels={"team": "x" * 256}), "INVALID_FIELD", ['spec.labels["team"]']),
    Bad(
        "options of too many providers", spec(provider_options={f"p{n}": {} for n in range(17)}), "INVALID_FIELD", ["spec.provider_options"]
    ),
    Bad("a format without a form", spec(response_format={}), "INVALID_FIELD", ["spec.response_format.format"]),
    Bad(
        "a format's name with blanks",
        spec(response_format={"json_schema": {"name": "a b", "schema": "{}"}}),
        "INVALID_FIELD",
        ["spec.response_format.json_schema.name"],
    ),
    Bad("an unknown role", spec(Message(role=99, parts=[Part(text="")])), "INVALID_FIELD", [f"{FIRST}.role"]),  # pyright: ignore[reportArgumentType]  # open enum
    Bad("a negative role", spec(Message(role=-1, parts=[Part(text="")])), "INVALID_FIELD", [f"{FIRST}.role"]),  # pyright: ignore[reportArgumentType]  # open enum
    Bad("an unknown effort", spec(reasoning={"effort": 99}), "INVALID_FIELD", ["spec.reasoning.effort"]),
    Bad("an unknown choice", spec(tool_choice={"mode": 99}), "INVALID_FIELD", ["spec.tool_choice.mode"]),
    Bad("an unknown policy", spec(unsupported_parameter_policy=99), "INVALID_FIELD", ["spec.unsupported_parameter_policy"]),
    Bad(
        "too much provider state",
        spec(Message(role=Role.ROLE_USER, parts=[Part(text="", provider_state=bytes(LIMIT_BYTES - 64))]), Message(role=Role.ROLE_USER)),
        "INVALID_FIELD",
        ["spec.messages[1].parts"],
    ),
]
