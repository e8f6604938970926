"""Machines of a run wait for each other here, where a signal can end them.

TensorFlow waits too, but in a call that keeps Python from doing anything, and takes SIGTERM away:
only kill -9 ends a process that waits there for a machine that never comes.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence

_HELLO, _GO = b"simclr_tf worker %d of %d\n", b"go\n"
_SECONDS_A_TRY = 0.5
_SECONDS_TO_SAY_HELLO = 5.0


def meet(addresses: Sequence[str], index: int) -> None:
    """Returns as soon as all machines have called it.

    The first listens at its own address, to which the others connect, and frees it again.

    Args:
      addresses: `host:port` of each.
      index: of this machine.

    Raises:
      OSError: the first cannot listen at its port.
    """
    host, port = _split(addresses[0])
    if index == 0:
        _gather(port, len(addresses))
    else:
        _report(host, port, _HELLO % (index, len(addresses)))


def _gather(port: int, count: int) -> None:
    """Waits until all others are connected at once, and tells them to go."""
    hellos = {_HELLO % (index, count): index for index in range(1, count)}
    present: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as stack:
        dual = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if dual else socket.AF_INET
        server = stack.enter_context(
            socket.create_server(("", port), family=family, dualstack_ipv6=dual)
        )
        server.settimeout(_SECONDS_A_TRY)
        while len(present) < count - 1:
            with contextlib.suppress(TimeoutError):
                guest = stack.enter_context(server.accept()[0])
                index = hellos.get(_read_line(guest))
                if index is not None:
                    present[index] = guest
            present = {index: guest for index, guest in present.items() if _is_open(guest)}
        for guest in present.values():
            with contextlib.suppress(OSError):
                guest.sendall(_GO)
                guest.settimeout(_SECONDS_TO_SAY_HELLO)
                guest.recv(1)  # it hangs up first: the port is free at once


def _report(host: str, port: int, hello: bytes) -> None:
    """Connects to the first machine until it says go."""
    while True:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((host, port), timeout=_SECONDS_A_TRY) as chief,
        ):
            chief.sendall(hello)
            answer = b""
            while _is_open(chief):
                with contextlib.suppress(TimeoutError):
                    answer += chief.recv(len(_GO))
                if answer == _GO:
                    return
        time.sleep(_SECONDS_A_TRY)


def _read_line(guest: socket.socket) -> bytes:
    """Returns what a guest says first, b"" if it says nothing; whoever it may be."""
    guest.settimeout(_SECONDS_TO_SAY_HELLO)
    line = b""
    with contextlib.suppress(OSError):
        while not line.endswith(b"\n") and len(line) < 100:
            part = guest.recv(100)
            if not part:
                break
            line += part
    return line


def _is_open(guest: socket.socket) -> bool:
    """Says whether the other side has not hung up."""
    guest.setblocking(False)
    try:
        return guest.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        guest.settimeout(_SECONDS_A_TRY)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
