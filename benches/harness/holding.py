"""Many connections of applications whose sign-in is held. Plain sockets: what is measured is the server."""
import socket
import ssl
from contextlib import contextmanager


def tlv(tag, content):
    """One BER element."""
    length = len(content)
    size = bytes([length]) if length < 128 else b"\x82" + length.to_bytes(2, "big")
    return bytes([tag]) + size + content


def bind(name, password):
    """A BindRequest with message id 1."""
    operation = tlv(0x02, b"\x03") + tlv(0x04, name.encode()) + tlv(0x80, password.encode())
    return tlv(0x30, tlv(0x02, b"\x01") + tlv(0x60, operation))


@contextmanager
def held(port, names, password, authority=None):
    """Connects and binds as each of these people, and keeps the connections; TLS where there is an authority."""
    context = None
    if authority:
        context = ssl.create_default_context(cafile=str(authority))
    connections = []
    try:
        for name in names:
            connection = socket.create_connection(("127.0.0.1", port), timeout=60)
            if context:
                connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
            connection.sendall(bind(name, password))
            connections.append(connection)
        yield connections
    finally:
        for connection in connections:
            connection.close()


def answered(connections):
    """How many have been answered or closed."""
    count = 0
    for connection in connections:
        connection.setblocking(False)
        try:
            connection.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            continue
        except OSError:
            pass
        count += 1
    return count
