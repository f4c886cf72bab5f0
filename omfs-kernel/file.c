// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * file.c - open files: open, release, read, seek.
 *
 * read(2) always asks the owner, with the credentials the file was opened with, and copies what the reply
 * brought; the page cache is not involved (addr.c says when it is).  Locks are refused with ENOLCK: a lock
 * that only this node knows of would be a lie.
 */
#include <linux/filelock.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "omfs.h"

/* The owner speaks Linux's open flags as x86-64 numbers them. */
#define OMFS_WIRE_O_DIRECTORY 0200000
#define OMFS_WIRE_O_NOATIME 01000000

/**
 * omfs_file_open() - file_operations.open, of files and directories
 * @inode: the object
 * @file: the new open file
 *
 * Return: 0 or a negative errno
 */
int omfs_file_open(struct inode *inode, struct file *file)
{
	struct omfs_inode *oi = OMFS_I(inode);
	struct omfs_conn *conn = omfs_sb_conn(inode->i_sb);
	struct omfs_open_rep rep;
	struct omfs_open *open;
	u32 flags = 0;
	int err;

	open = kzalloc(sizeof(*open), GFP_KERNEL);
	if (!open)
		return -ENOMEM;
	if (S_ISDIR(inode->i_mode))
		flags |= OMFS_WIRE_O_DIRECTORY;
	if (file->f_flags & O_NOATIME)
		flags |= OMFS_WIRE_O_NOATIME;
	err = omfs_rpc_open(conn, file->f_cred, &oi->fh, flags, &rep);
	if (err) {
		kfree(open);
		return err;
	}
	refcount_set(&open->ref, 1);
	open->conn = conn;
	open->id = le64_to_cpu(rep.open_id);
	spin_lock(&oi->lock);
	list_add(&open->inode_list, &oi->opens);
	spin_unlock(&oi->lock);
	file->private_data = open;
	if (S_ISREG(inode->i_mode))
		file->f_mode |= FMODE_CAN_ODIRECT;
	return 0;
}

/**
 * omfs_file_release() - file_operations.release, of files and directories
 * @inode: the object
 * @file: the file that is closed for the last time
 *
 * Return: 0
 */
int omfs_file_release(struct inode *inode, struct file *file)
{
	struct omfs_inode *oi = OMFS_I(inode);
	struct omfs_open *open = file->private_data;

	spin_lock(&oi->lock);
	list_del(&open->inode_list);
	spin_unlock(&oi->lock);
	omfs_open_put(open);
	return 0;
}

/* Reads at most one message's worth. */
static ssize_t omfs_read_once(struct file *file, loff_t pos, struct iov_iter *to, u32 len)
{
	struct omfs_open *open = file->private_data;
	struct omfs_req *req = omfs_rpc_read(open->conn, file->f_cred, open->id, pos, len);
	size_t copied;
	bool all;

	if (IS_ERR(req))
		return PTR_ERR(req);
	copied = copy_to_iter(req->payload, req->payload_len, to);
	all = copied == req->payload_len;
	omfs_req_put(req);
	return copied || all ? copied : -EFAULT;
}

static ssize_t omfs_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct omfs_open *open = file->private_data;
	ssize_t done = 0;

	while (iov_iter_count(to)) {
		u32 len = min_t(u64, iov_iter_count(to), open->conn->max_payload);
		ssize_t n;

		len = min_t(u64, len, MAX_LFS_FILESIZE - iocb->ki_pos);
		n = len ? omfs_read_once(file, iocb->ki_pos, to, len) : 0;
		if (n < 0)
			return done ? done : n;
		iocb->ki_pos += n;
		done += n;
		if (n < len || !len || fatal_signal_pending(current))
			break;
	}
	return done;
}

static loff_t omfs_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	struct omfs_open *open = file->private_data;
	struct omfs_attr attr;
	u64 found;
	int err;

	switch (whence) {
	case SEEK_END:
		err = omfs_refresh(inode, file->f_cred, &attr);
		if (err)
			return err;
		return generic_file_llseek_size(file, offset, whence, inode->i_sb->s_maxbytes,
						le64_to_cpu(attr.size));
	case SEEK_DATA:
	case SEEK_HOLE:
		if (offset < 0)
			return -ENXIO;
		err = omfs_rpc_lseek(open->conn, file->f_cred, open->id, offset, whence, &found);
		if (err)
			return err;
		return vfs_setpos(file, found, inode->i_sb->s_maxbytes);
	}
	return generic_file_llseek(file, offset, whence);
}

static int omfs_no_locks(struct file *file, int cmd, struct file_lock *lock)
{
	return -ENOLCK;
}

const struct file_operations omfs_file_ops = {
	.open = omfs_file_open,
	.release = omfs_file_release,
	.read_iter = omfs_read_iter,
	.splice_read = copy_splice_read,
	.mmap = omfs_file_mmap,
	.llseek = omfs_llseek,
	.lock = omfs_no_locks,
	.flock = omfs_no_locks,
#ifdef OMFS_HAVE_SIMPLE_NOSETLEASE
	.setlease = simple_nosetlease,
#endif
};
