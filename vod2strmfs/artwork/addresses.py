"""To which addresses images may be asked for: public ones, and Dispatcharr's own.

A provider's URL, or a redirect of its host, may name an address in the user's own network, directly or by a name. So
names are resolved here, once, for each connection, and the connection is made to the address that was judged.
"""

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import SOCK_STREAM

import httpcore
import trio

_GLOBAL = ip_network("2000::/3")
"""Where all IPv6 addresses of the Internet are. What is elsewhere may mean an IPv4 address to somebody."""
_DOCUMENTATION = ip_network("3fff::/20")
_TRANSLATED = ip_network("64:ff9b::/96")
"""IPv6 addresses that a gateway takes for IPv4 addresses (NAT64)."""

Place = tuple[str, int]
"""A host and a port."""


class RefusedAddressError(Exception):
    """A host has no address to which images may be asked for."""


class PublicNetwork(httpcore.AsyncNetworkBackend):
    """Connects to public addresses alone.

    Args:
        own: where Dispatcharr is, which may be anywhere.
    """

    def __init__(self, own: Iterable[Place]) -> None:
        self._own = frozenset(own)
        self._backend = httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """See httpcore.

        Raises:
            RefusedAddressError: the host has none that may be asked.
            httpcore.ConnectError: it cannot be reached.
        """
        try:
            with trio.fail_after(timeout or float("inf")):
                found = await trio.socket.getaddrinfo(host, port, type=SOCK_STREAM)
        except trio.TooSlowError:
            raise httpcore.ConnectTimeout from None
        except OSError as error:  # gaierror is one
            raise httpcore.ConnectError(str(error)) from error
        addresses = [str(address[0]) for *_, address in found]
        allowed = [each for each in addresses if (host, port) in self._own or is_public(each)]
        if not allowed:
            raise RefusedAddressError(host)
        for address in allowed[:-1]:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
        return await self._backend.connect_tcp(allowed[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """See httpcore."""
        await self._backend.sleep(seconds)


def is_public(address: str) -> bool:
    """Whether an address is in the Internet: not private, of this host, of this link, or for many."""
    ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        ip = IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _TRANSLATED else ip.ipv4_mapped or ip.sixtofour or ip
    if isinstance(ip, IPv6Address) and (ip not in _GLOBAL or ip in _DOCUMENTATION):
        return False
    return ip.is_global and not ip.is_multicast
