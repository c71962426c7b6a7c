"""Who calls, and whether they may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antiphon.api.core.v1.permission_pb2 import Permission
from antiphon.errors import PermissionDeniedError, Reason
from antiphon.identity.directory import AUTHORIZATION

if TYPE_CHECKING:
    from antiphon.calls.call import Handler, IncomingCall, Send
    from antiphon.identity.directory import CallerDirectory
    from antiphon.ports.call import Caller


class Authentication:
    """Finds the caller and holds the method's permission against what the caller may do."""

    def __init__(self, callers: CallerDirectory) -> None:
        self._callers = callers

    async def __call__(self, call: IncomingCall, send: Send, rest: Handler) -> None:
        """Notes the caller.

        Raises:
            AuthenticationError: Nobody knows who calls.
            PermissionDeniedError: The caller may not call this method.
        """
        # Noted before the permission is looked at: the line in the log names a caller who is refused, too.
        caller = self._callers.identify(call.metadata.get(AUTHORIZATION), call.certificate_names)
        call.caller = caller
        # A method that is not there has no permission; who it is not there for is asked all the same.
        if call.method.permission:
            require(caller, call.method.permission)
        await rest(call, send)


def require(caller: Caller, permission: Permission) -> None:
    """Makes sure that a caller has a permission.

    Raises:
        PermissionDeniedError: They have not.
    """
    if permission not in caller.permissions:
        name = Permission.Name(permission).removeprefix("PERMISSION_").lower()
        raise PermissionDeniedError(
            Reason.ERROR_REASON_PERMISSION_DENIED,
            f"this needs the permission {name!r}, which {caller.principal!r} has not; ask the operator for a role that has it",
            metadata={"permission": name},
        )
