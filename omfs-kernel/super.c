// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * super.c - mounting, and the module itself.
 *
 *	mount -t omfs 2 /mnt                a connection to node 2, the newest that was handed over
 *	mount -t omfs 2 /mnt -o conn=17     that connection
 *
 * A superblock stands for a connection: two mounts of one connection share it.  It ends with the last
 * umount, and the connection with it.  The file system can only be read in this version; whatever would
 * change it gets EROFS from the VFS.
 */
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "omfs.h"

enum { OMFS_OPT_CONN };

static const struct fs_parameter_spec omfs_params[] = {
	fsparam_u32("conn", OMFS_OPT_CONN),
	{}
};

/* While a mount is being made: fc->fs_private points to the number given with "conn=", 0 without. */
static int omfs_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	u32 *conn_id = fc->fs_private;
	struct fs_parse_result result;
	int opt = fs_parse(fc, omfs_params, param, &result);

	if (opt < 0)
		return opt;
	if (!result.uint_32)
		return invalf(fc, "omfs: conn=0 is no connection");
	*conn_id = result.uint_32;
	return 0;
}

static int omfs_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct omfs_statfs_rep rep;
	int err = omfs_rpc_statfs(omfs_sb_conn(dentry->d_sb), current_cred(),
				  &OMFS_I(d_inode(dentry))->fh, &rep);

	if (err)
		return err;
	buf->f_type = OMFS_SUPER_MAGIC;
	buf->f_blocks = le64_to_cpu(rep.blocks);
	buf->f_bfree = le64_to_cpu(rep.bfree);
	buf->f_bavail = le64_to_cpu(rep.bavail);
	buf->f_files = le64_to_cpu(rep.files);
	buf->f_ffree = le64_to_cpu(rep.ffree);
	buf->f_fsid = u64_to_fsid(le64_to_cpu(rep.fsid));
	buf->f_bsize = le32_to_cpu(rep.bsize);
	buf->f_frsize = le32_to_cpu(rep.frsize);
	buf->f_namelen = le32_to_cpu(rep.namelen);
	return 0;
}

static void omfs_umount_begin(struct super_block *sb)
{
	omfs_conn_break(omfs_sb_conn(sb), -ECONNABORTED);
}

static int omfs_show_options(struct seq_file *m, struct dentry *root)
{
	seq_printf(m, ",conn=%u", omfs_sb_conn(root->d_sb)->id);
	return 0;
}

static const struct super_operations omfs_super_ops = {
	.alloc_inode = omfs_alloc_inode,
	.free_inode = omfs_free_inode,
	.drop_inode = OMFS_DROP_INODE,
	.statfs = omfs_statfs,
	.umount_begin = omfs_umount_begin,
	.show_options = omfs_show_options,
};

static int omfs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct omfs_conn *conn = omfs_sb_conn(sb);
	struct omfs_attr attr;
	struct inode *root;
	int err;

	sb->s_magic = OMFS_SUPER_MAGIC;
	sb->s_op = &omfs_super_ops;
	omfs_set_d_op(sb, &omfs_dentry_ops);
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_time_gran = 1;
	sb->s_time_min = S64_MIN;
	sb->s_time_max = S64_MAX;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	/* A device number means something else on its owner. Time stamps are the owner's. */
	sb->s_iflags |= SB_I_NODEV;
	sb->s_flags |= SB_RDONLY | SB_NOATIME;

	if (!omfs_conn_adopt(conn, sb))
		return -ENOTCONN;
	err = omfs_rpc_getattr(conn, current_cred(), &conn->root, 0, &attr);
	if (err)
		return err;
	if (!S_ISDIR(le32_to_cpu(attr.mode)))
		return -ENOTDIR;
	root = omfs_iget(sb, &conn->root, &attr);
	if (IS_ERR(root))
		return PTR_ERR(root);
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

static int omfs_get_tree(struct fs_context *fc)
{
	u32 conn_id = *(u32 *)fc->fs_private;
	struct omfs_conn *conn;
	u16 node;

	if (!fc->source || kstrtou16(fc->source, 10, &node) || !node)
		return invalf(fc, "omfs: the source must be a node's number");
	conn = omfs_conn_find(conn_id, node);
	if (!conn) {
		errorf(fc, "omfs: no connection to node %u was handed over", node);
		return -ENOTCONN;
	}
	fc->sb_flags |= SB_RDONLY;
	/* The reference goes with s_fs_info: into a new superblock, or back through omfs_free_fc(). */
	return get_tree_keyed(fc, omfs_fill_super, conn);
}

static void omfs_free_fc(struct fs_context *fc)
{
	if (fc->s_fs_info)
		omfs_conn_put(fc->s_fs_info);
	kfree(fc->fs_private);
}

static int omfs_reconfigure(struct fs_context *fc)
{
	if (!(fc->sb_flags & SB_RDONLY)) {
		errorf(fc, "omfs: this version can only be mounted read-only");
		return -EROFS;
	}
	return 0;
}

static const struct fs_context_operations omfs_context_ops = {
	.parse_param = omfs_parse_param,
	.get_tree = omfs_get_tree,
	.reconfigure = omfs_reconfigure,
	.free = omfs_free_fc,
};

static int omfs_init_fs_context(struct fs_context *fc)
{
	fc->fs_private = kzalloc(sizeof(u32), GFP_KERNEL);
	if (!fc->fs_private)
		return -ENOMEM;
	fc->ops = &omfs_context_ops;
	return 0;
}

static void omfs_kill_sb(struct super_block *sb)
{
	struct omfs_conn *conn = omfs_sb_conn(sb);

	kill_anon_super(sb);
	omfs_conn_release(conn, sb);
}

struct file_system_type omfs_fs_type = {
	.owner = THIS_MODULE,
	.name = "omfs",
	.init_fs_context = omfs_init_fs_context,
	.parameters = omfs_params,
	.kill_sb = omfs_kill_sb,
};
MODULE_ALIAS_FS("omfs");

static int __init omfs_init(void)
{
	int err = omfs_inode_init();

	if (err)
		return err;
	err = omfs_conn_init();
	if (err)
		goto fail_inode;
	err = register_filesystem(&omfs_fs_type);
	if (err)
		goto fail_conn;
	err = omfs_dev_init();
	if (err)
		goto fail_fs;
	return 0;

fail_fs:
	unregister_filesystem(&omfs_fs_type);
fail_conn:
	omfs_conn_exit();
fail_inode:
	omfs_inode_exit();
	return err;
}

static void __exit omfs_exit(void)
{
	omfs_dev_exit();
	unregister_filesystem(&omfs_fs_type);
	omfs_conn_exit();
	omfs_inode_exit();
}

module_init(omfs_init);
module_exit(omfs_exit);

MODULE_DESCRIPTION("oMFS cluster file system client");
MODULE_AUTHOR("The oMFS authors");
MODULE_LICENSE("Dual MIT/GPL");
