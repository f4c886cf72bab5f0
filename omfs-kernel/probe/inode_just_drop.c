// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Is generic_delete_inode called inode_just_drop (Linux 6.18)? */
#include <linux/fs.h>

extern const struct super_operations probe;

const struct super_operations probe = { .drop_inode = inode_just_drop };
