"""What of this machine's loopback a lab needs: addresses that exist, ports that are free."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from collections.abc import Iterable

from lab.plan import WorldError

TRIES = 20


def bindable(host: str, port: int = 0, kind: socket.SocketKind = socket.SOCK_STREAM) -> bool:
    """Whether a server could listen on `host` and `port` now (macOS has only those addresses that were added)."""
    with socket.socket(socket.AF_INET, kind) as sock:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed connection is no listener
        try:
            sock.bind((host, port))
        except OSError:
            return False
    return True


def require_addresses(addresses: Iterable[str]) -> None:
    """WorldError that says how to add the loopback addresses that this machine lacks."""
    missing = [address for address in addresses if not bindable(address)]
    if missing:
        add = "ifconfig lo0 alias {}" if sys.platform == "darwin" else "ip addr add {}/32 dev lo"
        commands = "; ".join(f"sudo {add.format(address)}" for address in missing)
        raise WorldError(f"this machine lacks {len(missing)} loopback addresses; type: {commands}")


def require_free(port: int, hosts: Iterable[str], base: int, kinds: Iterable[socket.SocketKind]) -> None:
    """WorldError that names the port, and the option to change it, when a host of `hosts` has a server there."""
    for kind in kinds:
        for host in hosts:
            if not bindable(host, port, kind):
                raise WorldError(
                    f"port {port} on {host} is taken (`ss -lntup 'sport = :{port}'` shows by whom); choose four "
                    f"free ones by their first, for example --lab-port {base + 10 if base < 64000 else 5050}"
                )


def free_port_on(addresses: Iterable[str]) -> int:
    """A TCP port that is free on all addresses now; OSError when none of several tries was."""
    hosts = list(addresses)
    for _ in range(TRIES):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            port = 0
            for host in hosts:
                sock = stack.enter_context(socket.socket())
                sock.bind((host, port))
                port = int(sock.getsockname()[1])
            return port
    raise OSError(errno.EADDRINUSE, f"no port is free on all of {', '.join(hosts)}")
