"""Who may come in at all: pages of known origins, under the server's own names, before any work is done for them.

A page of any site can make its reader's browser send requests to a server on the reader's own machine or network, directly or under a name that it lets point
there. Neither is of use to it when the server looks at who sent it (`Origin`) and at what name it was asked under (`Host`).
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from antiphon.calls.status import status_of
from antiphon.errors import InvalidRequestError, PermissionDeniedError, Reason
from antiphon.http.asgi import respond
from antiphon.http.refusals import refuse
from antiphon.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Collection

    from antiphon.http.asgi import Application, Event, Headers, Receive, Scope, Send

# The headers of a request; the largest credential and a browser's own headers take a tenth of it.
HEAD_BYTES = 32 * 1024
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ANY = "*"
_SHOWN = 256
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_AUTHORITY = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:\[\]/?#@\\]+))(?::([0-9]{0,5}))?", re.ASCII)
_ALLOWED_HEADERS = (
    b"Authorization, Connect-Content-Encoding, Connect-Protocol-Version, Connect-Timeout-Ms, Content-Encoding, Content-Type, Grpc-Encoding, "
    b"Grpc-Timeout, Traceparent, Tracestate, X-Grpc-Web, X-User-Agent"
)
_EXPOSED_HEADERS = b"Connect-Content-Encoding, Grpc-Encoding, Grpc-Message, Grpc-Status, Grpc-Status-Details-Bin"
# Longer is of no use: browsers keep it for two hours at most.
_PREFLIGHT_KEPT_S = b"7200"
_VARY = (b"vary", b"Origin")
_CLOSE = (b"connection", b"close")


class Entrance:
    """Lets requests through to an application, or refuses them."""

    def __init__(self, inside: Application, *, host: str, allowed_hosts: Collection[str], allowed_origins: Collection[str]) -> None:
        """Makes the entrance.

        Args:
            inside: What is behind it.
            host: The address at which the server listens, as configured.
            allowed_hosts: Names under which it may be asked, without port; `*` among them means any. Empty: those of loopback, and `host`.
            allowed_origins: Origins whose pages may call beside the server's own; `*` among them means any.
        """
        self._inside = inside
        self._hosts = frozenset(_plain_name(name) for name in allowed_hosts or (*_LOOPBACK, host))
        self._origins = frozenset(_plain_origin(origin) for origin in allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        size_bytes = sum(len(name) + len(value) for name, value in scope["headers"])
        if size_bytes > HEAD_BYTES:
            await refuse(send, status_of(_head_too_large(size_bytes)), 431)
            return
        if {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
            # A proxy in front of us may go by the other one, and take the rest of the body for a request that it has looked at.
            await refuse(send, status_of(_length_told_twice()), headers=[_CLOSE])
            return
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        if not self._takes_host(hosts, scope):
            await _turn_away(
                send,
                Reason.ERROR_REASON_HOST_NOT_ALLOWED,
                "host",
                hosts,
                "the server was asked under a name that is not its own; see web.allowed_hosts",
            )
            return
        if not origins:
            await self._inside(scope, receive, send)
            return
        own = len(origins) == 1 and _same_authority(origins[0], hosts[0])
        if not own and not self._takes_origin(origins):
            await _turn_away(
                send,
                Reason.ERROR_REASON_ORIGIN_NOT_ALLOWED,
                "origin",
                origins,
                "pages of this origin may not call here; see web.allowed_origins",
            )
            return
        if scope["method"] == "OPTIONS" and any(name == b"access-control-request-method" for name, _ in scope["headers"]):
            await respond(send, 204, _preflight(origins[0]), b"")
            return
        await self._inside(scope, receive, _telling_the_browser(send, origins[0]))

    def _takes_host(self, hosts: list[bytes], scope: Scope) -> bool:
        # A target that names a server, as proxies are asked, says more than the header; nobody has reason to ask us so.
        if len(hosts) != 1 or not scope["path"].startswith(("/", "*")):
            return False
        found = _AUTHORITY.fullmatch(hosts[0].decode("latin-1"))
        if found is None:
            return False
        if _ANY in self._hosts:
            return True
        name = _plain_name(found[1] or found[2])
        # The address at which the connection came in is nobody else's: probes ask a container under it, and no name can be made to look like it.
        return name in self._hosts or name == _plain_name((scope.get("server") or ("",))[0])

    def _takes_origin(self, origins: list[bytes]) -> bool:
        return _ANY in self._origins or (len(origins) == 1 and _plain_origin(origins[0].decode("latin-1")) in self._origins)


async def _turn_away(send: Send, reason: Reason, what: str, values: list[bytes], message: str) -> None:
    value = ", ".join(one.decode("latin-1") for one in values)[:_SHOWN].encode("unicode_escape").decode()
    logger("antiphon.http").info("request turned away", **{what: value})
    await refuse(send, status_of(PermissionDeniedError(reason, f"{message}; the {what} is {value!r}", metadata={what: value})))


def _head_too_large(size_bytes: int) -> InvalidRequestError:
    return InvalidRequestError(
        Reason.ERROR_REASON_REQUEST_TOO_LARGE,
        f"the request's headers have {size_bytes} bytes; at most {HEAD_BYTES} are taken",
        metadata={"size_bytes": str(size_bytes), "limit_bytes": str(HEAD_BYTES)},
    )


def _length_told_twice() -> InvalidRequestError:
    return InvalidRequestError(
        Reason.ERROR_REASON_UNDECODABLE_REQUEST, "the request has both content-length and transfer-encoding; send one of them"
    )


def _preflight(origin: bytes) -> Headers:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", _ALLOWED_HEADERS),
        (b"access-control-max-age", _PREFLIGHT_KEPT_S),
        _VARY,
    ]


def _telling_the_browser(send: Send, origin: bytes) -> Send:
    async def telling(event: Event) -> None:
        if event["type"] == "http.response.start":
            allowed = (b"access-control-allow-origin", origin)
            event["headers"] = [*event["headers"], allowed, (b"access-control-expose-headers", _EXPOSED_HEADERS), _VARY]
        await send(event)

    return telling


def _same_authority(origin: bytes, host: bytes) -> bool:
    """Whether a page comes from this server, under the name that it was asked under."""
    scheme, _, authority = _plain_origin(origin.decode("latin-1")).partition("://")
    # In front of us a proxy may end TLS: then the page's scheme is not ours.
    return scheme in _DEFAULT_PORTS and authority == _plain_authority(host.decode("latin-1"), scheme)


def _plain_origin(origin: str) -> str:
    """Spells an origin as browsers do: in lower case, without the port that its scheme has anyway."""
    try:
        scheme, authority, path, query, fragment = urlsplit(origin)
    except ValueError:
        return origin
    if scheme not in _DEFAULT_PORTS or path or query or fragment:
        return origin
    return f"{scheme}://{_plain_authority(authority, scheme)}"


def _plain_authority(authority: str, scheme: str) -> str:
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        return authority
    port = found[3] or _DEFAULT_PORTS[scheme]
    return f"{_plain_name(found[1] or found[2])} {port}"


def _plain_name(name: str) -> str:
    name = name.strip("[]").lower().removesuffix(".")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name
