"""C4 over a restart of the owner's daemon: what is open anywhere stays usable, with its right number of links, until the last
close, also when the owner's omfsd is killed meanwhile and started again."""
import json
import time

from cluster import HANG_SECONDS, until
from suite import case


def owner(s):
    return s.nodes[s.owner - 1]


def status(s):
    """What mosctl says of the owner, or nothing while its daemon does not answer."""
    probe = s.probes()[s.owner - 1]
    code, text = probe("shell('mosctl status --json')")
    return json.loads(text) if code == 0 else {}


def reachable(s):
    # By processes of its own: the nodes' may still be busy with what the case is about.
    for node in s.probes():
        up = until(HANG_SECONDS, lambda: isinstance(node(f"names('/mfs/{s.owner}')"), list))
        s.same(f"node {node.number} reaches the owner again", True, up is not None)


def restart(s, times=1):
    for _ in range(times):
        s.box.run("kill", s.owner)
        s.box.run("start", s.owner)
    reachable(s)


def nothing_is_kept(s):
    """In the end the owner keeps nothing for anybody."""
    s.same("kept in the end", True, until(HANG_SECONDS, lambda: status(s).get("nameless") == 0) is not None)


def close(*nodes):
    for node in nodes:
        node("os.close(fd)")


ENDS = {
    "unlinked": "os.unlink(d + '/f')",
    "replaced": "write(d + '/new', 'new')\nos.rename(d + '/new', d + '/f')",
    "one_link_after_the_other": "os.link(d + '/f', d + '/g')\nos.unlink(d + '/f')\nos.unlink(d + '/g')",
}


@case(owners=(1, 2), variants={f"{how}_{times}": (how, times) for how in ENDS for times in (1, 2)})
def an_open_file(s, how, times):
    """Held by all nodes, the owner's own among them; used and closed one by one."""
    s.nodes[0]("write(d + '/f', 'kept')\nos.setxattr(d + '/f', 'user.k', b'v')")
    for node in s.nodes:
        node("fd = os.open(d + '/f', os.O_RDWR)\nino = os.fstat(fd).st_ino")
    s.remote[0](ENDS[how])
    s.same("kept", 1, status(s).get("nameless"))
    restart(s, times)
    s.everywhere("links, and the same inode", [0, True], "[os.fstat(fd).st_nlink, os.fstat(fd).st_ino == ino]")
    s.everywhere("read", "kept", "os.pread(fd, 20, 0)")
    s.everywhere("names", ["f"] if how == "replaced" else [], "names(d)")
    a, b, c = s.nodes
    a("os.pwrite(fd, b'KEPT and more', 0)")
    s.everywhere("written", "KEPT and more", "os.pread(fd, 20, 0)")
    b("os.ftruncate(fd, 4)\nos.fchmod(fd, 0o600)\nos.setxattr(fd, 'user.k', b'w')\nos.utime(fd, ns=(11, 12))")
    s.everywhere("cut, mode, time", [4, 0o600, 12],
                 "[os.fstat(fd).st_size, os.fstat(fd).st_mode & 0o777, os.fstat(fd).st_mtime_ns]")
    s.everywhere("attribute", "w", "os.getxattr(fd, 'user.k')")
    close(a)
    restart(s)
    s.everywhere("after the first close", "KEPT", "os.pread(fd, 20, 0)", nodes=[b, c])
    s.everywhere("links", 0, "os.fstat(fd).st_nlink", nodes=[b, c])
    close(b)
    s.same("after the second close", "KEPT", c("os.pread(fd, 20, 0)"))
    close(c)
    nothing_is_kept(s)


@case(owners=(2,))
def locks_on_a_nameless_file_work_after_a_restart(s):
    a, b, _ = s.nodes
    a("write(d + '/f', 'x')")
    for node in (a, b):
        node("fd = os.open(d + '/f', os.O_RDWR)")
    a("os.unlink(d + '/f')")
    restart(s)
    for ask, free in (("lock(fd, fcntl.F_WRLCK)", "lock(fd, fcntl.F_UNLCK)"),
                      ("flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)", "flock(fd, fcntl.LOCK_UN)"),
                      ("lock(fd, fcntl.F_WRLCK, ofd=True)", "lock(fd, fcntl.F_UNLCK, ofd=True)")):
        s.same(ask, ["ok", "EAGAIN"], [a(ask), b(ask)])
        a(free)
        s.same(f"{ask}, free again", "ok", b(ask))
        b(free)
    close(a, b)
    nothing_is_kept(s)


@case(owners=(1, 2))
def a_map_of_an_unlinked_file_stays_over_a_restart(s):
    a, b, c = s.nodes
    a("write(d + '/f', 'm' * 8192)")
    b("fd = os.open(d + '/f', os.O_RDWR)\nm = mmap.mmap(fd, 8192)")
    c("os.unlink(d + '/f')")
    restart(s)
    s.same("first page", "mmm", b("m[:3]"))
    s.same("second page", "mmm", b("m[5000:5003]"))
    b("m[0:3] = b'MMM'\nm.flush()")
    s.same("written", "MMMm", b("os.pread(fd, 4, 0)"))
    b("m.close()\nos.close(fd)")
    nothing_is_kept(s)


@case(owners=(1, 2))
def a_nameless_file_can_be_linked_after_a_restart(s):
    for holder in (s.remote[0], owner(s)):
        made = holder("fd = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o644)\nos.write(fd, b'nameless')")
        if made == "EOPNOTSUPP":
            return  # FUSE before Linux 6.2
        s.same("kept", 1, status(s).get("nameless"))
        restart(s)
        s.same("links", 0, holder("os.fstat(fd).st_nlink"))
        s.same("read", "nameless", holder("os.pread(fd, 20, 0)"))
        holder("os.pwrite(fd, b'!', 8)")
        s.same("linked", None, holder("link_descriptor(fd, d + '/named')"))
        s.everywhere("read by its name", "nameless!", "read(d + '/named')")
        s.everywhere("links", 1, "os.stat(d + '/named').st_nlink")
        nothing_is_kept(s)
        s.remote[1]("os.unlink(d + '/named')")
        s.same("kept again", 1, status(s).get("nameless"))
        restart(s)
        s.same("read without a name again", "nameless!", holder("os.pread(fd, 20, 0)"))
        close(holder)
        nothing_is_kept(s)


@case(owners=(1, 2))
def a_removed_directory_stays_open_over_a_restart(s):
    a, b, c = s.nodes
    a("os.mkdir(d + '/dir')")
    for node in (a, b):
        node("fd = os.open(d + '/dir', os.O_RDONLY | os.O_DIRECTORY)")
    c("os.rmdir(d + '/dir')\nos.mkdir(d + '/dir')\nwrite(d + '/dir/f', 'in the new one')")
    restart(s)
    for node in (a, b):
        s.same("links", 0, node("os.fstat(fd).st_nlink"))
        s.same("list it", [], node("names(fd)"))
        s.same("create in it", "ENOENT", node("os.open('new', os.O_CREAT | os.O_WRONLY, dir_fd=fd)"))
        s.same("mkdir in it", "ENOENT", node("os.mkdir('new', dir_fd=fd)"))
        s.same("no way into the new one", "ENOENT", node("os.open('f', os.O_RDONLY, dir_fd=fd)"))
    s.everywhere("the new one", ["f"], "names(d + '/dir')")
    close(a, b)
    nothing_is_kept(s)


@case(owners=(1, 2))
def a_new_file_of_the_name_is_another_one_after_a_restart(s):
    a, b, c = s.nodes
    a("fd = os.open(d + '/f', os.O_RDWR | os.O_CREAT)\nos.write(fd, b'old')")
    for number in range(3):
        b("os.unlink(d + '/f')")
        c(f"write(d + '/f', 'new {number}')")
        restart(s)
        s.same("the old one", "old", a("os.pread(fd, 10, 0)"))
        s.same("two inodes", False, a("os.fstat(fd).st_ino == os.stat(d + '/f').st_ino"))
        s.everywhere("the new one", f"new {number}", "read(d + '/f')")
    close(a)
    nothing_is_kept(s)


@case(owners=(2,))
def many_nameless_files_keep_their_own_content_over_a_restart(s):
    a, b, c = s.nodes
    a("fds = []\nfor i in range(200):\n  fds.append(os.open(d + f'/f{i}', os.O_RDWR | os.O_CREAT))\n"
      "  os.write(fds[i], b'content %d' % i)")
    b("fds = [os.open(d + f'/f{i}', os.O_RDONLY) for i in range(0, 200, 2)]\nNone")
    c("for i in range(200): os.unlink(d + f'/f{i}')")
    s.same("kept", 200, status(s).get("nameless"))
    restart(s)
    # Inode numbers that came free would be taken by these.
    c("for i in range(200): write(d + f'/g{i}', 'another')")
    s.same("contents", [f"content {i}" for i in range(200)], a("[os.pread(f, 20, 0).decode() for f in fds]"))
    s.same("contents", [f"content {i}" for i in range(0, 200, 2)], b("[os.pread(f, 20, 0).decode() for f in fds]"))
    a("for f in fds: os.close(f)")
    s.same("kept for one of them", True, until(HANG_SECONDS, lambda: status(s).get("nameless") == 100) is not None)
    b("for f in fds: os.close(f)")
    nothing_is_kept(s)


@case(owners=(1, 2))
def what_is_being_unlinked_when_the_daemon_is_killed_is_not_lost(s):
    a, b, c = s.nodes
    for number in range(4):
        a(f"fds = []\nfor i in range(150):\n  fds.append(os.open(d + f'/f{{i}}', os.O_RDWR | os.O_CREAT))\n"
          f"  os.write(fds[i], b'{number}: %d' % i)")
        b("fds = [os.open(d + f'/f{i}', os.O_RDONLY) for i in range(150)]\nNone")
        c.start("""
for i in range(150):
    try:
        os.unlink(d + f'/f{i}') if i % 2 else (write(d + '/n', 'n'), os.rename(d + '/n', d + f'/f{i}'))
    except OSError as e:
        pass  # that the owner was lost meanwhile
'done'""")
        time.sleep(0.05 * number)
        restart(s)
        s.same("removed", "done", c.answer())
        for node in (a, b):
            s.same("contents", [f"{number}: {i}" for i in range(150)], node("[os.pread(f, 20, 0).decode() for f in fds]"))
            node("for f in fds: os.close(f)")
        c("for n in names(d): os.unlink(d + '/' + n)")
    nothing_is_kept(s)


@case(owners=(2,))
def what_is_unlinked_before_its_holder_is_back_is_not_lost(s):
    """The restarted daemon does not know yet that somebody has it open."""
    holder, other = s.remote
    helper = s.agent(holder.number)
    holder("write(d + '/f', 'kept')\nfd = os.open(d + '/f', os.O_RDWR)")
    s.probes()
    # Frozen only now and for a short time: its lease goes on.
    s.box.run("kill", s.owner)
    helper("os.kill(process('omfs-fuse'), signal.SIGSTOP)")
    try:
        s.box.run("start", s.owner)
        gone = until(HANG_SECONDS, lambda: other("os.unlink(d + '/f')") in (None, "ENOENT"))
        s.same("unlinked", True, gone is not None)
        other("write(d + '/f', 'new')")
    finally:
        helper("os.kill(process('omfs-fuse'), signal.SIGCONT)")
    reachable(s)
    s.same("the old one", ["kept", 0], holder("[os.pread(fd, 10, 0).decode(), os.fstat(fd).st_nlink]"))
    s.everywhere("the new one", "new", "read(d + '/f')")
    close(holder)
    nothing_is_kept(s)


def kill_keeper(s):
    """Kills it and waits for the next one."""
    node = owner(s)
    old = node("process('omfs-fdkeeper')")
    s.same("there is a keeper", True, old > 0)
    node(f"os.kill({old}, signal.SIGKILL)")

    def replaced():
        return node("process('omfs-fdkeeper')") not in (0, old) and status(s).get("fd_keeper")

    s.same("another keeper", True, until(HANG_SECONDS, replaced) is not None)


@case(owners=(1, 2))
def a_killed_keeper_is_replaced_and_knows_everything(s):
    a, b, c = s.nodes
    for node in (a, b):
        node("fd = os.open(d + '/f', os.O_RDWR | os.O_CREAT)")
    a("os.write(fd, b'kept')")
    c("os.unlink(d + '/f')")
    kill_keeper(s)
    restart(s)
    s.everywhere("read", "kept", "os.pread(fd, 10, 0)", nodes=[a, b])
    # Also what an earlier daemon has handed over.
    kill_keeper(s)
    restart(s)
    s.everywhere("read again", "kept", "os.pread(fd, 10, 0)", nodes=[a, b])
    s.everywhere("links", 0, "os.fstat(fd).st_nlink", nodes=[a, b])
    close(a, b)
    nothing_is_kept(s)


@case(owners=(1, 2))
def an_orderly_end_of_the_daemon_keeps_them_too(s):
    a, b, c = s.nodes
    a("fd = os.open(d + '/f', os.O_RDWR | os.O_CREAT)\nos.write(fd, b'kept')")
    b("os.unlink(d + '/f')")
    probe = s.agent(s.owner)
    pid = probe("pid = process('omfsd')\nos.kill(pid, signal.SIGTERM)\npid")
    ended = until(HANG_SECONDS, lambda: not probe(f"os.path.exists('/proc/{pid}')"))
    s.same("the daemon has ended", True, ended is not None)
    s.box.run("start", s.owner)
    reachable(s)
    s.same("read", ["kept", 0], a("[os.pread(fd, 10, 0).decode(), os.fstat(fd).st_nlink]"))
    close(a)
    nothing_is_kept(s)


HELD = """
def held():
    count = 0
    for p in os.listdir('/proc'):
        if not p.isdigit(): continue
        try:
            for f in os.listdir(f'/proc/{p}/fd'):
                try: st = os.stat(f'/proc/{p}/fd/{f}')
                except OSError: continue
                count += (st.st_ino, st.st_dev) == (ino, dev)
        except OSError: pass
    return count
"""


@case(owners=(1, 2), variants={"alive": (False,), "dead": (True,)})
def the_space_of_a_dead_holders_file_comes_back(s, while_dead):
    """The holder dies while the owner's daemon lives, or while it is dead."""
    a, b, c = s.nodes
    native = s.native_writer()
    pid = b("write(d + '/f', 'x')\nchild(\"fd = os.open(d + '/f', os.O_RDWR)\\nNone\")")
    a("fd = os.open(d + '/f', os.O_RDONLY)")
    native(HELD + "ino, dev = os.stat(d + '/f').st_ino, os.stat(d).st_dev")
    c("os.unlink(d + '/f')")
    s.same("held", True, native("held()") > 0)
    s.box.run("kill", s.owner)
    if while_dead:
        b.start(f"end({pid})")
    s.box.run("start", s.owner)
    if while_dead:
        b.answer()
    reachable(s)
    if not while_dead:
        b(f"end({pid})")
    s.same("the other holder", ["x", 0], a("[os.pread(fd, 5, 0).decode(), os.fstat(fd).st_nlink]"))
    close(a)
    nothing_is_kept(s)
    s.same("not held any more", True, until(HANG_SECONDS, lambda: native("held()") == 0) is not None)


@case(owners=(2,))
def the_space_of_a_lost_clients_files_comes_back(s):
    """Its client is gone for good: the owner waits for it only for a time."""
    a, b, c = s.nodes
    native = s.native_writer()
    helper = s.agent(a.number)
    a("write(d + '/f', 'x')\nfd = os.open(d + '/f', os.O_RDONLY)")
    native(HELD + "ino, dev = os.stat(d + '/f').st_ino, os.stat(d).st_dev")
    c("os.unlink(d + '/f')")
    helper("os.kill(process('omfs-fuse'), signal.SIGKILL)")
    try:
        s.box.run("kill", s.owner)
        s.box.run("start", s.owner)
        s.same("kept for it", True, native("held()") > 0)
        s.same("not held any more", True, until(HANG_SECONDS, lambda: native("held()") == 0) is not None)
    finally:
        a("os.close(fd)")
        s.box.run("start", a.number)
    reachable(s)
    nothing_is_kept(s)


@case(owners=(2,))
def what_a_native_process_removes_is_kept_too(s):
    """Noticed within about a second, not at once."""
    a, b, _ = s.nodes
    native = s.native_writer()
    a("write(d + '/f', 'kept')")
    for node in (a, b):
        node("fd = os.open(d + '/f', os.O_RDWR)")
    native("os.unlink(d + '/f')")
    s.same("noticed", True, until(HANG_SECONDS, lambda: status(s).get("nameless") == 1) is not None)
    restart(s)
    s.everywhere("read", ["kept", 0], "[os.pread(fd, 10, 0).decode(), os.fstat(fd).st_nlink]", nodes=[a, b])
    close(a, b)
    nothing_is_kept(s)
