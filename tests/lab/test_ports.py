"""What a machine lacks is said in one sentence with the commands that add it."""

from __future__ import annotations

import socket

import pytest

from lab import ports
from lab.core_banking import names
from lab.plan import WorldError


@pytest.mark.parametrize(
    ("platform", "command"),
    [("darwin", "sudo ifconfig lo0 alias {}"), ("linux", "sudo ip addr add {}/32 dev lo")],
)
def test_missing_addresses_are_all_named(monkeypatch: pytest.MonkeyPatch, platform: str, command: str) -> None:
    """Without the loopback range the sentence has one command for every address, those of the tasks included."""
    monkeypatch.setattr(ports, "bindable", lambda _host: False)
    monkeypatch.setattr(ports.sys, "platform", platform)
    with pytest.raises(WorldError) as caught:
        ports.require_addresses(names.addresses())
    needed = names.addresses()
    assert f"lacks {len(needed)} loopback addresses" in str(caught.value)
    assert [command.format(address) in str(caught.value) for address in needed] == [True] * 16
    assert {"127.100.2.10", "127.101.2.10", "127.102.0.10", "127.100.5.165", "127.101.1.5"} <= set(needed)


def test_only_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses that exist are not asked for again."""
    monkeypatch.setattr(ports, "bindable", lambda host: host != "127.102.0.53")
    with pytest.raises(WorldError, match=r"lacks 1 loopback addresses; type: sudo [a-z0-9 /.]*127.102.0.53[^;]*$"):
        ports.require_addresses(names.addresses())


def test_a_closed_connection_does_not_take_a_port() -> None:
    """A port whose server ended a moment ago is free, also while the kernel still remembers its connections."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as every server here does
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = int(server.getsockname()[1])
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0] as accepted:
            assert not ports.bindable("127.0.0.1", port)
            accepted.close()
    assert ports.bindable("127.0.0.1", port)
