/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * omfs_wire.h - the data-plane wire format of oMFS, version 1.
 *
 * One header for the kernel client, the FUSE client and the server.  Rules:
 *
 *  - Every integer is little-endian and of fixed width; structures are packed, hold no bit-fields and
 *    are multiples of 8 bytes, so that they have one layout everywhere.
 *  - A message is header (64 bytes) + metadata (hdr.meta_len) + payload (hdr.payload_len).  Bulk data is
 *    only ever in the payload, so that a receiver can read it straight into its final place.
 *  - Request metadata is: struct omfs_creds, creds.ngroups group ids (__le32), the operation's fixed
 *    struct omfs_<op>_req, then its variable parts in the order the structure names their lengths.
 *    Nothing is aligned or padded between the parts; nothing may follow the last one.
 *  - Reply metadata is: the operation's fixed struct omfs_<op>_rep, then its variable parts.  A reply
 *    with hdr.status != 0 carries neither metadata nor payload.  hdr.status is a positive Linux errno.
 *  - Names are single path components: 1..255 bytes, no '/', no NUL, not "." or "..".
 *  - hdr.slot and hdr.sequence follow NFSv4.1 (RFC 8881, 2.10.6): a request on a slot with
 *    sequence = last + 1 is new, = last is a retransmission after a reconnect and answered from the
 *    reply cache (non-idempotent operations) or executed again (idempotent ones), anything else is
 *    EPROTO.  A slot carries one request at a time; replies may come in any order.
 *  - A connection's first request is HELLO, on slot 0; it makes or resumes a session.  HELLO stands
 *    outside the slots' order: on a new session slot 0 goes on from HELLO's sequence (0 is usual, so that
 *    every slot's first request has sequence 1), on a resumed one its sequence is only echoed.  Several
 *    connections may serve one session: each says HELLO with the same client_id, boot and session.
 *  - After a reconnect a client sends every request again that has no reply yet, with OMFS_F_REPLAY.
 *    Replies of an OPEN, CREATE or LOOKUP_OPEN from the reply cache come without their payload (eof 0).
 *  - A peer that meets a bad magic, a version it does not speak, lengths above the limits or metadata
 *    that does not parse closes the connection after logging one line.
 */
#ifndef OMFS_WIRE_H
#define OMFS_WIRE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#include <linux/types.h>
#endif

#define OMFS_MAGIC 0x53464d6fU /* "oMFS" as bytes on the wire */
#define OMFS_VERSION 1
#define OMFS_VERSION_MIN 1

#define OMFS_HDR_SIZE 64
#define OMFS_MAX_META (256 * 1024)
#define OMFS_MAX_PAYLOAD (1024 * 1024)
#define OMFS_NAME_MAX 255
#define OMFS_PATH_MAX 4096
#define OMFS_GROUPS_MAX 65536
#define OMFS_XATTR_SIZE_MAX 65536
#define OMFS_MAX_SLOTS 256
#define OMFS_INLINE_READ (64 * 1024) /* most bytes of data an OPEN reply may carry */

/* hdr.flags */
#define OMFS_F_REPLY 0x1U     /* this is a reply */
#define OMFS_F_CACHE 0x2U     /* request: non-idempotent, keep the reply for replay */
#define OMFS_F_REPLAY 0x4U    /* request: sent again after a reconnect; reply: from the reply cache */
#define OMFS_F_CRC 0x8U       /* hdr.crc is the CRC32C of metadata and payload */
#define OMFS_F_SERVER 0x10U   /* request from the owner to the client (recall) */

struct omfs_hdr {
	__le32 magic;
	__le16 version;
	__le16 op;          /* enum omfs_op; a reply repeats the request's */
	__le32 flags;       /* OMFS_F_* */
	__le32 status;      /* reply: 0 or a positive errno; request: 0 */
	__le64 session;     /* 0 in the first HELLO of a client */
	__le16 slot;
	__le16 credits;     /* reply: number of slots the client may use from now on */
	__le32 sequence;    /* of the slot */
	__le32 meta_len;
	__le32 payload_len;
	__le64 hlc;         /* ns since 1970: the highest time stamp of a file that the sender has given, shown or
			     * heard of; the receiver gives none below it (hybrid logical clock) */
	__le32 crc;
	__le32 caps;        /* OMFS_CAPS(object, directory): request: wanted; reply: held, and this reply's
			     * facts may be cached under them */
	__le64 cap_seq;     /* reply, recall: see "Caps" below; 0 in requests */
} __attribute__((__packed__));

/*
 * Caps: revocable rights to cache, per object and client.  What a request is about is its object; LOOKUP
 * and the operations that make or remove a name also have a directory.
 *
 *   OMFS_CAP_A  mode, owner, extended attributes, ACLs
 *   OMFS_CAP_L  link count; of a directory: its entries, missing ones included, and its size and times
 *   OMFS_CAP_F  data, size and times
 *   OMFS_CAP_W  alone to have the data: may delay writes.  Only together with F
 *
 * A client that wants none (older ones, the kernel client so far) sends 0 and caches nothing.  Grants are
 * made only to a session that has a recall connection: one whose HELLO asked for and got
 * OMFS_FEATURE_RECALLS.  On it the owner sends requests (OMFS_F_SERVER, op RECALL) and the client only
 * replies; everything else goes over the session's other connections.
 *
 * Numbers.  The owner numbers grants, changes and recalls in one sequence (per epoch).  A fact in a reply
 * with caps has the reply's number.  A recall, or the reply to an operation that changed something, makes
 * every fact with a lower number about what it changed worthless, also one that arrives later: that is how
 * a client tells when the two overtake each other.
 *
 * A recall takes caps away (OMFS_RECALL_DROP), or tells that one entry of a directory, and with it the
 * directory's size and times, will change while the caps stay (OMFS_RECALL_ENTRY).  The client answers when
 * nothing it caches contradicts the recall any more and what it delayed is written; until then the
 * operation that needs it waits at the owner.  A client that does not answer within the lease is fenced: its
 * session ends.
 */
#define OMFS_CAP_A 0x1U
#define OMFS_CAP_L 0x2U
#define OMFS_CAP_F 0x4U
#define OMFS_CAP_W 0x8U
#define OMFS_CAP_ALL 0xfU
#define OMFS_CAP_MUST 0x8000U /* request: F is needed, wait until it can be had */
#define OMFS_CAPS(object, dir) ((object) | (dir) << 16)

enum omfs_op {
	OMFS_OP_HELLO = 1,      /* make or resume a session; gives the export's root */
	OMFS_OP_PING = 2,       /* renew the lease; empty both ways */
	OMFS_OP_BYE = 3,        /* end the session: closes every open of it */
	OMFS_OP_LOOKUP = 10,
	OMFS_OP_GETATTR = 11,
	OMFS_OP_SETATTR = 12,
	OMFS_OP_READLINK = 13,
	OMFS_OP_ACCESS = 14,
	OMFS_OP_STATFS = 15,
	OMFS_OP_MKNOD = 20,     /* also mkdir and mkfifo, by mode */
	OMFS_OP_SYMLINK = 21,
	OMFS_OP_LINK = 22,
	OMFS_OP_UNLINK = 23,    /* also rmdir, by flags (AT_REMOVEDIR) */
	OMFS_OP_RENAME = 24,    /* RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT */
	OMFS_OP_OPEN = 30,      /* by handle; may return the first bytes */
	OMFS_OP_CREATE = 31,    /* LOOKUP + O_CREAT open in one round trip; also O_TMPFILE */
	OMFS_OP_LOOKUP_OPEN = 32, /* LOOKUP + GETATTR + OPEN + first bytes */
	OMFS_OP_CLOSE = 33,
	OMFS_OP_READ = 34,
	OMFS_OP_WRITE = 35,
	OMFS_OP_FSYNC = 36,
	OMFS_OP_FALLOCATE = 37,
	OMFS_OP_LSEEK = 38,     /* SEEK_DATA and SEEK_HOLE only */
	OMFS_OP_COPY_RANGE = 39,
	OMFS_OP_READDIR = 40,   /* names, types, and with PLUS handles and attributes */
	OMFS_OP_GETXATTR = 50,
	OMFS_OP_SETXATTR = 51,
	OMFS_OP_LISTXATTR = 52,
	OMFS_OP_REMOVEXATTR = 53,
	OMFS_OP_GETLK = 60,
	OMFS_OP_SETLK = 61,     /* POSIX, OFD and flock locks; waits when asked to */
	OMFS_OP_CANCEL = 62,    /* interrupt a waiting request of this session */
	OMFS_OP_FLAGS = 63,     /* FS_IOC_GETFLAGS / FS_IOC_SETFLAGS */
	OMFS_OP_RECALL = 70,    /* owner to client, see "Caps" */
	OMFS_OP_RELEASE = 71,   /* client gives caps back unasked */
	OMFS_OP_RECLAIMED = 72, /* client has made its opens again after a restart of the owner */
};

/*
 * A file handle: opaque to clients, valid until the object is gone, across restarts of the owner.
 * The owner makes it of its export's number and the bytes name_to_handle_at(2) gives, and signs it, so
 * that a client can present only handles it was given and never one that leads out of the export.
 */
#define OMFS_FH_BYTES 48
struct omfs_fh {
	__u8 len;           /* used bytes of data[] */
	__u8 version;       /* 1 */
	__le16 export_id;
	__le32 type;        /* struct file_handle's handle_type */
	__u8 mac[8];        /* keyed hash of the other fields */
	__u8 data[OMFS_FH_BYTES];
} __attribute__((__packed__));

struct omfs_time {
	__le64 sec;         /* two's complement */
	__le32 nsec;
	__le32 reserved;
} __attribute__((__packed__));

struct omfs_attr {
	__le64 ino;
	__le64 size;
	__le64 blocks;      /* of 512 bytes */
	__le32 mode;        /* type and permissions, as st_mode */
	__le32 nlink;
	__le32 uid;
	__le32 gid;
	__le32 rdev_major;
	__le32 rdev_minor;
	__le32 blksize;
	__le32 attr_flags;  /* STATX_ATTR_* low 32 bits */
	struct omfs_time atime;
	struct omfs_time mtime;
	struct omfs_time ctime;
	struct omfs_time btime;
	__le64 change;      /* owner's change counter of the inode; equal means unchanged */
} __attribute__((__packed__));

/* First in every request's metadata but HELLO, PING, BYE, CANCEL, RECALL, RELEASE and RECLAIMED. */
struct omfs_creds {
	__le32 uid;         /* fsuid of the caller */
	__le32 gid;         /* fsgid */
	__le32 umask;
	__le32 ngroups;     /* supplementary groups follow as __le32 */
} __attribute__((__packed__));

/* ---- HELLO ---- */
struct omfs_hello_req {
	__u8 client_id[16]; /* random, chosen once per client instance */
	__le64 boot;        /* client's start time, ns: a new value ends the older instance's session */
	__le16 version_min;
	__le16 version_max;
	__le32 features;    /* OMFS_FEATURE_* the client has */
	__le32 slots;       /* wanted */
	__le16 node;        /* the client's node number; must be the certificate's */
	__le16 export_len;  /* export path wanted; 0 = the node's default export */
} __attribute__((__packed__));

#define OMFS_FEATURE_CRC 0x1U
#define OMFS_FEATURE_RECALLS 0x2U /* this connection carries the owner's recalls */
#define OMFS_FEATURE_CAPS 0x4U    /* reply: the owner grants caps and knows RELEASE */
#define OMFS_FEATURE_RECLAIM 0x8U /* reply: the owner waits for RECLAIMED, see there */

struct omfs_hello_rep {
	__le64 session;
	__le64 epoch;       /* changes when the server restarts: opens of older epochs are gone */
	__le16 version;     /* spoken from now on */
	__le16 node;        /* the server's node number */
	__le32 features;    /* common to both */
	__le32 slots;       /* granted */
	__le32 lease_ms;
	__le32 max_payload;
	__le32 resumed;     /* 1: the session existed and its slots are kept; so are its opens, if the
			     * epoch is the one the client knows */
	struct omfs_fh root;
	struct omfs_attr root_attr;
} __attribute__((__packed__));

/* ---- names and attributes ---- */
struct omfs_lookup_req { struct omfs_fh dir; __le32 name_len; __le32 reserved; } __attribute__((__packed__));
struct omfs_entry_rep { struct omfs_fh fh; struct omfs_attr attr; } __attribute__((__packed__));

struct omfs_getattr_req {
	struct omfs_fh fh;
	__le64 open_id;     /* 0, or the open through which fstat came */
} __attribute__((__packed__));
struct omfs_attr_rep { struct omfs_attr attr; } __attribute__((__packed__));

#define OMFS_SET_MODE 0x1U
#define OMFS_SET_UID 0x2U
#define OMFS_SET_GID 0x4U
#define OMFS_SET_SIZE 0x8U
#define OMFS_SET_ATIME 0x10U
#define OMFS_SET_MTIME 0x20U
#define OMFS_SET_ATIME_NOW 0x40U
#define OMFS_SET_MTIME_NOW 0x80U
struct omfs_setattr_req {
	struct omfs_fh fh;
	__le64 open_id;     /* ftruncate: the open it came through, else 0 */
	__le32 valid;       /* OMFS_SET_* */
	__le32 mode;
	__le32 uid;
	__le32 gid;
	__le64 size;
	struct omfs_time atime;
	struct omfs_time mtime;
} __attribute__((__packed__));
/* reply: omfs_attr_rep */

struct omfs_fh_req { struct omfs_fh fh; } __attribute__((__packed__));  /* READLINK, STATFS */
struct omfs_bytes_rep { __le32 len; __le32 reserved; } __attribute__((__packed__)); /* + len bytes of metadata */

struct omfs_access_req { struct omfs_fh fh; __le32 mask; __le32 reserved; } __attribute__((__packed__));

struct omfs_statfs_rep {
	__le64 blocks, bfree, bavail, files, ffree, fsid;
	__le32 bsize, namelen, frsize, flags;
} __attribute__((__packed__));

struct omfs_mknod_req {
	struct omfs_fh dir;
	__le32 mode;        /* with type; not yet masked by umask */
	__le32 rdev_major;
	__le32 rdev_minor;
	__le32 name_len;
} __attribute__((__packed__));
/* reply: omfs_entry_rep */

struct omfs_symlink_req { struct omfs_fh dir; __le32 name_len; __le32 target_len; } __attribute__((__packed__));
struct omfs_link_req { struct omfs_fh fh; struct omfs_fh dir; __le32 name_len; __le32 reserved; } __attribute__((__packed__));
struct omfs_unlink_req { struct omfs_fh dir; __le32 flags; __le32 name_len; } __attribute__((__packed__));
struct omfs_rename_req {
	struct omfs_fh dir;
	struct omfs_fh new_dir;
	__le32 flags;       /* RENAME_* */
	__le32 name_len;
	__le32 new_name_len;
	__le32 reserved;
} __attribute__((__packed__));

/* ---- opens and data ---- */
/* An open_id that the session does not have - the owner restarted, the lease passed - is ESTALE. */
struct omfs_open_req {
	struct omfs_fh fh;
	__le32 flags;       /* Linux x86-64 O_*; O_CREAT, O_EXCL, O_NOCTTY, O_CLOEXEC not allowed */
	__le32 inline_bytes;/* want up to so many first bytes in the payload (0..OMFS_INLINE_READ) */
} __attribute__((__packed__));
struct omfs_open_rep {
	__le64 open_id;     /* of this session */
	__le32 reserved;
	__le32 eof;         /* 1: the payload holds the whole file */
	struct omfs_fh fh;
	struct omfs_attr attr;
} __attribute__((__packed__));

struct omfs_create_req {
	struct omfs_fh dir;
	__le32 flags;       /* O_*; with O_CREAT, or O_TMPFILE and no name */
	__le32 mode;
	__le32 inline_bytes;
	__le32 name_len;
} __attribute__((__packed__));
/* reply: omfs_open_rep */

struct omfs_lookup_open_req {
	struct omfs_fh dir;
	__le32 flags;
	__le32 inline_bytes;
	__le32 name_len;
	__le32 reserved;
} __attribute__((__packed__));
/* reply: omfs_open_rep */

struct omfs_close_req { __le64 open_id; __le64 lock_owner; } __attribute__((__packed__));

struct omfs_read_req {
	__le64 open_id;
	__le64 offset;
	__le32 len;
	__le32 reserved;
} __attribute__((__packed__));
/* reply: no metadata, payload = the bytes; fewer than len only at end of file */

#define OMFS_WRITE_APPEND 0x1U
#define OMFS_WRITE_DSYNC 0x2U
#define OMFS_WRITE_MAPPED 0x4U /* what a process stored through a shared map; does not move the end of file */
#define OMFS_WRITE_OWED 0x8U  /* delayed under a cap that the owner takes back: does not wait for other clients */
struct omfs_write_req {
	__le64 open_id;
	__le64 offset;      /* not used with APPEND */
	__le32 flags;
	__le32 reserved;
} __attribute__((__packed__));
struct omfs_write_rep {
	__le64 written;
	__le64 offset;      /* where the data went: with APPEND the owner decides */
} __attribute__((__packed__));

struct omfs_fsync_req { __le64 open_id; __le32 datasync; __le32 reserved; } __attribute__((__packed__));
struct omfs_fallocate_req { __le64 open_id; __le64 offset; __le64 len; __le32 mode; __le32 reserved; } __attribute__((__packed__));
struct omfs_lseek_req { __le64 open_id; __le64 offset; __le32 whence; __le32 reserved; } __attribute__((__packed__));
struct omfs_offset_rep { __le64 offset; } __attribute__((__packed__)); /* LSEEK, COPY_RANGE (bytes copied) */
struct omfs_copy_range_req {
	__le64 open_in, offset_in, open_out, offset_out, len;
	__le32 flags;
	__le32 reserved;
} __attribute__((__packed__));

/* ---- directories ---- */
#define OMFS_READDIR_PLUS 0x1U
struct omfs_readdir_req {
	__le64 open_id;     /* of the directory, by OPEN */
	__le64 cookie;      /* 0 = start, else the cookie of the last entry seen */
	__le32 max_bytes;   /* of reply payload */
	__le32 flags;
} __attribute__((__packed__));
struct omfs_readdir_rep { __le32 count; __le32 eof; } __attribute__((__packed__));
/*
 * Payload: count entries, each omfs_dirent + name, and with PLUS omfs_entry_rep between them when
 * OMFS_DIRENT_ENTRY is set.  "." and ".." are included, without omfs_entry_rep.
 */
#define OMFS_DIRENT_ENTRY 0x1U
#define OMFS_DIRENT_CAPS 0x2U /* A, L and F of the entry are held, numbered as the reply */
struct omfs_dirent {
	__le64 ino;
	__le64 cookie;      /* continue after this entry */
	__le32 type;        /* DT_* */
	__le16 flags;
	__le16 name_len;
} __attribute__((__packed__));

/* ---- extended attributes ---- */
struct omfs_xattr_req {  /* GETXATTR, SETXATTR, REMOVEXATTR, LISTXATTR (name_len 0) */
	struct omfs_fh fh;
	__le32 flags;       /* XATTR_CREATE, XATTR_REPLACE */
	__le32 name_len;
	__le32 size;        /* GET and LIST: room the caller has, 0 = ask for the size */
	__le32 reserved;
} __attribute__((__packed__));
/* SETXATTR: value = payload.  Reply of GET and LIST: omfs_size_rep, payload = value unless size was 0 */
struct omfs_size_rep { __le32 size; __le32 reserved; } __attribute__((__packed__));

/* ---- locks ---- */
#define OMFS_LOCK_FLOCK 0x1U  /* flock(2), else POSIX byte ranges */
#define OMFS_LOCK_WAIT 0x2U
struct omfs_lock {
	__le64 start;
	__le64 end;         /* inclusive; ~0 = to the end of the file */
	__le32 type;        /* F_RDLCK, F_WRLCK, F_UNLCK */
	__le32 pid;
} __attribute__((__packed__));
struct omfs_lock_req {
	__le64 open_id;
	__le64 owner;       /* lock owner, unique within the session */
	__le32 flags;
	__le32 reserved;
	struct omfs_lock lock;
} __attribute__((__packed__));
struct omfs_lock_rep { struct omfs_lock lock; } __attribute__((__packed__)); /* GETLK */

/* ---- caps ---- */
#define OMFS_RECALL_DROP 0x1U
#define OMFS_RECALL_ENTRY 0x2U
struct omfs_recall_req {
	struct omfs_fh fh;
	__le32 kind;        /* one of OMFS_RECALL_* */
	__le32 caps;        /* DROP: to be given up */
	__le32 name_len;    /* ENTRY: the name follows, else 0 */
	__le32 reserved;
} __attribute__((__packed__));
/* reply: empty, with the recall's slot and sequence */

/* RELEASE: payload = packed omfs_release; only what was granted up to seq is given back. */
#define OMFS_RELEASE_MAX 1024
struct omfs_release {
	struct omfs_fh fh;
	__le64 seq;
} __attribute__((__packed__));

/*
 * A restarted owner (another epoch in the HELLO reply) has forgotten the opens, but still has what has no name
 * any more and was open: OPEN by handle finds it.  It keeps such objects until every client that it remembers
 * has said RECLAIMED, or for some time; a client that knows the operation says it after every HELLO that made a
 * session or brought another epoch, once it has made its opens again.  ESTALE: the epoch is not the owner's.
 */
struct omfs_reclaimed_req { __le64 epoch; } __attribute__((__packed__));

/*
 * The reply to UNLINK and RENAME, if the request wanted caps on a directory: the object that lost the name
 * (UNLINK), or was moved and was replaced or exchanged (RENAME).  A handle of length 0: there was none.
 */
struct omfs_unlink_rep { struct omfs_fh removed; } __attribute__((__packed__));
struct omfs_rename_rep { struct omfs_fh moved; struct omfs_fh replaced; } __attribute__((__packed__));

struct omfs_cancel_req { __le16 slot; __le16 reserved; __le32 sequence; } __attribute__((__packed__));

struct omfs_flags_req {
	struct omfs_fh fh;
	__le32 set;         /* 1: set to flags, 0: get */
	__le32 flags;
} __attribute__((__packed__));
struct omfs_flags_rep { __le32 flags; __le32 reserved; } __attribute__((__packed__));

#endif /* OMFS_WIRE_H */
