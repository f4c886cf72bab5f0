// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Does anything compile? */
#include <linux/fs.h>

int probe(struct inode *inode);

int probe(struct inode *inode)
{
	return inode->i_mode;
}
