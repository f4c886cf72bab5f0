// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * dir.c - directories: lookup, revalidation, listing.
 *
 * No name is trusted from the dentry cache.  Each step of a path walk asks the owner again, with the
 * caller's rights: the dentry is good when the name still leads to the object with the same handle;
 * otherwise it is dropped and looked up anew.  A negative dentry is never good.
 *
 * A listing keeps no state but its position, which is the owner's cookie of the last entry shown.
 */
#include <linux/namei.h>
#include <linux/slab.h>

#include "omfs.h"

#define OMFS_READDIR_BYTES (32 * 1024)

static struct dentry *omfs_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	struct omfs_entry_rep entry;
	struct inode *inode = NULL;
	int err;

	if (dentry->d_name.len > OMFS_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	err = omfs_rpc_lookup(omfs_sb_conn(dir->i_sb), current_cred(), &OMFS_I(dir)->fh,
			      &dentry->d_name, &entry);
	if (!err)
		inode = omfs_iget(dir->i_sb, &entry.fh, &entry.attr);
	else if (err != -ENOENT)
		return ERR_PTR(err);
	return d_splice_alias(inode, dentry);
}

/* 1: the name still leads to this dentry's inode; 0: it does not; or a negative errno. */
static int omfs_check_name(struct inode *dir, const struct qstr *name, struct inode *inode)
{
	struct omfs_entry_rep entry;
	int err = omfs_rpc_lookup(omfs_sb_conn(dir->i_sb), current_cred(), &OMFS_I(dir)->fh, name,
				  &entry);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (!omfs_fh_equal(&entry.fh, &OMFS_I(inode)->fh))
		return 0;
	return omfs_update_inode(inode, &entry.attr) ? 0 : 1;
}

#ifdef OMFS_HAVE_D_REVALIDATE_NAME
static int omfs_d_revalidate(struct inode *dir, const struct qstr *name, struct dentry *dentry,
			     unsigned int flags)
{
	if (flags & LOOKUP_RCU)
		return -ECHILD;
	if (d_really_is_negative(dentry))
		return 0;
	return omfs_check_name(dir, name, d_inode(dentry));
}
#else
static int omfs_d_revalidate(struct dentry *dentry, unsigned int flags)
{
	struct name_snapshot name;
	struct dentry *parent;
	int ret = 0;

	if (flags & LOOKUP_RCU)
		return -ECHILD;
	if (d_really_is_negative(dentry))
		return 0;
	parent = dget_parent(dentry);
	take_dentry_name_snapshot(&name, dentry);
	ret = omfs_check_name(d_inode(parent), &name.name, d_inode(dentry));
	release_dentry_name_snapshot(&name);
	dput(parent);
	return ret;
}
#endif

const struct dentry_operations omfs_dentry_ops = {
	.d_revalidate = omfs_d_revalidate,
	.d_delete = always_delete_dentry,
};

/* Shows the entries of one page. Returns false when the caller's buffer is full. */
static bool omfs_emit(struct dir_context *ctx, const struct omfs_req *req, u32 count)
{
	const u8 *p = req->payload;

	for (; count; count--) {
		const struct omfs_dirent *entry = (const struct omfs_dirent *)p;
		u32 name_len = le16_to_cpu(entry->name_len);
		u32 type = le32_to_cpu(entry->type);

		if (!dir_emit(ctx, (const char *)(entry + 1), name_len, le64_to_cpu(entry->ino),
			      type <= DT_WHT ? type : DT_UNKNOWN))
			return false;
		ctx->pos = le64_to_cpu(entry->cookie);
		p += sizeof(*entry) + name_len;
	}
	return true;
}

static int omfs_iterate(struct file *file, struct dir_context *ctx)
{
	struct omfs_open *open = file->private_data;
	u32 max_bytes = min_t(u32, OMFS_READDIR_BYTES, open->conn->max_payload);
	bool more = true;

	while (more) {
		struct omfs_req *req = omfs_rpc_readdir(open->conn, file->f_cred, open->id,
							ctx->pos, max_bytes);
		const struct omfs_readdir_rep *rep;
		u32 count;

		if (IS_ERR(req))
			return PTR_ERR(req);
		rep = req->meta;
		count = le32_to_cpu(rep->count);
		more = omfs_emit(ctx, req, count) && count && !rep->eof;
		omfs_req_put(req);
	}
	return 0;
}

const struct inode_operations omfs_dir_inode_ops = {
	.lookup = omfs_lookup,
	.getattr = omfs_getattr,
	.permission = omfs_permission,
};

const struct file_operations omfs_dir_ops = {
	.open = omfs_file_open,
	.release = omfs_file_release,
	.read = generic_read_dir,
	.iterate_shared = omfs_iterate,
	.llseek = generic_file_llseek,
};
