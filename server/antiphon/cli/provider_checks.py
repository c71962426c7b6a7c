"""What the doctor asks the providers of the configuration."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from pydantic import BaseModel, SecretStr

from antiphon.app import build_engine, build_provider
from antiphon.cli.findings import Finding, Verdict
from antiphon.config import masked
from antiphon.errors import AntiphonError, Reason
from antiphon.telemetry.redaction import Redactor, secrets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from antiphon.config import Config
    from antiphon.plugins import ProviderType
    from antiphon.ports.chat_model import ChatModel

# As long as the server's own health monitor waits.
_TIMEOUT_S = 5.0
_LATER = "look again later"


def check_providers(config: Config, kinds: Mapping[str, ProviderType]) -> list[Finding]:
    """Asks every configured provider, all at once, whether it answers."""
    return asyncio.run(_check(config, kinds))


async def _check(config: Config, kinds: Mapping[str, ProviderType]) -> list[Finding]:
    async with AsyncExitStack() as opened:
        redactor = Redactor(secrets_of(config))
        engine = build_engine(config)
        opened.push_async_callback(engine.close)

        def build(name: str) -> ChatModel:
            built = build_provider(name, config, kinds, engine)
            opened.push_async_callback(built.close)
            return built

        return await asyncio.gather(*(_look(name, config, build, redactor) for name in config.providers))


async def _look(name: str, config: Config, build: Callable[[str], ChatModel], redactor: Redactor) -> Finding:
    subject = f"provider/{name}"
    settings = config.providers[name].settings
    begun_s = time.monotonic()
    try:
        built = build(name)
        async with asyncio.timeout(_TIMEOUT_S):
            await built.ping()
    except AntiphonError as error:
        if error.reason == Reason.ERROR_REASON_EMBEDDED_MODEL_UNAVAILABLE:
            # Another finding tells it, and how to mend it.
            return Finding(subject, Verdict.NOTE, "needs the embedded model, which does not work")
        limited = error.reason == Reason.ERROR_REASON_PROVIDER_RATE_LIMITED
        verdict = Verdict.NOTE if limited else Verdict.BROKEN
        return Finding(subject, verdict, redactor.text(error.message), _mend(f"providers.{name}", settings, error))
    except TimeoutError:
        return Finding(subject, Verdict.BROKEN, f"no answer within {_TIMEOUT_S:g} s", _look_at_address(f"providers.{name}", settings))
    except Exception as error:  # noqa: BLE001  # a provider's fault is a finding
        mend = f"tell who made the providers of type {config.providers[name].type!r}"
        return Finding(subject, Verdict.BROKEN, f"an unexpected fault ({type(error).__name__})", mend)
    if config.providers[name].type == "local":
        return Finding(subject, Verdict.WORKS, "starts when it is first needed")
    return Finding(subject, Verdict.WORKS, f"answers, in {(time.monotonic() - begun_s) * 1000:.0f} ms")


def _mend(place: str, settings: BaseModel, error: AntiphonError) -> str:
    match error.reason:
        case Reason.ERROR_REASON_PROVIDER_AUTHENTICATION_FAILED:
            return _look_at_key(place, settings)
        case Reason.ERROR_REASON_PROVIDER_UNAVAILABLE:
            answered = error.provider_error is not None and error.provider_error.http_status
            return _LATER if answered else _look_at_address(place, settings)
        case Reason.ERROR_REASON_PROVIDER_PROTOCOL_ERROR:
            return f"correct {place}.base_url" if "base_url" in type(settings).model_fields else f"look at {place}"
        case Reason.ERROR_REASON_PROVIDER_QUOTA_EXHAUSTED:
            return f"look at the account, or use another one's key in {place}"
        case Reason.ERROR_REASON_PROVIDER_RATE_LIMITED:
            return _LATER
        case _:
            return f"look at {place} with `antiphon config show`"


def _look_at_key(place: str, settings: BaseModel) -> str:
    if "api_key" not in type(settings).model_fields:
        return f"correct the credentials in {place}"
    key = getattr(settings, "api_key", None)
    if key is None:
        return f"{place}.api_key is not set; set it, as in `api_key: {{env: NAME}}`"
    if isinstance(key, SecretStr) and not key.get_secret_value():
        return f"{place}.api_key is empty; set it, or the variable or file that it comes from"
    return f"correct {place}.api_key, or what the key may do there"


def _look_at_address(place: str, settings: BaseModel) -> str:
    address = getattr(settings, "base_url", None)
    if not isinstance(address, str):
        return f"look at {place}, and whether this machine can reach it"
    return f"does something answer at {masked(address)}? {place}.base_url sets it"
