// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * inode.c - inodes: identity, attributes, permission, symbolic links.
 *
 * An inode stands for the object its handle names.  The attributes kept in the VFS inode are what was
 * heard last; nothing is answered from them.  stat asks the owner and answers from that very reply, and
 * whether somebody may do something is the owner's decision as well: ACLs, root squashing and capabilities
 * are its matter.  (With caps, later, answers can be kept; without them a kept one might be wrong.)
 */
#include <linux/jhash.h>
#include <linux/mm.h>
#include <linux/namei.h>
#include <linux/slab.h>

#include "omfs.h"

static struct kmem_cache *omfs_inode_cache;

static void omfs_inode_init_once(void *object)
{
	struct omfs_inode *oi = object;

	inode_init_once(&oi->vfs);
	spin_lock_init(&oi->lock);
	INIT_LIST_HEAD(&oi->opens);
}

/**
 * omfs_inode_init() - set up the inode cache
 *
 * Return: 0 or -ENOMEM
 */
int __init omfs_inode_init(void)
{
	omfs_inode_cache = kmem_cache_create("omfs_inode", sizeof(struct omfs_inode), 0,
					     SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT,
					     omfs_inode_init_once);
	return omfs_inode_cache ? 0 : -ENOMEM;
}

/**
 * omfs_inode_exit() - counterpart of omfs_inode_init()
 */
void omfs_inode_exit(void)
{
	/* Inodes are freed after a grace period. */
	rcu_barrier();
	kmem_cache_destroy(omfs_inode_cache);
}

/**
 * omfs_alloc_inode() - super_operations.alloc_inode
 * @sb: the superblock
 *
 * Return: a new inode, or NULL
 */
struct inode *omfs_alloc_inode(struct super_block *sb)
{
	struct omfs_inode *oi = alloc_inode_sb(sb, omfs_inode_cache, GFP_KERNEL);

	return oi ? &oi->vfs : NULL;
}

/**
 * omfs_free_inode() - super_operations.free_inode
 * @inode: the inode
 */
void omfs_free_inode(struct inode *inode)
{
	kmem_cache_free(omfs_inode_cache, OMFS_I(inode));
}

static struct timespec64 omfs_to_timespec(const struct omfs_time *t)
{
	return (struct timespec64){
		.tv_sec = (s64)le64_to_cpu(t->sec),
		.tv_nsec = le32_to_cpu(t->nsec),
	};
}

/**
 * omfs_update_inode() - take over attributes heard from the owner
 * @inode: the inode
 * @attr: the attributes, checked
 *
 * Return: 0, or -ESTALE when they are of an object of another type
 */
int omfs_update_inode(struct inode *inode, const struct omfs_attr *attr)
{
	struct omfs_inode *oi = OMFS_I(inode);
	umode_t mode = le32_to_cpu(attr->mode);

	spin_lock(&oi->lock);
	if (inode->i_mode && inode_wrong_type(inode, mode)) {
		spin_unlock(&oi->lock);
		return -ESTALE;
	}
	inode->i_mode = mode;
	inode->i_uid = make_kuid(&init_user_ns, le32_to_cpu(attr->uid));
	inode->i_gid = make_kgid(&init_user_ns, le32_to_cpu(attr->gid));
	set_nlink(inode, le32_to_cpu(attr->nlink));
	inode->i_blocks = le64_to_cpu(attr->blocks);
	i_size_write(inode, le64_to_cpu(attr->size));
	inode_set_atime_to_ts(inode, omfs_to_timespec(&attr->atime));
	inode_set_mtime_to_ts(inode, omfs_to_timespec(&attr->mtime));
	inode_set_ctime_to_ts(inode, omfs_to_timespec(&attr->ctime));
	spin_unlock(&oi->lock);
	return 0;
}

static int omfs_inode_test(struct inode *inode, void *data)
{
	return omfs_fh_equal(&OMFS_I(inode)->fh, data);
}

static int omfs_inode_set(struct inode *inode, void *data)
{
	OMFS_I(inode)->fh = *(const struct omfs_fh *)data;
	return 0;
}

static const char *omfs_get_link(struct dentry *dentry, struct inode *inode,
				 struct delayed_call *done)
{
	char *target;

	if (!dentry)
		return ERR_PTR(-ECHILD);
	target = omfs_rpc_readlink(omfs_sb_conn(inode->i_sb), current_cred(), &OMFS_I(inode)->fh);
	if (!IS_ERR(target))
		set_delayed_call(done, kfree_link, target);
	return target;
}

static const struct inode_operations omfs_symlink_inode_ops = {
	.get_link = omfs_get_link,
	.getattr = omfs_getattr,
	.permission = omfs_permission,
};

const struct inode_operations omfs_file_inode_ops = {
	.getattr = omfs_getattr,
	.permission = omfs_permission,
};

static void omfs_set_ops(struct inode *inode, const struct omfs_attr *attr)
{
	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		inode->i_op = &omfs_file_inode_ops;
		inode->i_fop = &omfs_file_ops;
		inode->i_mapping->a_ops = &omfs_addr_ops;
		break;
	case S_IFDIR:
		inode->i_op = &omfs_dir_inode_ops;
		inode->i_fop = &omfs_dir_ops;
		break;
	case S_IFLNK:
		inode->i_op = &omfs_symlink_inode_ops;
		break;
	default:
		inode->i_op = &omfs_file_inode_ops;
		init_special_inode(inode, inode->i_mode,
				   MKDEV(le32_to_cpu(attr->rdev_major),
					 le32_to_cpu(attr->rdev_minor)));
	}
}

/**
 * omfs_iget() - the inode of an object
 * @sb: the superblock
 * @fh: the object's handle
 * @attr: its attributes, just heard and checked
 *
 * Return: the inode with a reference, or an ERR_PTR()
 */
struct inode *omfs_iget(struct super_block *sb, const struct omfs_fh *fh,
			const struct omfs_attr *attr)
{
	struct omfs_fh key = *fh;
	struct inode *inode = iget5_locked(sb, jhash(&key, sizeof(key), 0), omfs_inode_test,
					   omfs_inode_set, &key);
	int err;

	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (omfs_inode_is_new(inode)) {
		inode->i_ino = le64_to_cpu(attr->ino);
		inode->i_mode = 0;
		omfs_update_inode(inode, attr);
		omfs_set_ops(inode, attr);
		unlock_new_inode(inode);
		return inode;
	}
	err = omfs_update_inode(inode, attr);
	if (err) {
		iput(inode);
		return ERR_PTR(err);
	}
	return inode;
}

/* An open of the inode with a reference, or NULL. */
static struct omfs_open *omfs_any_open(struct omfs_inode *oi)
{
	struct omfs_open *open;

	spin_lock(&oi->lock);
	open = list_first_entry_or_null(&oi->opens, struct omfs_open, inode_list);
	if (open)
		refcount_inc(&open->ref);
	spin_unlock(&oi->lock);
	return open;
}

/**
 * omfs_refresh() - ask the owner for an inode's attributes
 * @inode: the inode
 * @cred: who asks
 * @attr: the attributes
 *
 * Return: 0 or a negative errno
 */
int omfs_refresh(struct inode *inode, const struct cred *cred, struct omfs_attr *attr)
{
	struct omfs_inode *oi = OMFS_I(inode);
	struct omfs_open *open = omfs_any_open(oi);
	int err = omfs_rpc_getattr(omfs_sb_conn(inode->i_sb), cred, &oi->fh, open ? open->id : 0,
				   attr);

	if (open)
		omfs_open_put(open);
	return err ? err : omfs_update_inode(inode, attr);
}

/**
 * omfs_getattr() - inode_operations.getattr
 * @idmap: not used, the file system cannot be mapped
 * @path: the object
 * @stat: result
 * @request_mask: what is wanted; all is given
 * @query_flags: not used: the answer is always the owner's, AT_STATX_DONT_SYNC or not
 *
 * Return: 0 or a negative errno
 */
int omfs_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat,
		 u32 request_mask, unsigned int query_flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct omfs_attr attr;
	int err = omfs_refresh(inode, current_cred(), &attr);

	if (err)
		return err;
	/* From the reply, not from the inode: another reply, an older one, may have been put there since. */
	stat->dev = inode->i_sb->s_dev;
	stat->ino = le64_to_cpu(attr.ino);
	stat->mode = le32_to_cpu(attr.mode);
	stat->nlink = le32_to_cpu(attr.nlink);
	stat->uid = make_kuid(&init_user_ns, le32_to_cpu(attr.uid));
	stat->gid = make_kgid(&init_user_ns, le32_to_cpu(attr.gid));
	stat->rdev = MKDEV(le32_to_cpu(attr.rdev_major), le32_to_cpu(attr.rdev_minor));
	stat->size = le64_to_cpu(attr.size);
	stat->blocks = le64_to_cpu(attr.blocks);
	stat->blksize = le32_to_cpu(attr.blksize);
	stat->atime = omfs_to_timespec(&attr.atime);
	stat->mtime = omfs_to_timespec(&attr.mtime);
	stat->ctime = omfs_to_timespec(&attr.ctime);
	stat->result_mask |= STATX_BASIC_STATS;
	if (attr.btime.sec || attr.btime.nsec) {
		stat->btime = omfs_to_timespec(&attr.btime);
		stat->result_mask |= STATX_BTIME;
	}
	stat->attributes |= le32_to_cpu(attr.attr_flags) & OMFS_STATX_ATTRS;
	stat->attributes_mask |= OMFS_STATX_ATTRS;
	return 0;
}

/**
 * omfs_permission() - inode_operations.permission
 * @idmap: not used
 * @inode: the object
 * @mask: MAY_*
 *
 * Opening a file to read asks nothing here: OPEN itself will.
 *
 * Return: 0, -EACCES, -ECHILD when it would have to sleep but must not, or another negative errno
 */
int omfs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	u32 access = mask & (MAY_READ | MAY_WRITE | MAY_EXEC);

	if ((mask & MAY_OPEN) && !(mask & MAY_EXEC) &&
	    (S_ISREG(inode->i_mode) || S_ISDIR(inode->i_mode)))
		return 0;
	if (mask & MAY_NOT_BLOCK)
		return -ECHILD;
	return omfs_rpc_access(omfs_sb_conn(inode->i_sb), current_cred(), &OMFS_I(inode)->fh,
			       access);
}
