"""Things that stand between a program and the collector: a relay that looks, TLS, an HTTP proxy."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from dataclasses import dataclass, field
from urllib.parse import urlsplit

WAIT = 20.0


def address_of(url: str) -> tuple[str, int]:
    """Host and port of a URL."""
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    return parts.hostname, parts.port


@dataclass
class Connection:
    """One connection that came through, by the client's port, and what the client sent on it."""

    port: int
    sent: bytearray = field(default_factory=bytearray)


class Relay:
    """Passes bytes to `upstream` and remembers who sent what; speaks TLS to the client when given a certificate."""

    def __init__(self, upstream: tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        self.connections: list[Connection] = []
        self.refused_handshakes = 0
        self._upstream, self._tls = upstream, tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def ports_that_sent(self, text: bytes) -> set[int]:
        """The client ports of the connections on which `text` was sent."""
        return {connection.port for connection in self.connections if text in connection.sent}

    def close(self) -> None:
        """Takes no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, peer = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client, int(peer[1])), daemon=True).start()

    def _serve(self, client: socket.socket, port: int) -> None:
        client.settimeout(WAIT)
        try:
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
            target = self._target(client)
            server = socket.create_connection(target, WAIT)
        except (OSError, ValueError):
            self.refused_handshakes += 1
            client.close()
            return
        connection = Connection(port)
        self.connections.append(connection)
        back = threading.Thread(target=_pump, args=(server, client, None), daemon=True)
        back.start()
        _pump(client, server, connection.sent)
        back.join(WAIT)

    def _target(self, client: socket.socket) -> tuple[str, int]:
        return self._upstream


class Proxy(Relay):
    """An HTTP proxy that knows only CONNECT and asks for a password. Every name leads to `upstream`."""

    def __init__(self, upstream: tuple[str, int], user: str, password: str) -> None:
        self.asked: list[str] = []
        self.turned_away = 0
        self._wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        super().__init__(upstream)

    def _target(self, client: socket.socket) -> tuple[str, int]:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            got = client.recv(1)
            if not got:
                raise ValueError("closed before the request")
            head += got
        request, *fields = head.decode("latin-1").split("\r\n")
        method, authority, _version = request.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in fields if line)}
        if headers.get("proxy-authorization") != self._wanted:
            self.turned_away += 1
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n")
            raise ValueError("no password")
        if method != "CONNECT":
            client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n")
            raise ValueError(method)
        self.asked.append(authority)
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return self._upstream


def _pump(source: socket.socket, sink: socket.socket, seen: bytearray | None) -> None:
    try:
        while data := source.recv(65536):
            if seen is not None:
                seen += data
            sink.sendall(data)
    except OSError:
        pass
    finally:
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass
