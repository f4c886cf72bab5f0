/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * omfs_dev.h - how a user-space program hands connections to the kernel client, through /dev/omfs.
 *
 * The program connects to an owner, authenticates both ends and makes a session with HELLO.  Then it
 * hands the stream socket and the session's parameters over; from there on the module alone speaks the
 * wire protocol (omfs_wire.h) on that socket.  The module sees plain wire messages: encryption is either
 * below the socket (kernel TLS) or done by a program at the other end of a socket pair.
 *
 * A connection belongs to the open /dev/omfs that attached it until it is mounted; closing that
 * descriptor ends the connections that are not.  A mounted connection belongs to its mount: it ends with
 * the last umount, or when the socket breaks, and is never used again.
 */
#ifndef OMFS_DEV_H
#define OMFS_DEV_H

#include <linux/ioctl.h>
#include "omfs_wire.h"

#define OMFS_DEV_PATH "/dev/omfs"
#define OMFS_DEV_VERSION 1

/**
 * struct omfs_dev_attach - a connection to hand over
 * @dev_version: OMFS_DEV_VERSION; anything else is refused with EPROTONOSUPPORT
 * @fd: connected stream socket (TCP or Unix); the module takes its own reference
 * @session: from HELLO's reply, as are @root, @node, @wire_version, @lease_ms and @max_payload
 * @node: the owner's number
 * @wire_version: version of the wire protocol both ends agreed on
 * @slots: slots granted, 2..OMFS_MAX_SLOTS; the highest is kept for PING and BYE
 * @lease_ms: the session's lease; the module renews it while the connection is attached
 * @max_payload: largest payload of one message, in bytes
 * @sequence0: the last sequence number used on slot 0; all other slots must be unused
 * @id: out: the connection's number, for "mount -o conn=ID"
 * @root: handle of the export's root
 *
 * All integers are in the machine's byte order but those within @root.
 */
struct omfs_dev_attach {
	__u32 dev_version;
	__s32 fd;
	__u64 session;
	__u16 node;
	__u16 wire_version;
	__u32 slots;
	__u32 lease_ms;
	__u32 max_payload;
	__u32 sequence0;
	__u32 id;
	struct omfs_fh root;
};

/*
 * Needs CAP_SYS_ADMIN.  Errors: EBADF, ENOTSOCK, EPROTOTYPE (not a connected stream socket),
 * EPROTONOSUPPORT (a version this module does not speak), EINVAL (a parameter out of its range).
 */
#define OMFS_DEV_ATTACH _IOWR('o', 1, struct omfs_dev_attach)

#endif /* OMFS_DEV_H */
