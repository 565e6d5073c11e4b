"""Authentication over HTTP: whether a token is required, and whom one stands for."""

from typing import Literal

from komorebi_mcp.domain.access import LOCAL, Principal
from komorebi_mcp.errors import ConfigError
from komorebi_mcp.services.access import Access
from komorebi_mcp.services.issuer import Issuer

Mode = Literal["auto", "required", "off"]


class Authenticator:
    """Tells who makes a request: the owner of its token, or `local` where none is required."""

    def __init__(self, access: Access, *, mode: Mode, issuer: Issuer | None = None) -> None:
        self._access = access
        self._mode = mode
        self._issuer = issuer
        self.exposed = False
        """Whether the server can be reached from elsewhere than this machine; see `expose`."""

    @property
    def issuer_url(self) -> str | None:
        """The authorization server whose tokens are accepted."""
        return self._issuer.url if self._issuer else None

    async def expose(self, host: str) -> None:
        """Requires a token from now on, since the server is to listen where others can reach it.

        Raises:
            ConfigError: Authentication is off, or there is neither a valid token nor an issuer.
        """
        if self._mode == "off":
            raise ConfigError(
                f"Refusing to listen on {host}: KOMOREBI_AUTH is off, so anyone who reaches it could read "
                "every capture. Unset it, or use --host 127.0.0.1."
            )
        if self._issuer is None and not await self._access.any_valid():
            raise ConfigError(
                f"Refusing to listen on {host}: without authentication anyone who reaches it could read "
                "every capture. Run `komorebi-mcp token new --owner NAME`, set KOMOREBI_AUTH_ISSUER, or use "
                "--host 127.0.0.1."
            )
        self.exposed = True

    async def is_required(self) -> bool:
        """Whether a token is required at this moment."""
        if self._mode != "auto":
            return self._mode == "required"
        return self.exposed or self._issuer is not None or await self._access.exist()

    async def principal_of(self, credential: str | None) -> Principal | None:
        """Whose request it is that shows this token, or none; None where it is to be refused.

        Raises:
            StorageError: The database does not answer.
        """
        if not await self.is_required():
            return LOCAL
        if credential is None:
            return None
        principal = await self._access.verify(credential)
        if principal is None and self._issuer is not None:
            principal = await self._issuer.verify(credential)
        return principal
