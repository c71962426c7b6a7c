"""What the second port answers: calls, and to plain requests health, readiness and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToJson
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from antiphon.api.core.v1.permission_pb2 import Permission
from antiphon.calls.interceptors.authentication import require
from antiphon.calls.status import internal_error, status_of
from antiphon.errors import AntiphonError, AuthenticationError, NotFoundError, PermissionDeniedError, Reason
from antiphon.http.asgi import certificate_names, respond
from antiphon.http.entrance import Entrance
from antiphon.http.head import joined
from antiphon.http.refusals import JSON, refuse
from antiphon.identity.directory import AUTHORIZATION
from antiphon.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from antiphon.api.health.v1.health_service_pb2 import HealthReport
    from antiphon.config import Config
    from antiphon.health.monitor import HealthMonitor
    from antiphon.http.asgi import Application, Headers, Receive, Scope, Send
    from antiphon.identity.directory import CallerDirectory
    from antiphon.ports.metrics_text import MetricsText

_API = "/antiphon.api."
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_READING: Headers = [(b"allow", b"GET, HEAD")]
_SHOWN = 256


@dataclass(frozen=True, slots=True)
class Page:
    """What answers plain requests at one path.

    Attributes:
        permission: What reading it takes; None where the configuration has it public.
        answer: Makes its status, its content type and its content.
        in_brief: Makes the same for those who lack the permission; None where they are refused.
    """

    permission: Permission | None
    answer: Callable[[], Awaitable[tuple[int, tuple[bytes, bytes], bytes]]]
    in_brief: Callable[[], Awaitable[tuple[int, tuple[bytes, bytes], bytes]]] | None = None


def build_site(
    config: Config, calls: Application, monitor: HealthMonitor, metrics_text: MetricsText, callers: CallerDirectory
) -> Application:
    """Returns the application of the second port."""

    async def health() -> tuple[int, tuple[bytes, bytes], bytes]:
        return 200, JSON, _json(await monitor.report())

    async def health_in_brief() -> tuple[int, tuple[bytes, bytes], bytes]:
        return 200, JSON, _json(monitor.overall())

    async def ready() -> tuple[int, tuple[bytes, bytes], bytes]:
        return (200, _TEXT, b"ready\n") if monitor.serving else (503, _TEXT, b"draining\n")

    async def metrics() -> tuple[int, tuple[bytes, bytes], bytes]:
        return 200, (b"content-type", CONTENT_TYPE_LATEST.encode()), (await metrics_text()).encode()

    public = config.auth.public
    reading_health = None if "health" in public else Permission.PERMISSION_HEALTH_READ
    reading_metrics = None if "metrics" in public else Permission.PERMISSION_METRICS_READ
    pages = {
        # What components say of themselves is the operator's, as in HealthService, also where everybody may ask how the server does.
        "/health": Page(Permission.PERMISSION_HEALTH_READ, health, health_in_brief if "health" in public else None),
        "/ready": Page(reading_health, ready),
        "/metrics": Page(reading_metrics, metrics),
    }
    web = config.web
    return Entrance(
        Site(calls, pages, callers), host=config.server.host, allowed_hosts=web.allowed_hosts, allowed_origins=web.allowed_origins
    )


class Site:
    """Finds what answers a request."""

    def __init__(self, calls: Application, pages: dict[str, Page], callers: CallerDirectory) -> None:
        self._calls = calls
        self._pages = pages
        self._callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        path: str = scope["path"]
        if page := self._pages.get(path):
            await self._show(page, scope, send)
        elif path.startswith(_API) or scope["method"] == "POST":
            await self._calls(scope, receive, send)
        else:
            shown = path[:_SHOWN]
            nothing = NotFoundError(Reason.ERROR_REASON_METHOD_NOT_FOUND, f"there is nothing at {shown!r}; methods are called by POST")
            await refuse(send, status_of(nothing), 404)

    def _let_in(self, page: Page, scope: Scope) -> None:
        if page.permission is not None:
            caller = self._callers.identify(joined(scope["headers"]).get(AUTHORIZATION), certificate_names(scope))
            require(caller, page.permission)

    async def _show(self, page: Page, scope: Scope, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            wrong = NotFoundError(Reason.ERROR_REASON_METHOD_NOT_FOUND, f"{scope['path']} can be read and not changed")
            await refuse(send, status_of(wrong), 405, _READING)
            return
        try:
            answer = page.answer
            try:
                self._let_in(page, scope)
            except (AuthenticationError, PermissionDeniedError):
                if page.in_brief is None:
                    raise
                answer = page.in_brief
            http_status, content_type, content = await answer()
        except AntiphonError as error:
            await refuse(send, status_of(error))
        except Exception:  # noqa: BLE001  # as the calls' guard: nothing internal reaches a client
            logger("antiphon.http").exception("unexpected fault", path=scope["path"])
            await refuse(send, status_of(internal_error("none")))
        else:
            await respond(send, http_status, [content_type], content)


def _json(report: HealthReport) -> bytes:
    return MessageToJson(report, preserving_proto_field_name=True).encode()
