// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Must leases be refused by a function? Later kernels refuse them where there is none. */
#include <linux/fs.h>

extern const struct file_operations probe;

const struct file_operations probe = { .setlease = simple_nosetlease };
