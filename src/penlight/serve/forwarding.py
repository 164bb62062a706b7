"""What a reverse proxy says of the request that it passes on, believed of listed proxies alone."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from penlight.errors import ServeError

FORWARDED = "penlight.forwarded"
"""Key in an ASGI scope of the `host` (bytes) and `scheme` that a listed proxy named; each only where it did."""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Proxies:
    """Addresses whose X-Forwarded-For, -Proto and -Host are believed; of all others they are ignored.

    The setting has the name and the form of uvicorn's `forwarded_allow_ips`, but trusts nobody unless told to, takes
    no "*" (a client could then give itself any address), and reads X-Forwarded-Host too.
    """

    networks: tuple[_Network, ...] = ()

    def trusts(self, host: str) -> bool:
        """Say whether an address is that of a listed proxy."""
        address = _address(host)
        return address is not None and any(address in network for network in self.networks)

    def apply(self, scope: Any) -> None:
        """Put what a listed proxy says of the client into an ASGI scope.

        X-Forwarded-For is read from its end, where the nearest proxy adds: the client is the first address there that
        is not a listed proxy's. What is left of it came from the client, and may be made up.
        """
        client = scope.get("client")
        if not self.networks or client is None or not self.trusts(client[0]):
            return
        given: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            if name.startswith(b"x-forwarded-"):
                given.setdefault(name, []).extend(part.strip() for part in value.split(b","))
        for part in reversed(given.get(b"x-forwarded-for", [])):
            address = _address(_without_port(part.decode("latin-1")))
            if address is None:
                break
            scope["client"] = (str(address), 0)
            if not self.trusts(str(address)):
                break
        forwarded: dict[str, Any] = {}
        if host := given.get(b"x-forwarded-host", [b""])[-1]:
            forwarded["host"] = host
        scheme = given.get(b"x-forwarded-proto", [b""])[-1].decode("latin-1").lower()
        if scheme in ("http", "https"):
            scope["scheme"] = forwarded["scheme"] = scheme
        scope[FORWARDED] = forwarded


def proxies_of(values: Iterable[str]) -> Proxies:
    """Read addresses and networks, several in a value with commas between. ServeError for what is neither."""
    networks = []
    for text in (part.strip() for value in values for part in value.split(",")):
        try:
            networks.append(ipaddress.ip_network(text, strict=False))
        except ValueError as error:
            raise ServeError(
                f"--forwarded-allow-ips takes IP addresses and networks; '{text}' came.",
                "Give the proxy's own address, as 127.0.0.1 or 10.1.0.0/16. Whoever is listed can name any client.",
            ) from error
    return Proxies(tuple(networks))


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
