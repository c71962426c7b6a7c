"""Finds who calls by what was shown."""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from antiphon.api.core.v1.permission_pb2 import Permission
from antiphon.errors import AuthenticationError, Reason
from antiphon.identity.api_keys import has_form, hash_of, id_of
from antiphon.ports.call import EVERYTHING, LOCAL_OWNER, Caller

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antiphon.config import AuthSection

AUTHORIZATION = "authorization"
_NEVER = float("inf")
_SHOW = "send `authorization: Bearer <key>` with a key of this server"


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    hash: bytes
    disabled: bool
    expires_s: float


class CallerDirectory:
    """The callers that the configuration knows.

    Where it knows none, nobody is asked who they are: every call is the local owner's. Whether a server may be run so is decided when the configuration
    is loaded.

    Attributes:
        asks: Whether callers are asked who they are.
        certificates: Whether the names of certificates are looked at.
    """

    def __init__(self, auth: AuthSection, *, now_s: Callable[[], float] = time.time) -> None:
        self.asks = auth.identifies
        self.certificates = bool(auth.certificates)
        self._now_s = now_s
        self._by_id = {
            key.id: _Known(
                Caller(key.principal, key.tenant, _permissions(auth, key.role), f"key:{key.id}"),
                bytes.fromhex(key.hash.removeprefix("sha256:")),
                key.disabled,
                _NEVER if key.expires is None else key.expires.timestamp(),
            )
            for key in auth.keys
        }
        self._by_name = {
            one.name: _Known(
                Caller(one.principal, one.tenant, _permissions(auth, one.role), f"certificate:{one.name}"), b"", one.disabled, _NEVER
            )
            for one in auth.certificates
        }
        # No key has this hash; an unknown id is compared with it, so that it takes as long as a wrong secret.
        self._nobody = _Known(LOCAL_OWNER, bytes(32), disabled=True, expires_s=0.0)

    def identify(self, authorization: str | None, certificate_names: Sequence[str] = ()) -> Caller:
        """Finds the caller. A key says who calls, whatever certificate came with it; a wrong one is refused, whatever certificate came with it.

        Args:
            authorization: The header of this name; None where there was none. Several of them are joined by commas, and so refused.
            certificate_names: The names in the client's certificate, once its signature was checked.

        Raises:
            AuthenticationError: Nothing was shown (CREDENTIALS_MISSING), or what is nobody's (CREDENTIALS_INVALID), or what is right and
                disabled or expired (CREDENTIALS_DISABLED).
        """
        if not self.asks:
            return LOCAL_OWNER
        if authorization is not None:
            return self._by_key(authorization)
        if certificate_names and self.certificates:
            return self._by_certificate(certificate_names)
        raise AuthenticationError(Reason.ERROR_REASON_CREDENTIALS_MISSING, f"this server asks who calls; {_SHOW}")

    def _by_key(self, authorization: str) -> Caller:
        scheme, _, key = authorization.partition(" ")
        known = self._by_id.get(id_of(key), self._nobody)
        right = hmac.compare_digest(hash_of(key), known.hash)
        if not right or scheme.lower() != "bearer":
            raise _invalid(scheme, key)
        return self._in_force(known, "the key")

    def _by_certificate(self, names: Sequence[str]) -> Caller:
        for name in names:
            if known := self._by_name.get(name):
                return self._in_force(known, "the certificate")
        raise AuthenticationError(
            Reason.ERROR_REASON_CREDENTIALS_INVALID, f"the client's certificate is nobody's that this server knows; use another, or {_SHOW}"
        )

    def _in_force(self, known: _Known, what: str) -> Caller:
        if known.disabled:
            raise AuthenticationError(Reason.ERROR_REASON_CREDENTIALS_DISABLED, f"{what} is disabled; ask the operator for another")
        if known.expires_s <= self._now_s():
            raise AuthenticationError(Reason.ERROR_REASON_CREDENTIALS_DISABLED, f"{what} has expired; ask the operator for another")
        return known.caller


def _invalid(scheme: str, key: str) -> AuthenticationError:
    """Says what is wrong as far as its form tells, and repeats nothing of it."""
    if scheme.lower() != "bearer":
        told = f"the authorization header is not of the form that is taken; {_SHOW}"
    elif not has_form(key):
        told = "what follows `Bearer` is not written like a key of this server: mistyped, cut off, or another service's"
    else:
        told = "the key is nobody's that this server knows; check whether it is this server's, and not revoked"
    return AuthenticationError(Reason.ERROR_REASON_CREDENTIALS_INVALID, told)


def _permissions(auth: AuthSection, role: str) -> frozenset[Permission]:
    names = auth.permissions(role)
    assert names is not None, "checked when the configuration was loaded"
    wanted = {f"PERMISSION_{name.upper()}" for name in names}
    return frozenset(permission for permission in EVERYTHING if Permission.Name(permission) in wanted)
