// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Is inode->i_state behind accessors (Linux 6.19)? */
#include <linux/fs.h>

int probe(struct inode *inode);

int probe(struct inode *inode)
{
	return inode_state_read_once(inode) & I_NEW;
}
