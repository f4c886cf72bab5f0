// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * dev.c - /dev/omfs: where user space hands connections over.
 *
 * omfs_dev.h says what can be asked for and whose a connection is.  The list here holds every connection
 * from its hand-over to its end, and the reference that keeps it working; whoever takes a connection off
 * the list ends it.
 */
#include <linux/capability.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/socket.h>
#include <linux/uaccess.h>
#include <net/sock.h>

#include "omfs.h"

#define OMFS_LEASE_MS_MIN 100
#define OMFS_LEASE_MS_MAX (3600 * 1000)
#define OMFS_PAYLOAD_MIN 4096

static DEFINE_MUTEX(omfs_conns_mutex);
static LIST_HEAD(omfs_conns);
static u32 omfs_last_id;

/**
 * omfs_conn_find() - find a connection to mount
 * @id: its number; 0 for the newest one to @node that works and is not mounted
 * @node: the owner it must lead to
 *
 * Return: the connection with a reference, or NULL
 */
struct omfs_conn *omfs_conn_find(u32 id, u16 node)
{
	struct omfs_conn *conn, *found = NULL;

	mutex_lock(&omfs_conns_mutex);
	list_for_each_entry(conn, &omfs_conns, list) {
		if (conn->node != node)
			continue;
		if (id ? conn->id == id : !conn->sb && !READ_ONCE(conn->error))
			found = conn;
	}
	if (found)
		omfs_conn_get(found);
	mutex_unlock(&omfs_conns_mutex);
	return found;
}

/**
 * omfs_conn_adopt() - make a connection a mount's
 * @conn: the connection
 * @sb: the mount's superblock, which gives it back with omfs_conn_release()
 *
 * Return: false when it has ended or belonged to another superblock
 */
bool omfs_conn_adopt(struct omfs_conn *conn, struct super_block *sb)
{
	bool ok;

	mutex_lock(&omfs_conns_mutex);
	ok = !list_empty(&conn->list) && !conn->sb;
	if (ok)
		conn->sb = sb;
	mutex_unlock(&omfs_conns_mutex);
	return ok;
}

/**
 * omfs_conn_release() - a superblock is done with its connection
 * @conn: the connection; the superblock's reference is consumed
 * @sb: the superblock
 */
void omfs_conn_release(struct omfs_conn *conn, struct super_block *sb)
{
	bool ours;

	mutex_lock(&omfs_conns_mutex);
	ours = conn->sb == sb;
	if (ours)
		list_del_init(&conn->list);
	mutex_unlock(&omfs_conns_mutex);
	if (ours)
		omfs_conn_end(conn);
	omfs_conn_put(conn);
}

static int omfs_dev_check(const struct omfs_dev_attach *arg)
{
	if (arg->dev_version != OMFS_DEV_VERSION || arg->wire_version != OMFS_VERSION)
		return -EPROTONOSUPPORT;
	if (!arg->node || !arg->session || arg->slots < 2 || arg->slots > OMFS_MAX_SLOTS ||
	    arg->lease_ms < OMFS_LEASE_MS_MIN || arg->lease_ms > OMFS_LEASE_MS_MAX ||
	    arg->max_payload < OMFS_PAYLOAD_MIN || arg->max_payload > OMFS_MAX_PAYLOAD)
		return -EINVAL;
	return 0;
}

static int omfs_dev_check_socket(struct socket *sock)
{
	int family = sock->sk->sk_family;

	if (sock->type != SOCK_STREAM ||
	    (family != AF_INET && family != AF_INET6 && family != AF_UNIX) ||
	    READ_ONCE(sock->sk->sk_state) != TCP_ESTABLISHED)
		return -EPROTOTYPE;
	return 0;
}

static int omfs_dev_attach(struct file *file, struct omfs_dev_attach __user *user_arg)
{
	struct omfs_dev_attach arg;
	struct omfs_conn *conn;
	struct socket *sock;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&arg, user_arg, sizeof(arg)))
		return -EFAULT;
	err = omfs_dev_check(&arg);
	if (err)
		return err;
	sock = sockfd_lookup(arg.fd, &err);
	if (!sock)
		return err;
	err = omfs_dev_check_socket(sock);
	if (err)
		goto fail_sock;

	mutex_lock(&omfs_conns_mutex);
	arg.id = ++omfs_last_id;
	mutex_unlock(&omfs_conns_mutex);
	if (put_user(arg.id, &user_arg->id)) {
		err = -EFAULT;
		goto fail_sock;
	}
	conn = omfs_conn_create(&arg, sock);
	if (IS_ERR(conn)) {
		err = PTR_ERR(conn);
		goto fail_sock;
	}
	mutex_lock(&omfs_conns_mutex);
	conn->dev_file = file;
	list_add_tail(&conn->list, &omfs_conns);
	mutex_unlock(&omfs_conns_mutex);
	return 0;

fail_sock:
	sockfd_put(sock);
	return err;
}

static long omfs_dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	if (cmd == OMFS_DEV_ATTACH)
		return omfs_dev_attach(file, (struct omfs_dev_attach __user *)arg);
	return -ENOTTY;
}

/* Takes one of the device file's connections from it. Returns it, off the list, when no mount has it. */
static struct omfs_conn *omfs_dev_take_orphan(struct file *file)
{
	struct omfs_conn *conn, *orphan = NULL;

	mutex_lock(&omfs_conns_mutex);
	list_for_each_entry(conn, &omfs_conns, list) {
		if (conn->dev_file != file)
			continue;
		conn->dev_file = NULL;
		if (conn->sb)
			continue;
		/* In the same breath: a mount being made must not adopt what is ended here. */
		list_del_init(&conn->list);
		orphan = conn;
		break;
	}
	mutex_unlock(&omfs_conns_mutex);
	return orphan;
}

static int omfs_dev_release(struct inode *inode, struct file *file)
{
	struct omfs_conn *conn;

	while ((conn = omfs_dev_take_orphan(file)))
		omfs_conn_end(conn);
	return 0;
}

static const struct file_operations omfs_dev_ops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = omfs_dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = omfs_dev_release,
	.llseek = noop_llseek,
};

static struct miscdevice omfs_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "omfs",
	.mode = 0600,
	.fops = &omfs_dev_ops,
};

/**
 * omfs_dev_init() - make /dev/omfs
 *
 * Return: 0 or a negative errno
 */
int __init omfs_dev_init(void)
{
	return misc_register(&omfs_dev);
}

/**
 * omfs_dev_exit() - counterpart of omfs_dev_init()
 */
void omfs_dev_exit(void)
{
	misc_deregister(&omfs_dev);
}
