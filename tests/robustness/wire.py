"""The little of proto/omfs_wire.h that a hostile client needs."""
import os
import socket
import ssl
import struct

MAGIC = 0x53464D6F
VERSION = 1
HELLO, PING, LOOKUP, GETATTR = 1, 2, 10, 11
FLAG_REPLY, FLAG_CRC = 1, 8
HEADER = struct.Struct("<IHHIIQHHIIIQIIQ")
assert HEADER.size == 64


def header(op, meta_len=0, payload_len=0, magic=MAGIC, version=VERSION, flags=0, session=0, slot=0, sequence=1, crc=0):
    return HEADER.pack(magic, version, op, flags, 0, session, slot, 0, sequence, meta_len, payload_len, 0, crc, 0, 0)


def hello(node, version_min=1, version_max=1, boot=1, export=b"", extra=b""):
    meta = struct.pack("<16sQHHIIHH", os.urandom(16), boot, version_min, version_max, 0, 8, node, len(export))
    return header(HELLO, len(meta) + len(export) + len(extra)) + meta + export + extra


def request(op, session, sequence, fixed, slot=0):
    credentials = struct.pack("<IIII", 0, 0, 0o22, 0)
    meta = credentials + fixed
    return header(op, len(meta), session=session, slot=slot, sequence=sequence) + meta


def context(certificate=None, key=None):
    """TLS 1.3 that trusts whatever the server shows: it is the server that is tested."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    if certificate:
        tls.load_cert_chain(certificate, key)
    return tls


class Peer:
    """A connection to a server. Everything the server may do to it is an answer, not an error."""

    def __init__(self, address, tls=None):
        self.socket = socket.create_connection(address, timeout=60)
        self.refused = ""
        if tls:
            try:
                self.socket = tls.wrap_socket(self.socket)
            except (ssl.SSLError, ConnectionError) as e:
                self.refused = str(e)

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (ssl.SSLError, OSError) as e:
            self.refused = str(e)

    def receive(self, size):
        data = b""
        try:
            while len(data) < size:
                more = self.socket.recv(size - len(data))
                if not more:
                    break
                data += more
        except TimeoutError:
            raise
        except (ssl.SSLError, OSError) as e:
            self.refused = str(e)
        return data

    def reply(self):
        """(status, metadata, payload) of the next message, or None when the connection is at its end."""
        raw = self.receive(64)
        if len(raw) < 64:
            return None
        fields = HEADER.unpack(raw)
        return fields[4], self.receive(fields[9]), self.receive(fields[10])

    def close(self):
        self.socket.close()
