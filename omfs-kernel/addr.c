// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * addr.c - memory mappings, the only users of the page cache.
 *
 * Programs must be able to run from the file system, so private mappings work: their pages are read from
 * the owner when they are touched.  Each new mapping throws away what earlier ones left in the page cache,
 * so it starts from what the file holds then.  A change made later may or may not be seen through it, as
 * mmap(2) says of MAP_PRIVATE.  A shared mapping would have to see it; it is refused with ENODEV until caps
 * can keep its pages true.
 *
 * Nothing is kept for read(2), therefore this version has no use for the netfs library; it comes with the
 * cached reads and writes that caps allow.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "omfs.h"

static int omfs_fill_folio(struct file *file, struct folio *folio)
{
	struct omfs_open *open = file->private_data;
	loff_t pos = folio_pos(folio);
	size_t size = folio_size(folio);
	size_t filled = 0;

	while (filled < size) {
		u32 len = min_t(size_t, size - filled, open->conn->max_payload);
		struct omfs_req *req = omfs_rpc_read(open->conn, file->f_cred, open->id,
						     pos + filled, len);
		u32 got;

		if (IS_ERR(req))
			return PTR_ERR(req);
		got = req->payload_len;
		memcpy_to_folio(folio, filled, req->payload, got);
		omfs_req_put(req);
		filled += got;
		if (got < len)
			break;
	}
	folio_zero_segment(folio, filled, size);
	return 0;
}

static int omfs_read_folio(struct file *file, struct folio *folio)
{
	int err = omfs_fill_folio(file, folio);

	flush_dcache_folio(folio);
	folio_end_read(folio, !err);
	return err;
}

const struct address_space_operations omfs_addr_ops = {
	.read_folio = omfs_read_folio,
};

/**
 * omfs_file_mmap() - file_operations.mmap
 * @file: the file
 * @vma: the mapping
 *
 * Return: 0, -ENODEV for a shared mapping, or a negative errno
 */
int omfs_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct inode *inode = file_inode(file);
	struct omfs_attr attr;
	int err;

	if (vma->vm_flags & VM_MAYSHARE)
		return -ENODEV;
	/* How far the mapping may be touched is decided by the size. */
	err = omfs_refresh(inode, file->f_cred, &attr);
	if (!err)
		err = invalidate_inode_pages2(inode->i_mapping);
	return err ? err : generic_file_mmap(file, vma);
}
