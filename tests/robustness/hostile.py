#!/usr/bin/env python3
"""hostile.py CASE ADDRESS PORT PKI-DIR STRANGER-DIR NODE: one attack on a server of the cluster, from node NODE.

PKI-DIR holds the node's own good certificate, STRANGER-DIR one of another CA. Prints how the server took it, in one
line: "refused" (connection ended without an answer), "refused with ERRNO" (an answer with that status, then the end) or
"served".
"""
import errno
import os
import socket
import struct
import sys
import time

import wire


class Attack:
    def __init__(self, address, pki, stranger, node):
        self.address = address
        self.node = node
        self.own = (os.path.join(pki, "node.crt"), os.path.join(pki, "node.key"))
        self.stranger = (os.path.join(stranger, "node.crt"), os.path.join(stranger, "node.key"))

    def known(self):
        """A connection as a node of the cluster, before HELLO."""
        return wire.Peer(self.address, wire.context(*self.own))

    def greeted(self):
        peer = self.known()
        peer.send(wire.hello(self.node, boot=time.time_ns()))
        status, meta, _ = peer.reply()
        assert status == 0, f"HELLO of a good node: {status}"
        return peer, struct.unpack_from("<Q", meta)[0], meta[8 * 2 + 2 * 2 + 4 * 5:][:64]


def verdict(peer):
    """What the server does next: answers, or ends the connection."""
    answer = peer.reply()
    if answer is None:
        return "refused"
    if answer[0] == 0:
        return "served"
    end = peer.reply()
    name = errno.errorcode.get(answer[0], str(answer[0]))
    return f"refused with {name}" if end is None else f"served with {name}"


def sent(peer, data, then_close=False):
    peer.send(data)
    if then_close:
        peer.close()
        return "refused"
    result = verdict(peer)
    peer.close()
    return result


def no_certificate(a):
    return sent(wire.Peer(a.address, wire.context()), wire.hello(a.node))


def unknown_certificate(a):
    return sent(wire.Peer(a.address, wire.context(*a.stranger)), wire.hello(a.node))


def old_tls(a):
    tls = wire.context(*a.own)
    tls.minimum_version = tls.maximum_version = wire.ssl.TLSVersion.TLSv1_2
    return sent(wire.Peer(a.address, tls), wire.hello(a.node))


def garbage(a):
    return sent(wire.Peer(a.address), os.urandom(4096))


def http(a):
    return sent(wire.Peer(a.address), b"GET / HTTP/1.1\r\nHost: node\r\n\r\n")


def plain_hello(a):
    return sent(wire.Peer(a.address), wire.hello(a.node))


def garbage_in_tls(a):
    return sent(a.known(), os.urandom(4096))


def truncated_header(a):
    return sent(a.known(), wire.hello(a.node)[:20], then_close=True)


def truncated_metadata(a):
    return sent(a.known(), wire.hello(a.node)[:80], then_close=True)


def reset_in_the_middle(a):
    peer = wire.Peer(a.address)
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.send(b"\x16\x03\x01\x02\x00\x01\x00")  # the start of a TLS handshake
    peer.close()
    return "refused"


def future_version_in_header(a):
    hello = wire.hello(a.node)
    return sent(a.known(), hello[:4] + struct.pack("<H", 99) + hello[6:])


def future_versions_in_hello(a):
    return sent(a.known(), wire.hello(a.node, version_min=50, version_max=99))


def another_nodes_number(a):
    return sent(a.known(), wire.hello(a.node + 1))


def unknown_export(a):
    return sent(a.known(), wire.hello(a.node, export=b"/etc"))


def bytes_behind_hello(a):
    return sent(a.known(), wire.hello(a.node, extra=b"12345678"))


def huge_metadata(a):
    return sent(a.known(), wire.header(wire.HELLO, meta_len=0xFFFFFFFF))


def huge_payload(a):
    return sent(a.known(), wire.header(wire.HELLO, payload_len=0xFFFFFFFF))


def wrong_magic(a):
    return sent(a.known(), wire.header(wire.HELLO, magic=0x12345678))


def wrong_checksum(a):
    hello = wire.hello(a.node)
    return sent(a.known(), wire.header(wire.HELLO, len(hello) - 64, flags=wire.FLAG_CRC, crc=0x12345678) + hello[64:])


def reply_as_request(a):
    return sent(a.known(), wire.header(wire.HELLO, flags=wire.FLAG_REPLY))


def request_before_hello(a):
    return sent(a.known(), wire.request(wire.GETATTR, 0, 1, bytes(72)))


def name_that_leads_up(a):
    peer, session, root = a.greeted()
    return sent(peer, wire.request(wire.LOOKUP, session, 1, root + struct.pack("<II", 2, 0) + b".."))


def name_with_slash(a):
    peer, session, root = a.greeted()
    return sent(peer, wire.request(wire.LOOKUP, session, 1, root + struct.pack("<II", 7, 0) + b"../etc/"))


def sequence_out_of_order(a):
    peer, session, root = a.greeted()
    return sent(peer, wire.request(wire.GETATTR, session, 77, root + bytes(8), slot=1))


def slot_that_was_not_granted(a):
    peer, session, root = a.greeted()
    return sent(peer, wire.request(wire.GETATTR, session, 1, root + bytes(8), slot=9999))


def lengths_that_lie(a):
    peer, session, root = a.greeted()
    return sent(peer, wire.request(wire.LOOKUP, session, 1, root + struct.pack("<II", 5000, 0) + b"x"))


# Ordinary refusals, no faults of the protocol: the connection stays.


def refused_and_served(peer, bad, session, root):
    peer.send(bad)
    first = peer.reply()
    peer.send(wire.request(wire.GETATTR, session, 2, root + bytes(8), slot=1))
    second = peer.reply()
    peer.close()
    if first is None or second is None:
        return "refused"
    return f"{errno.errorcode.get(first[0], first[0])}, then {second[0]}"


def unknown_operation(a):
    peer, session, root = a.greeted()
    return refused_and_served(peer, wire.request(999, session, 1, b"", slot=1), session, root)


def forged_handle(a):
    peer, session, root = a.greeted()
    forged = root[:20] + bytes([root[20] ^ 1]) + root[21:]
    return refused_and_served(peer, wire.request(wire.GETATTR, session, 1, forged + bytes(8), slot=1), session, root)


def main():
    name, host, port, pki, stranger, node = sys.argv[1:]
    print(globals()[name](Attack((host, int(port)), pki, stranger, int(node))))


main()
