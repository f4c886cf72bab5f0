#!/usr/bin/env python3
"""local_socket.py CASE PATH: nonsense on omfsd's local socket. Prints "refused" when the daemon ends the connection."""
import os
import socket
import struct
import sys

CASES = {
    "garbage": os.urandom(1000),
    "truncated": struct.pack("<I", 100) + b"short",
    "too_long": struct.pack("<I", 0xFFFFFFFF) + b"x",
    "no_request": struct.pack("<I", 8) + b"\xff" * 8,
}


def main():
    case, path = sys.argv[1:]
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(60)
    peer.connect(path)
    peer.sendall(CASES[case])
    peer.shutdown(socket.SHUT_WR)
    try:
        data = peer.recv(1000)
    except ConnectionError:
        data = b""
    print("refused" if not data else f"answered {len(data)} bytes")


main()
