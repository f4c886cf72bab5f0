// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * conn.c - requests and replies on a connection that user space handed over.
 *
 * A request takes a free slot, is serialised into one buffer and queued for sending; its maker then
 * waits for the reply.  One thread for each connection receives: it finds the request by the reply's
 * slot, reads metadata and payload into the request's buffers and completes it.
 *
 * Killed waiters.  A process may be killed while it waits.  The request cannot be taken back, so it is
 * marked abandoned and lives on in its slot, with its buffers, until the reply comes; the slot is free
 * only then.  If an abandoned OPEN succeeded nobody knows of that open, and the receiver closes it.
 *
 * Partial messages.  A signal may end a blocking send anywhere, but half a message would break the
 * stream.  So a caller only sends without blocking; what does not fit is left to a work item, which has no
 * signals.  Messages leave in the order of the queue, written by who holds tx_mutex.
 *
 * The end.  omfs_conn_break() is the only way a connection stops working, whoever notices: the receiver
 * (closed or nonsense), the sender, the lease timer, umount -f, umount.  It sets the error that every
 * later request gets, fails all requests under way and shuts the socket down, which gets receiver and
 * sender out of it.  There is no reconnecting here: user space makes new connections.
 *
 * Bounded waiting.  PING renews the lease at a third of it, on a slot of its own, which no slow request
 * can occupy.  An owner that has not sent a byte for two leases is taken for dead and the connection
 * broken, so nothing waits longer than that.
 */
#include <linux/fs_struct.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/user_namespace.h>
#include <net/sock.h>

#include "omfs.h"

/* The largest errno a reply may carry; the kernel's internal ones must not come from outside. */
#define OMFS_WIRE_ERRNO_MAX 133

#define OMFS_PINGS_PER_LEASE 3
/* So many PINGs in a row without a byte from the owner: two leases. */
#define OMFS_SILENT_MAX (2 * OMFS_PINGS_PER_LEASE)

static struct workqueue_struct *omfs_wq;

/*
 * The hybrid logical clock of this client: never below the wall clock nor anything an owner has sent,
 * so that what a process here has seen at one owner is earlier than what it causes at another.
 */
static atomic64_t omfs_hlc;

static u64 omfs_hlc_advance(u64 least)
{
	s64 old = atomic64_read(&omfs_hlc);

	do {
		if ((u64)old >= least)
			return old;
	} while (!atomic64_try_cmpxchg(&omfs_hlc, &old, least));
	return least;
}

static u64 omfs_hlc_now(void)
{
	return omfs_hlc_advance(ktime_get_real_ns() & ~0xffffULL);
}

static void omfs_req_free(struct kref *ref)
{
	struct omfs_req *req = container_of(ref, struct omfs_req, ref);

	kvfree(req->msg);
	kvfree(req->meta);
	kvfree(req->payload);
	kfree(req);
}

/**
 * omfs_req_put() - drop a reference to a request
 * @req: the request, or NULL
 */
void omfs_req_put(struct omfs_req *req)
{
	if (req)
		kref_put(&req->ref, omfs_req_free);
}

/* Serialises everything but slot and sequence, which are not known yet. */
static int omfs_req_fill_msg(struct omfs_conn *conn, struct omfs_req *req,
			     const struct omfs_call *call)
{
	const struct group_info *groups = call->cred ? call->cred->group_info : NULL;
	size_t meta_len = call->fixed_len + call->tail_len;
	struct omfs_hdr *hdr;
	u8 *p;
	int i;

	if (call->cred)
		meta_len += sizeof(struct omfs_creds) + groups->ngroups * sizeof(__le32);
	if (meta_len > OMFS_MAX_META)
		return -E2BIG;
	req->msg_len = sizeof(*hdr) + meta_len;
	req->msg = kvzalloc(req->msg_len, GFP_KERNEL);
	if (!req->msg)
		return -ENOMEM;

	hdr = req->msg;
	hdr->magic = cpu_to_le32(OMFS_MAGIC);
	hdr->version = cpu_to_le16(OMFS_VERSION);
	hdr->op = cpu_to_le16(call->op);
	hdr->session = cpu_to_le64(conn->session);
	hdr->meta_len = cpu_to_le32(meta_len);
	hdr->hlc = cpu_to_le64(omfs_hlc_now());

	p = req->msg + sizeof(*hdr);
	if (call->cred) {
		struct omfs_creds *creds = (struct omfs_creds *)p;
		__le32 *gid = (__le32 *)(creds + 1);

		creds->uid = cpu_to_le32(from_kuid(&init_user_ns, call->cred->fsuid));
		creds->gid = cpu_to_le32(from_kgid(&init_user_ns, call->cred->fsgid));
		creds->umask = cpu_to_le32(current_umask());
		creds->ngroups = cpu_to_le32(groups->ngroups);
		for (i = 0; i < groups->ngroups; i++)
			*gid++ = cpu_to_le32(from_kgid(&init_user_ns, groups->gid[i]));
		p = (u8 *)gid;
	}
	if (call->fixed_len)
		memcpy(p, call->fixed, call->fixed_len);
	if (call->tail_len)
		memcpy(p + call->fixed_len, call->tail, call->tail_len);
	return 0;
}

static struct omfs_req *omfs_req_create(struct omfs_conn *conn, const struct omfs_call *call)
{
	struct omfs_req *req = kzalloc(sizeof(*req), GFP_KERNEL);
	int err;

	if (!req)
		return ERR_PTR(-ENOMEM);
	kref_init(&req->ref);
	init_completion(&req->done);
	INIT_LIST_HEAD(&req->tx_list);
	req->op = call->op;
	req->meta_max = call->meta_max;
	req->payload_max = call->payload_max;
	err = omfs_req_fill_msg(conn, req, call);
	if (!err && req->meta_max) {
		req->meta = kvmalloc(req->meta_max, GFP_KERNEL);
		if (!req->meta)
			err = -ENOMEM;
	}
	if (!err && req->payload_max) {
		req->payload = kvmalloc(req->payload_max, GFP_KERNEL);
		if (!req->payload)
			err = -ENOMEM;
	}
	if (err) {
		omfs_req_put(req);
		return ERR_PTR(err);
	}
	return req;
}

static bool omfs_control_op(u16 op)
{
	return op == OMFS_OP_PING || op == OMFS_OP_BYE;
}

/* Puts a request into a free slot and the transmit queue. -EAGAIN: no slot is free. */
static int omfs_try_start(struct omfs_conn *conn, struct omfs_req *req)
{
	u32 first = omfs_control_op(req->op) ? conn->nslots - 1 : 0;
	struct omfs_hdr *hdr = req->msg;
	int err = -EAGAIN;
	u32 last, i;

	spin_lock(&conn->lock);
	last = omfs_control_op(req->op) ? conn->nslots : conn->credits;
	if (conn->error)
		err = conn->error;
	for (i = first; err == -EAGAIN && i < last; i++) {
		struct omfs_slot *slot = &conn->slots[i];

		if (slot->req)
			continue;
		slot->req = req;
		kref_get(&req->ref);
		req->slot = i;
		hdr->slot = cpu_to_le16(i);
		hdr->sequence = cpu_to_le32(++slot->sequence);
		list_add_tail(&req->tx_list, &conn->txq);
		kref_get(&req->ref);
		err = 0;
	}
	spin_unlock(&conn->lock);
	return err;
}

static struct omfs_req *omfs_tx_head(struct omfs_conn *conn)
{
	struct omfs_req *req = NULL;

	spin_lock(&conn->lock);
	if (!conn->error)
		req = list_first_entry_or_null(&conn->txq, struct omfs_req, tx_list);
	if (req)
		kref_get(&req->ref);
	spin_unlock(&conn->lock);
	return req;
}

/* tx_mutex held. Returns 0 when the queue is empty (or the connection broke), else -EAGAIN or an error. */
static int omfs_tx_pump(struct omfs_conn *conn, int flags)
{
	struct omfs_req *req;

	while ((req = omfs_tx_head(conn))) {
		struct msghdr msg = { .msg_flags = MSG_NOSIGNAL | flags };
		struct kvec vec = {
			.iov_base = req->msg + req->sent,
			.iov_len = req->msg_len - req->sent,
		};
		int n = kernel_sendmsg(conn->sock, &msg, &vec, 1, vec.iov_len);

		if (n > 0)
			req->sent += n;
		if (req->sent == req->msg_len) {
			spin_lock(&conn->lock);
			list_del_init(&req->tx_list);
			spin_unlock(&conn->lock);
			omfs_req_put(req);
		}
		omfs_req_put(req);
		if (n <= 0)
			return n ? n : -EPIPE;
	}
	return 0;
}

static void omfs_tx_work(struct work_struct *work)
{
	struct omfs_conn *conn = container_of(work, struct omfs_conn, tx_work);
	int err;

	mutex_lock(&conn->tx_mutex);
	err = omfs_tx_pump(conn, 0);
	mutex_unlock(&conn->tx_mutex);
	if (err)
		omfs_conn_break(conn, -ENOTCONN);
}

static void omfs_queue_work(struct omfs_conn *conn, struct work_struct *work)
{
	spin_lock(&conn->lock);
	/* omfs_conn_end() relies on no work being queued once the error is set. */
	if (!conn->error)
		queue_work(omfs_wq, work);
	spin_unlock(&conn->lock);
}

/* Sends what it can at once; the rest is left to the work item, as is finding out about a broken socket. */
static void omfs_tx_kick(struct omfs_conn *conn)
{
	int err = -EAGAIN;

	if (mutex_trylock(&conn->tx_mutex)) {
		err = omfs_tx_pump(conn, MSG_DONTWAIT);
		mutex_unlock(&conn->tx_mutex);
	}
	if (err)
		omfs_queue_work(conn, &conn->tx_work);
}

/* Waits for a slot; a process can be killed meanwhile, a kernel thread waits without counting as load. */
static int omfs_start(struct omfs_conn *conn, struct omfs_req *req)
{
	int err = omfs_try_start(conn, req);

	if (err == -EAGAIN && (current->flags & PF_KTHREAD)) {
		wait_event_idle(conn->slot_wait, (err = omfs_try_start(conn, req)) != -EAGAIN);
	} else if (err == -EAGAIN) {
		if (wait_event_killable(conn->slot_wait,
					(err = omfs_try_start(conn, req)) != -EAGAIN))
			err = -EINTR;
	}
	if (!err)
		omfs_tx_kick(conn);
	return err;
}

/* Gives up waiting. Returns false when the reply has come after all. */
static bool omfs_abandon(struct omfs_conn *conn, struct omfs_req *req)
{
	bool gone;

	spin_lock(&conn->lock);
	gone = !req->finished;
	req->abandoned = gone;
	spin_unlock(&conn->lock);
	return gone;
}

/**
 * omfs_call() - make a request and wait for its reply
 * @conn: the connection
 * @call: what to ask
 *
 * May sleep.  The wait can be ended by a fatal signal only.
 *
 * Return: the request with the reply's metadata and payload, to be given back with omfs_req_put(); or
 * the owner's error, -EINTR when killed, -ENOMEM, -E2BIG, or the error of a broken connection.
 */
struct omfs_req *omfs_call(struct omfs_conn *conn, const struct omfs_call *call)
{
	struct omfs_req *req = omfs_req_create(conn, call);
	int err;

	if (IS_ERR(req))
		return req;
	err = omfs_start(conn, req);
	if (!err && wait_for_completion_killable(&req->done) && omfs_abandon(conn, req))
		err = -EINTR;
	if (!err)
		err = req->result;
	if (err) {
		omfs_req_put(req);
		return ERR_PTR(err);
	}
	return req;
}

/* Makes a request whose reply nobody waits for. */
static int omfs_post(struct omfs_conn *conn, const struct omfs_call *call, bool wait_for_slot)
{
	struct omfs_req *req = omfs_req_create(conn, call);
	int err;

	if (IS_ERR(req))
		return PTR_ERR(req);
	req->abandoned = true;
	if (wait_for_slot) {
		err = omfs_start(conn, req);
	} else {
		err = omfs_try_start(conn, req);
		if (!err)
			omfs_tx_kick(conn);
	}
	omfs_req_put(req);
	return err;
}

/**
 * omfs_open_put() - drop a reference to an open
 * @open: the open
 *
 * The last one leaves the CLOSE to a work item: the caller may be a process that is being killed, and
 * must not be able to leave the open behind.
 */
void omfs_open_put(struct omfs_open *open)
{
	struct omfs_conn *conn = open->conn;
	bool broken;

	if (!refcount_dec_and_test(&open->ref))
		return;
	spin_lock(&conn->lock);
	broken = conn->error;
	if (!broken) {
		list_add_tail(&open->close_list, &conn->close_list);
		queue_work(omfs_wq, &conn->close_work);
	}
	spin_unlock(&conn->lock);
	if (broken)
		kfree(open);
}

static struct omfs_open *omfs_next_close(struct omfs_conn *conn)
{
	struct omfs_open *open;

	spin_lock(&conn->lock);
	open = list_first_entry_or_null(&conn->close_list, struct omfs_open, close_list);
	if (open)
		list_del(&open->close_list);
	spin_unlock(&conn->lock);
	return open;
}

static void omfs_close_work(struct work_struct *work)
{
	struct omfs_conn *conn = container_of(work, struct omfs_conn, close_work);
	struct omfs_open *open;

	while ((open = omfs_next_close(conn))) {
		struct omfs_close_req req = { .open_id = cpu_to_le64(open->id) };
		struct omfs_call call = {
			.op = OMFS_OP_CLOSE,
			.cred = current_cred(),
			.fixed = &req,
			.fixed_len = sizeof(req),
		};
		int err = omfs_post(conn, &call, true);

		if (err == -ENOMEM) {
			/* The open would stay at the owner: try again when there is memory. */
			spin_lock(&conn->lock);
			list_add(&open->close_list, &conn->close_list);
			spin_unlock(&conn->lock);
			schedule_timeout_idle(HZ / 10);
			continue;
		}
		kfree(open);
	}
}

static void omfs_ping_work(struct work_struct *work)
{
	struct omfs_conn *conn = container_of(to_delayed_work(work), struct omfs_conn, ping_work);
	struct omfs_call call = { .op = OMFS_OP_PING };
	bool dead;

	/* -EAGAIN: the last PING is not answered yet, so the owner is being waited for anyway. */
	omfs_post(conn, &call, false);

	spin_lock(&conn->lock);
	/* Counted in runs of this work, not in time: a machine that slept must not blame the owner. */
	conn->silent++;
	dead = conn->silent > OMFS_SILENT_MAX;
	if (!conn->error)
		queue_delayed_work(omfs_wq, &conn->ping_work, conn->lease / OMFS_PINGS_PER_LEASE);
	spin_unlock(&conn->lock);
	if (dead) {
		pr_warn("omfs: node %u does not answer, connection %u given up\n", conn->node,
			conn->id);
		omfs_conn_break(conn, -ETIMEDOUT);
	}
}

/* Receives exactly len bytes. */
static int omfs_recv(struct omfs_conn *conn, void *buf, size_t len)
{
	while (len > 0) {
		struct msghdr msg = {};
		struct kvec vec = { .iov_base = buf, .iov_len = len };
		/* Whatever there is, not all of it at once: each piece shows that the owner lives. */
		int n = kernel_recvmsg(conn->sock, &msg, &vec, 1, len, 0);

		if (n == 0)
			return -ENOTCONN;
		if (n < 0)
			return n;
		spin_lock(&conn->lock);
		conn->silent = 0;
		spin_unlock(&conn->lock);
		buf += n;
		len -= n;
	}
	return 0;
}

/* Checks a reply's header and finds its request, with a reference. */
static struct omfs_req *omfs_match(struct omfs_conn *conn, const struct omfs_hdr *hdr)
{
	u32 flags = le32_to_cpu(hdr->flags);
	u32 slot = le16_to_cpu(hdr->slot);
	struct omfs_req *req;

	if (le32_to_cpu(hdr->magic) != OMFS_MAGIC || le16_to_cpu(hdr->version) != OMFS_VERSION ||
	    (flags & ~OMFS_F_REPLAY) != OMFS_F_REPLY ||
	    le64_to_cpu(hdr->session) != conn->session || slot >= conn->nslots)
		return ERR_PTR(-EPROTO);

	spin_lock(&conn->lock);
	req = conn->slots[slot].req;
	if (!req || req->op != le16_to_cpu(hdr->op) ||
	    conn->slots[slot].sequence != le32_to_cpu(hdr->sequence))
		req = ERR_PTR(-EPROTO);
	else
		kref_get(&req->ref);
	spin_unlock(&conn->lock);
	if (IS_ERR(req))
		return req;

	req->meta_len = le32_to_cpu(hdr->meta_len);
	req->payload_len = le32_to_cpu(hdr->payload_len);
	if (req->meta_len > req->meta_max || req->payload_len > req->payload_max ||
	    (hdr->status && (req->meta_len || req->payload_len))) {
		omfs_req_put(req);
		return ERR_PTR(-EPROTO);
	}
	return req;
}

/* Nobody knows of an open that an abandoned OPEN made. */
static void omfs_close_orphan(struct omfs_conn *conn, const struct omfs_req *req)
{
	const struct omfs_open_rep *rep = req->meta;
	struct omfs_open *open;

	if (req->op != OMFS_OP_OPEN || req->result || req->meta_len != sizeof(*rep))
		return;
	open = kzalloc(sizeof(*open), GFP_KERNEL | __GFP_NOFAIL);
	refcount_set(&open->ref, 1);
	open->conn = conn;
	open->id = le64_to_cpu(rep->open_id);
	omfs_open_put(open);
}

static void omfs_finish(struct omfs_conn *conn, struct omfs_req *req, const struct omfs_hdr *hdr)
{
	u32 status = le32_to_cpu(hdr->status);
	u32 credits = le16_to_cpu(hdr->credits);
	bool ours, abandoned;

	spin_lock(&conn->lock);
	/* The connection may have been broken meanwhile, and the request failed with it. */
	ours = conn->slots[req->slot].req == req;
	if (ours) {
		conn->slots[req->slot].req = NULL;
		req->result = status > OMFS_WIRE_ERRNO_MAX ? -EIO : -(int)status;
		req->finished = true;
	}
	abandoned = req->abandoned;
	conn->credits = clamp(credits, 1U, conn->nslots - 1);
	spin_unlock(&conn->lock);

	if (!ours)
		return;
	if (abandoned)
		omfs_close_orphan(conn, req);
	complete_all(&req->done);
	wake_up(&conn->slot_wait);
	omfs_req_put(req);
}

static int omfs_receive_one(struct omfs_conn *conn)
{
	struct omfs_hdr hdr;
	struct omfs_req *req;
	int err = omfs_recv(conn, &hdr, sizeof(hdr));

	if (err)
		return err;
	req = omfs_match(conn, &hdr);
	if (IS_ERR(req)) {
		pr_warn("omfs: node %u sent a malformed reply (op %u, slot %u, sequence %u), connection %u closed\n",
			conn->node, le16_to_cpu(hdr.op), le16_to_cpu(hdr.slot),
			le32_to_cpu(hdr.sequence), conn->id);
		return PTR_ERR(req);
	}
	omfs_hlc_advance(le64_to_cpu(hdr.hlc));
	err = omfs_recv(conn, req->meta, req->meta_len);
	if (!err)
		err = omfs_recv(conn, req->payload, req->payload_len);
	if (!err)
		omfs_finish(conn, req, &hdr);
	omfs_req_put(req);
	return err;
}

static int omfs_rx_thread(void *data)
{
	struct omfs_conn *conn = data;

	while (!omfs_receive_one(conn))
		;
	omfs_conn_break(conn, -ENOTCONN);
	return 0;
}

/**
 * omfs_conn_break() - make a connection fail
 * @conn: the connection
 * @error: negative errno that requests under way and later ones fail with
 *
 * The first call decides.  May sleep.
 */
void omfs_conn_break(struct omfs_conn *conn, int error)
{
	u32 i;

	spin_lock(&conn->lock);
	if (conn->error) {
		spin_unlock(&conn->lock);
		return;
	}
	conn->error = error;
	spin_unlock(&conn->lock);
	for (i = 0; i < conn->nslots; i++) {
		struct omfs_req *req;

		spin_lock(&conn->lock);
		req = conn->slots[i].req;
		if (req) {
			conn->slots[i].req = NULL;
			req->result = error;
			req->finished = true;
			complete_all(&req->done);
		}
		spin_unlock(&conn->lock);
		omfs_req_put(req);
	}
	wake_up_all(&conn->slot_wait);
	kernel_sock_shutdown(conn->sock, SHUT_RDWR);
}

/**
 * omfs_conn_create() - set a connection up on a socket
 * @arg: parameters, checked by the caller
 * @sock: connected stream socket; its reference passes to the connection when this succeeds
 *
 * Return: the connection with one reference, whose holder ends it with omfs_conn_end(); or -ENOMEM.
 */
struct omfs_conn *omfs_conn_create(const struct omfs_dev_attach *arg, struct socket *sock)
{
	struct omfs_conn *conn = kzalloc(sizeof(*conn), GFP_KERNEL);
	struct task_struct *rx;

	if (!conn)
		return ERR_PTR(-ENOMEM);
	conn->slots = kcalloc(arg->slots, sizeof(*conn->slots), GFP_KERNEL);
	if (!conn->slots)
		goto fail;
	kref_init(&conn->ref);
	INIT_LIST_HEAD(&conn->list);
	conn->id = arg->id;
	conn->node = arg->node;
	conn->session = arg->session;
	conn->root = arg->root;
	conn->nslots = arg->slots;
	conn->credits = arg->slots - 1;
	conn->max_payload = arg->max_payload;
	conn->lease = msecs_to_jiffies(arg->lease_ms);
	conn->slots[0].sequence = arg->sequence0;
	conn->sock = sock;
	spin_lock_init(&conn->lock);
	init_waitqueue_head(&conn->slot_wait);
	INIT_LIST_HEAD(&conn->txq);
	INIT_LIST_HEAD(&conn->close_list);
	mutex_init(&conn->tx_mutex);
	INIT_WORK(&conn->tx_work, omfs_tx_work);
	INIT_WORK(&conn->close_work, omfs_close_work);
	INIT_DELAYED_WORK(&conn->ping_work, omfs_ping_work);

	rx = kthread_create(omfs_rx_thread, conn, "omfs-rx/%u", conn->id);
	if (IS_ERR(rx))
		goto fail;
	/* The thread may end by itself; kthread_stop() needs its task until then. */
	conn->rx = get_task_struct(rx);
	wake_up_process(rx);
	queue_delayed_work(omfs_wq, &conn->ping_work, conn->lease / OMFS_PINGS_PER_LEASE);
	return conn;

fail:
	kfree(conn->slots);
	kfree(conn);
	return ERR_PTR(-ENOMEM);
}

/* Ends the session as far as the owner listens: it then need not keep it for a client to come back. */
static void omfs_say_bye(struct omfs_conn *conn)
{
	struct omfs_call call = { .op = OMFS_OP_BYE };
	struct omfs_req *req = omfs_req_create(conn, &call);

	if (IS_ERR(req))
		return;
	if (!omfs_try_start(conn, req)) {
		omfs_tx_kick(conn);
		wait_for_completion_killable_timeout(&req->done, HZ);
		omfs_abandon(conn, req);
	}
	omfs_req_put(req);
}

/**
 * omfs_conn_end() - end a connection and its session
 * @conn: the connection; the caller's reference is consumed
 *
 * Nobody may make requests any more.  Sleeps a second at most for an owner that does not answer.
 */
void omfs_conn_end(struct omfs_conn *conn)
{
	struct omfs_open *open;
	struct omfs_req *req, *next;

	omfs_say_bye(conn);
	omfs_conn_break(conn, -ESHUTDOWN);
	kthread_stop(conn->rx);
	put_task_struct(conn->rx);
	cancel_work_sync(&conn->tx_work);
	cancel_work_sync(&conn->close_work);
	cancel_delayed_work_sync(&conn->ping_work);

	list_for_each_entry_safe(req, next, &conn->txq, tx_list) {
		list_del_init(&req->tx_list);
		omfs_req_put(req);
	}
	while ((open = omfs_next_close(conn)))
		kfree(open);
	sockfd_put(conn->sock);
	omfs_conn_put(conn);
}

/**
 * omfs_conn_get() - take a reference, which keeps the memory but not the connection alive
 * @conn: the connection
 *
 * Return: @conn
 */
struct omfs_conn *omfs_conn_get(struct omfs_conn *conn)
{
	kref_get(&conn->ref);
	return conn;
}

static void omfs_conn_free(struct kref *ref)
{
	struct omfs_conn *conn = container_of(ref, struct omfs_conn, ref);

	kfree(conn->slots);
	kfree(conn);
}

/**
 * omfs_conn_put() - drop a reference
 * @conn: the connection
 */
void omfs_conn_put(struct omfs_conn *conn)
{
	kref_put(&conn->ref, omfs_conn_free);
}

/**
 * omfs_conn_init() - set up what all connections share
 *
 * Return: 0 or -ENOMEM
 */
int __init omfs_conn_init(void)
{
	omfs_wq = alloc_workqueue("omfs", WQ_UNBOUND, 0);
	return omfs_wq ? 0 : -ENOMEM;
}

/**
 * omfs_conn_exit() - counterpart of omfs_conn_init()
 */
void omfs_conn_exit(void)
{
	destroy_workqueue(omfs_wq);
}
