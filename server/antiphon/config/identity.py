"""Who may call, and what: the section `auth`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from antiphon.config.section import Section

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:/-]{0,127}$")]
RoleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
# The contract's permissions, in lower case without their prefix.
PermissionName = Literal["completions_create", "models_read", "health_read", "reflection_read", "metrics_read"]
PublicService = Literal["health", "reflection", "metrics"]

BUILT_IN_ROLES: dict[str, tuple[PermissionName, ...]] = {
    "admin": ("completions_create", "models_read", "health_read", "reflection_read", "metrics_read"),
    "user": ("completions_create", "models_read", "reflection_read"),
    "monitor": ("health_read", "metrics_read"),
}


class KeySection(Section):
    """One API key, as `antiphon keys create` prints it. The key itself is nowhere."""

    id: str = Field(pattern=r"^[a-z0-9]{12}$", description="The key's public part, by which it is found.")
    hash: str = Field(pattern=r"^sha256:[0-9a-f]{64}$", description="The hash of the whole key.")
    principal: Name = Field(description="Who calls with it.")
    tenant: Name = Field(description="Whose data it works on.")
    role: RoleName = Field(default="user", description="What it may do: `admin`, `user`, `monitor`, or a role of `auth.roles`.")
    disabled: bool = Field(default=False, description="Whether it is refused.")
    expires: datetime | None = Field(default=None, description="From when on it is refused, with its time zone.")


class CertificateSection(Section):
    """One client certificate that is known by its subject."""

    name: str = Field(
        min_length=1, max_length=512, description="A URI, DNS or e-mail name among its alternative names, else its common name."
    )
    principal: Name = Field(description="Who calls with it.")
    tenant: Name = Field(description="Whose data it works on.")
    role: RoleName = Field(default="user", description="As a key's.")
    disabled: bool = Field(default=False, description="Whether it is refused.")


class AuthSection(Section):
    """Who may call. Without keys and certificates, a server on loopback serves its machine's user as `admin`."""

    keys: tuple[KeySection, ...] = Field(default=(), description="API keys.")
    certificates: tuple[CertificateSection, ...] = Field(
        default=(), description="Clients known by their certificates; needs `tls.client_ca`."
    )
    roles: dict[RoleName, tuple[PermissionName, ...]] = Field(
        default_factory=dict[RoleName, tuple[PermissionName, ...]], description="Roles beside the built-in ones, with their permissions."
    )
    public: tuple[PublicService, ...] = Field(
        default=("health",), description="What is served without credentials; `/health` then gives its status alone."
    )
    serve_anyone: bool = Field(default=False, description="Serve every caller as `admin` without credentials, beyond loopback, too.")

    @property
    def identifies(self) -> bool:
        """Whether callers are asked who they are."""
        return bool(self.keys or self.certificates)

    def permissions(self, role: str) -> tuple[PermissionName, ...] | None:
        """Returns what a role may do; None where there is no such role."""
        return self.roles.get(role, BUILT_IN_ROLES.get(role))
