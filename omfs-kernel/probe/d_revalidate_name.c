// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Does d_revalidate get the directory and the name (Linux 6.14)? */
#include <linux/dcache.h>

static int revalidate(struct inode *dir, const struct qstr *name, struct dentry *dentry,
		      unsigned int flags)
{
	return 1;
}

extern const struct dentry_operations probe;

const struct dentry_operations probe = { .d_revalidate = revalidate };
