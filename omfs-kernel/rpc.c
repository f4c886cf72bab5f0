// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * rpc.c - the wire operations as functions: build the request, check the shape of the reply.
 *
 * Whatever comes back has been checked for what its user relies on: lengths fit, names are names, sizes
 * are file sizes.  A reply that fails that is answered with EIO.  All may sleep, and return the owner's
 * error or one of omfs_call()'s.
 */
#include <linux/slab.h>

#include "omfs.h"

/* A reply of a fixed size, copied out. */
static int omfs_call_fixed(struct omfs_conn *conn, struct omfs_call *call, void *rep, u32 rep_len)
{
	struct omfs_req *req;
	int err = 0;

	call->meta_max = rep_len;
	req = omfs_call(conn, call);
	if (IS_ERR(req))
		return PTR_ERR(req);
	if (req->meta_len == rep_len)
		memcpy(rep, req->meta, rep_len);
	else
		err = -EIO;
	omfs_req_put(req);
	return err;
}

static int omfs_check_time(const struct omfs_time *t)
{
	return le32_to_cpu(t->nsec) < NSEC_PER_SEC ? 0 : -EIO;
}

static int omfs_check_attr(const struct omfs_attr *attr)
{
	if (le64_to_cpu(attr->size) > MAX_LFS_FILESIZE)
		return -EIO;
	if (omfs_check_time(&attr->atime) || omfs_check_time(&attr->mtime) ||
	    omfs_check_time(&attr->ctime) || omfs_check_time(&attr->btime))
		return -EIO;
	switch (le32_to_cpu(attr->mode) & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	}
	return -EIO;
}

/**
 * omfs_rpc_lookup() - handle and attributes of a directory's entry
 * @conn: connection
 * @cred: who asks
 * @dir: the directory
 * @name: the entry's name
 * @rep: result
 *
 * Return: 0 or a negative errno, -ENOENT when there is no such entry
 */
int omfs_rpc_lookup(struct omfs_conn *conn, const struct cred *cred, const struct omfs_fh *dir,
		    const struct qstr *name, struct omfs_entry_rep *rep)
{
	struct omfs_lookup_req req = { .dir = *dir, .name_len = cpu_to_le32(name->len) };
	struct omfs_call call = {
		.op = OMFS_OP_LOOKUP,
		.cred = cred,
		.fixed = &req,
		.fixed_len = sizeof(req),
		.tail = name->name,
		.tail_len = name->len,
	};
	int err = omfs_call_fixed(conn, &call, rep, sizeof(*rep));

	return err ? err : omfs_check_attr(&rep->attr);
}

/**
 * omfs_rpc_getattr() - an object's attributes
 * @conn: connection
 * @cred: who asks
 * @fh: the object
 * @open_id: an open of it, or 0
 * @attr: result
 *
 * Return: 0 or a negative errno
 */
int omfs_rpc_getattr(struct omfs_conn *conn, const struct cred *cred, const struct omfs_fh *fh,
		     u64 open_id, struct omfs_attr *attr)
{
	struct omfs_getattr_req req = { .fh = *fh, .open_id = cpu_to_le64(open_id) };
	struct omfs_call call = {
		.op = OMFS_OP_GETATTR,
		.cred = cred,
		.fixed = &req,
		.fixed_len = sizeof(req),
	};
	int err = omfs_call_fixed(conn, &call, attr, sizeof(*attr));

	return err ? err : omfs_check_attr(attr);
}

/**
 * omfs_rpc_access() - may the caller?
 * @conn: connection
 * @cred: who asks
 * @fh: the object
 * @mask: R_OK, W_OK, X_OK, or 0
 *
 * Return: 0 when yes, -EACCES when not, or another negative errno
 */
int omfs_rpc_access(struct omfs_conn *conn, const struct cred *cred, const struct omfs_fh *fh,
		    u32 mask)
{
	struct omfs_access_req req = { .fh = *fh, .mask = cpu_to_le32(mask) };
	struct omfs_call call = {
		.op = OMFS_OP_ACCESS,
		.cred = cred,
		.fixed = &req,
		.fixed_len = sizeof(req),
	};

	return omfs_call_fixed(conn, &call, NULL, 0);
}

/**
 * omfs_rpc_readlink() - target of a symbolic link
 * @conn: connection
 * @cred: who asks
 * @fh: the link
 *
 * Return: the target, NUL-terminated, for kfree(); or an ERR_PTR()
 */
char *omfs_rpc_readlink(struct omfs_conn *conn, const struct cred *cred,
			const struct omfs_fh *fh)
{
	struct omfs_fh_req fh_req = { .fh = *fh };
	struct omfs_call call = {
		.op = OMFS_OP_READLINK,
		.cred = cred,
		.fixed = &fh_req,
		.fixed_len = sizeof(fh_req),
		.meta_max = sizeof(struct omfs_bytes_rep) + OMFS_PATH_MAX,
	};
	struct omfs_req *req = omfs_call(conn, &call);
	const struct omfs_bytes_rep *rep;
	char *target = ERR_PTR(-EIO);
	u32 len;

	if (IS_ERR(req))
		return ERR_CAST(req);
	rep = req->meta;
	if (req->meta_len >= sizeof(*rep)) {
		len = le32_to_cpu(rep->len);
		if (len && len < PATH_MAX && len == req->meta_len - sizeof(*rep) &&
		    !memchr(rep + 1, 0, len))
			target = kmemdup_nul((const char *)(rep + 1), len, GFP_KERNEL);
		if (!target)
			target = ERR_PTR(-ENOMEM);
	}
	omfs_req_put(req);
	return target;
}

/**
 * omfs_rpc_statfs() - the file system an object is on
 * @conn: connection
 * @cred: who asks
 * @fh: the object
 * @rep: result
 *
 * Return: 0 or a negative errno
 */
int omfs_rpc_statfs(struct omfs_conn *conn, const struct cred *cred, const struct omfs_fh *fh,
		    struct omfs_statfs_rep *rep)
{
	struct omfs_fh_req req = { .fh = *fh };
	struct omfs_call call = {
		.op = OMFS_OP_STATFS,
		.cred = cred,
		.fixed = &req,
		.fixed_len = sizeof(req),
	};

	return omfs_call_fixed(conn, &call, rep, sizeof(*rep));
}

/**
 * omfs_rpc_open() - open a file or directory
 * @conn: connection
 * @cred: who opens
 * @fh: the object
 * @flags: O_*
 * @rep: result; the caller must see to it that the open is closed
 *
 * Return: 0 or a negative errno
 */
int omfs_rpc_open(struct omfs_conn *conn, const struct cred *cred, const struct omfs_fh *fh,
		  u32 flags, struct omfs_open_rep *rep)
{
	struct omfs_open_req req = { .fh = *fh, .flags = cpu_to_le32(flags) };
	struct omfs_call call = {
		.op = OMFS_OP_OPEN,
		.cred = cred,
		.fixed = &req,
		.fixed_len = sizeof(req),
	};

	return omfs_call_fixed(conn, &call, rep, sizeof(*rep));
}

/**
 * omfs_rpc_read() - read from an open file
 * @conn: connection
 * @cred: who opened it
 * @open_id: the open
 * @offset: where, in bytes
 * @len: how many bytes, at most the connection's max_payload
 *
 * Return: a request whose payload is what was read, fewer than @len bytes only at the end of the file;
 * or an ERR_PTR()
 */
struct omfs_req *omfs_rpc_read(struct omfs_conn *conn, const struct cred *cred, u64 open_id,
			       u64 offset, u32 len)
{
	struct omfs_read_req req = {
		.open_id = cpu_to_le64(open_id),
		.offset = cpu_to_le64(offset),
		.len = cpu_to_le32(len),
	};
	struct omfs_call call = {
		.op = OMFS_OP_READ,
		.cred = cred,
		.fixed = &req,
		.fixed_len = sizeof(req),
		.payload_max = len,
	};

	return omfs_call(conn, &call);
}

/**
 * omfs_rpc_lseek() - find data or a hole
 * @conn: connection
 * @cred: who opened the file
 * @open_id: the open
 * @offset: where to start
 * @whence: SEEK_DATA or SEEK_HOLE
 * @result: the offset found
 *
 * Return: 0 or a negative errno
 */
int omfs_rpc_lseek(struct omfs_conn *conn, const struct cred *cred, u64 open_id, u64 offset,
		   u32 whence, u64 *result)
{
	struct omfs_lseek_req req = {
		.open_id = cpu_to_le64(open_id),
		.offset = cpu_to_le64(offset),
		.whence = cpu_to_le32(whence),
	};
	struct omfs_call call = {
		.op = OMFS_OP_LSEEK,
		.cred = cred,
		.fixed = &req,
		.fixed_len = sizeof(req),
	};
	struct omfs_offset_rep rep;
	int err = omfs_call_fixed(conn, &call, &rep, sizeof(rep));

	if (err)
		return err;
	*result = le64_to_cpu(rep.offset);
	return *result > MAX_LFS_FILESIZE ? -EIO : 0;
}

/* Every entry lies within the payload and has a name. */
static int omfs_check_dirents(const struct omfs_req *req, u32 count)
{
	const u8 *p = req->payload;
	const u8 *end = p + req->payload_len;

	for (; count; count--) {
		const struct omfs_dirent *entry = (const struct omfs_dirent *)p;
		const char *name = (const char *)(entry + 1);
		u32 name_len;

		if (end - p < sizeof(*entry))
			return -EIO;
		name_len = le16_to_cpu(entry->name_len);
		if (!name_len || name_len > OMFS_NAME_MAX ||
		    end - p < sizeof(*entry) + name_len || entry->flags ||
		    le64_to_cpu(entry->cookie) > LLONG_MAX ||
		    memchr(name, '/', name_len) || memchr(name, 0, name_len))
			return -EIO;
		p += sizeof(*entry) + name_len;
	}
	return p == end ? 0 : -EIO;
}

/**
 * omfs_rpc_readdir() - one page of a directory
 * @conn: connection
 * @cred: who opened it
 * @open_id: the open
 * @cookie: of the last entry seen, 0 to start
 * @max_bytes: most bytes of entries
 *
 * Return: a request whose metadata is a struct omfs_readdir_rep and whose payload are the entries, all
 * checked; or an ERR_PTR()
 */
struct omfs_req *omfs_rpc_readdir(struct omfs_conn *conn, const struct cred *cred, u64 open_id,
				  u64 cookie, u32 max_bytes)
{
	struct omfs_readdir_req readdir_req = {
		.open_id = cpu_to_le64(open_id),
		.cookie = cpu_to_le64(cookie),
		.max_bytes = cpu_to_le32(max_bytes),
	};
	struct omfs_call call = {
		.op = OMFS_OP_READDIR,
		.cred = cred,
		.fixed = &readdir_req,
		.fixed_len = sizeof(readdir_req),
		.meta_max = sizeof(struct omfs_readdir_rep),
		.payload_max = max_bytes,
	};
	struct omfs_req *req = omfs_call(conn, &call);
	const struct omfs_readdir_rep *rep;

	if (IS_ERR(req))
		return req;
	rep = req->meta;
	if (req->meta_len != sizeof(*rep) || omfs_check_dirents(req, le32_to_cpu(rep->count))) {
		omfs_req_put(req);
		return ERR_PTR(-EIO);
	}
	return req;
}
