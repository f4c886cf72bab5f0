/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * omfs.h - what the files of the oMFS kernel client share.
 *
 * The way of a request:  VFS -> super.c, inode.c, dir.c, file.c, addr.c (one for each kind of VFS
 * object) -> rpc.c (one function for each wire operation) -> conn.c (slots, socket).  dev.c receives
 * connections from user space.
 */
#ifndef OMFS_H
#define OMFS_H

#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "omfs_wire.h"
#include "omfs_dev.h"
#include "omfs_probes.h"

#define OMFS_SUPER_MAGIC OMFS_MAGIC

/* What of omfs_attr.attr_flags is told to statx: facts about the object, not about how it is stored. */
#define OMFS_STATX_ATTRS (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP)

struct task_struct;
struct omfs_req;

/**
 * struct omfs_slot - one entry of the session's slot table
 * @req: the request under way, holding a reference; NULL when the slot is free
 * @sequence: of the last request sent on this slot
 */
struct omfs_slot {
	struct omfs_req *req;
	u32 sequence;
};

/**
 * struct omfs_conn - a connection to an owner, with its session
 * @ref: one for whoever is responsible for ending it (device file or mount), one for each user
 * @list: in the list of attached connections; guarded by omfs_conns_mutex, as are @dev_file and @sb
 * @dev_file: the /dev/omfs that attached it, until that is closed
 * @sb: the superblock it belongs to or belonged to; NULL until it is mounted
 * @id: number for "-o conn="
 * @node: the owner's number
 * @session: session number, sent with every request
 * @root: handle of the export's root
 * @nslots: size of @slots
 * @max_payload: largest payload of a reply
 * @lease: the session's lease, in jiffies
 * @sock: the socket; ours until the connection is put down
 * @rx: the thread that receives replies
 * @lock: guards everything below it
 * @error: 0, or the negative errno every request fails with from now on
 * @credits: number of slots the owner lets us use at the moment, 1..@nslots - 1
 * @slots: the slot table; the last one is the control slot
 * @slot_wait: woken when a slot becomes free or @error is set
 * @txq: messages not yet handed to the socket, in order
 * @close_list: opens to be closed, by @close_work
 * @silent: PINGs sent since the owner was last heard
 * @tx_mutex: held by who is writing to the socket; taken before @lock
 * @tx_work: writes what did not fit into the socket's buffer
 * @close_work: sends CLOSE, which no process waits for
 * @ping_work: renews the lease and notices a dead owner
 */
struct omfs_conn {
	struct kref ref;
	struct list_head list;
	struct file *dev_file;
	struct super_block *sb;
	u32 id;
	u16 node;
	u64 session;
	struct omfs_fh root;
	u32 nslots;
	u32 max_payload;
	unsigned long lease;
	struct socket *sock;
	struct task_struct *rx;

	spinlock_t lock;
	int error;
	u32 credits;
	struct omfs_slot *slots;
	wait_queue_head_t slot_wait;
	struct list_head txq;
	struct list_head close_list;
	unsigned int silent;

	struct mutex tx_mutex;
	struct work_struct tx_work;
	struct work_struct close_work;
	struct delayed_work ping_work;
};

/**
 * struct omfs_open - an open at the owner, shared by whoever needs it to stay
 * @ref: CLOSE is sent when the last reference goes
 * @conn: the connection, which outlives the open
 * @inode_list: in omfs_inode.opens; guarded by omfs_inode.lock
 * @close_list: in omfs_conn.close_list
 * @id: the owner's number for it
 */
struct omfs_open {
	refcount_t ref;
	struct omfs_conn *conn;
	struct list_head inode_list;
	struct list_head close_list;
	u64 id;
};

/**
 * struct omfs_inode - an object of the owner
 * @vfs: the VFS inode; its attributes are the last ones heard of and never answers by themselves
 * @fh: the owner's handle: the object's identity
 * @lock: guards @opens and updates of @vfs
 * @opens: opens of regular files; an fstat goes through one, so that unlinked files can be asked about
 */
struct omfs_inode {
	struct inode vfs;
	struct omfs_fh fh;
	spinlock_t lock;
	struct list_head opens;
};

/**
 * struct omfs_call - a request to be made, and how large the reply may be
 * @op: enum omfs_op
 * @cred: whose rights apply at the owner; NULL for operations without credentials
 * @fixed: the operation's request structure
 * @fixed_len: its length in bytes
 * @tail: the variable part after it
 * @tail_len: its length in bytes
 * @meta_max: most bytes of metadata a proper reply can have
 * @payload_max: most bytes of payload
 */
struct omfs_call {
	u16 op;
	const struct cred *cred;
	const void *fixed;
	u32 fixed_len;
	const void *tail;
	u32 tail_len;
	u32 meta_max;
	u32 payload_max;
};

/**
 * struct omfs_req - a request under way, and its reply
 * @ref: held by the waiter, the slot, the transmit queue and the receiver while it fills the buffers
 * @done: completed when the reply is there or the connection broke
 * @finished: as @done; guarded by omfs_conn.lock, as is @abandoned
 * @abandoned: nobody waits for the reply (any more)
 * @op: enum omfs_op
 * @slot: which slot it uses
 * @result: 0 or a negative errno; valid after @done
 * @tx_list: in omfs_conn.txq
 * @msg: the whole message
 * @msg_len: its length in bytes
 * @sent: how many of them are written
 * @meta: the reply's metadata
 * @meta_max: the room for it
 * @meta_len: its length in bytes
 * @payload: the reply's payload
 * @payload_max: the room for it
 * @payload_len: its length in bytes
 */
struct omfs_req {
	struct kref ref;
	struct completion done;
	bool finished;
	bool abandoned;
	u16 op;
	u16 slot;
	int result;
	struct list_head tx_list;
	void *msg;
	u32 msg_len;
	u32 sent;
	void *meta;
	u32 meta_max;
	u32 meta_len;
	void *payload;
	u32 payload_max;
	u32 payload_len;
};

static inline struct omfs_inode *OMFS_I(const struct inode *inode)
{
	return container_of(inode, struct omfs_inode, vfs);
}

static inline struct omfs_conn *omfs_sb_conn(const struct super_block *sb)
{
	return sb->s_fs_info;
}

/* What of this the kernel has is found out by probe/run. */
#ifdef OMFS_HAVE_INODE_JUST_DROP
#define OMFS_DROP_INODE inode_just_drop
#else
#define OMFS_DROP_INODE generic_delete_inode
#endif

static inline void omfs_set_d_op(struct super_block *sb, const struct dentry_operations *ops)
{
#ifdef OMFS_HAVE_SET_DEFAULT_D_OP
	set_default_d_op(sb, ops);
#else
	sb->s_d_op = ops;
#endif
}

/* Is this an inode that iget5_locked() has just made? */
static inline bool omfs_inode_is_new(struct inode *inode)
{
#ifdef OMFS_HAVE_INODE_STATE_READ
	return inode_state_read_once(inode) & I_NEW;
#else
	return inode->i_state & I_NEW;
#endif
}

static inline bool omfs_fh_equal(const struct omfs_fh *a, const struct omfs_fh *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* conn.c */
int omfs_conn_init(void);
void omfs_conn_exit(void);
struct omfs_conn *omfs_conn_create(const struct omfs_dev_attach *arg, struct socket *sock);
struct omfs_conn *omfs_conn_get(struct omfs_conn *conn);
void omfs_conn_put(struct omfs_conn *conn);
void omfs_conn_break(struct omfs_conn *conn, int error);
void omfs_conn_end(struct omfs_conn *conn);
struct omfs_req *omfs_call(struct omfs_conn *conn, const struct omfs_call *call);
void omfs_req_put(struct omfs_req *req);
void omfs_open_put(struct omfs_open *open);

/* dev.c */
int omfs_dev_init(void);
void omfs_dev_exit(void);
struct omfs_conn *omfs_conn_find(u32 id, u16 node);
bool omfs_conn_adopt(struct omfs_conn *conn, struct super_block *sb);
void omfs_conn_release(struct omfs_conn *conn, struct super_block *sb);

/* rpc.c */
int omfs_rpc_lookup(struct omfs_conn *conn, const struct cred *cred, const struct omfs_fh *dir,
		    const struct qstr *name, struct omfs_entry_rep *rep);
int omfs_rpc_getattr(struct omfs_conn *conn, const struct cred *cred, const struct omfs_fh *fh,
		     u64 open_id, struct omfs_attr *attr);
int omfs_rpc_access(struct omfs_conn *conn, const struct cred *cred, const struct omfs_fh *fh,
		    u32 mask);
char *omfs_rpc_readlink(struct omfs_conn *conn, const struct cred *cred,
			const struct omfs_fh *fh);
int omfs_rpc_statfs(struct omfs_conn *conn, const struct cred *cred, const struct omfs_fh *fh,
		    struct omfs_statfs_rep *rep);
int omfs_rpc_open(struct omfs_conn *conn, const struct cred *cred, const struct omfs_fh *fh,
		  u32 flags, struct omfs_open_rep *rep);
struct omfs_req *omfs_rpc_read(struct omfs_conn *conn, const struct cred *cred, u64 open_id,
			       u64 offset, u32 len);
int omfs_rpc_lseek(struct omfs_conn *conn, const struct cred *cred, u64 open_id, u64 offset,
		   u32 whence, u64 *result);
struct omfs_req *omfs_rpc_readdir(struct omfs_conn *conn, const struct cred *cred, u64 open_id,
				  u64 cookie, u32 max_bytes);

/* inode.c */
extern const struct inode_operations omfs_file_inode_ops;
int omfs_inode_init(void);
void omfs_inode_exit(void);
struct inode *omfs_alloc_inode(struct super_block *sb);
void omfs_free_inode(struct inode *inode);
struct inode *omfs_iget(struct super_block *sb, const struct omfs_fh *fh,
			const struct omfs_attr *attr);
int omfs_update_inode(struct inode *inode, const struct omfs_attr *attr);
int omfs_refresh(struct inode *inode, const struct cred *cred, struct omfs_attr *attr);
int omfs_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat,
		 u32 request_mask, unsigned int query_flags);
int omfs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask);

/* dir.c */
extern const struct inode_operations omfs_dir_inode_ops;
extern const struct file_operations omfs_dir_ops;
extern const struct dentry_operations omfs_dentry_ops;

/* file.c */
extern const struct file_operations omfs_file_ops;
int omfs_file_open(struct inode *inode, struct file *file);
int omfs_file_release(struct inode *inode, struct file *file);

/* addr.c */
extern const struct address_space_operations omfs_addr_ops;
int omfs_file_mmap(struct file *file, struct vm_area_struct *vma);

/* super.c */
extern struct file_system_type omfs_fs_type;

#endif /* OMFS_H */
