"""The owner's own processes below /mfs/<owner>, whose reads and writes the kernel does itself (FUSE passthrough, omfs-fuse/passthrough.h),
against the other nodes: C1-C4, attributes, errors, and what failures leave. `me` is the process on the owner, `a` and `b` are the others.

Where the kernel has no passthrough the same cases hold for the way through omfs-fuse; only those that stop omfs-fuse to see that
it is not asked are left out, with a line that says so."""
import json

from cluster import HANG_SECONDS, until
from suite import case

OPEN_WAYS = {
    "read": "os.O_RDONLY", "write": "os.O_WRONLY", "both": "os.O_RDWR", "append": "os.O_WRONLY | os.O_APPEND",
    "both_append": "os.O_RDWR | os.O_APPEND", "direct": "os.O_RDONLY | os.O_DIRECT", "sync": "os.O_RDWR | os.O_SYNC",
    "create": "os.O_RDWR | os.O_CREAT", "no_atime": "os.O_RDONLY | os.O_NOATIME",
}


def people(s):
    me = s.nodes[s.owner - 1]
    return me, *s.remote


def own_files(s, node):
    """What mosctl status says of the node's mounts of its own files, by path."""
    status, text = node("shell('mosctl status --json')")
    s.same("mosctl status", 0, status)
    return {mount["path"]: mount for mount in json.loads(text)["own_files"]}


def active(s, me):
    return own_files(s, me)[f"/mfs/{s.owner}"]["active"] == "passthrough"


class Stopped:
    """The process of this name on the node is stopped until the end of the block."""

    def __init__(self, s, number, name):
        self.agent, self.name = s.agent(number), name

    def __enter__(self):
        self.agent(f"stopped = process({self.name!r})\nos.kill(stopped, signal.SIGSTOP)")

    def __exit__(self, *_):
        self.agent("os.kill(stopped, signal.SIGCONT)")


@case
def status_names_what_is_active(s):
    me, *_ = people(s)
    mounts = own_files(s, me)
    s.same("the mounts", [f"/mfs/{s.owner}"], sorted(mounts))
    mount = mounts[f"/mfs/{s.owner}"]
    s.same("it is one of the two", True, mount["active"] in ("passthrough", "fuse"))
    s.same("and says why it is not the better one", mount["active"] == "fuse", mount["detail"] != "")
    print(f"  node {s.owner}: {mount['active']} {mount['detail']}", flush=True)
    s.same("also for people", True, f"/mfs/{s.owner}: FUSE" in me("shell('mosctl status')[1]"))


@case
def data_needs_neither_omfs_fuse_nor_omfsd(s):
    me, *_ = people(s)
    if not active(s, me):
        print("  not here: no passthrough", flush=True)
        return
    # The first write after attributes were asked for asks for the file's capabilities.
    me("write(d + '/f', 'start')\nfd = os.open(d + '/f', os.O_RDWR)\nm = mmap.mmap(fd, 5)\nos.pwrite(fd, b'start', 0)")
    for name in ("omfs-fuse", "omfsd"):
        with Stopped(s, s.owner, name):
            me.start("r = os.pread(fd, 5, 0)\nos.pwrite(fd, b'STOPS', 0)\nr.decode() + os.pread(fd, 5, 0).decode() + m[:].decode()")
            s.same(f"without {name}", "startSTOPSSTOPS", me.answer())
        me("os.pwrite(fd, b'start', 0)")


@case
def remote_readers_see_each_write(s):
    """Whatever they have cached, and whether they hold the file open or not."""
    me, a, b = people(s)
    me("write(d + '/f', '-' * 5000)")
    a("held = os.open(d + '/f', os.O_RDONLY)")
    for number in range(30):
        text = f"{number:05d}"
        for node in (a, b):
            node("for i in range(3): read(d + '/f')\nos.stat(d + '/f')")
        a("os.pread(held, 5000, 0)")
        me(f"fd = os.open(d + '/f', os.O_RDWR)\nos.pwrite(fd, b'{text}', 4000)")
        s.same("held", text, a("os.pread(held, 5, 4000)"))
        s.same("opened", text, b("pread(d + '/f', 5, 4000)"))
        me(f"os.pwrite(fd, b'{text[::-1]}', 4000)")
        s.same("held, again", text[::-1], a("os.pread(held, 5, 4000)"))
        s.same("opened, again", text[::-1], b("pread(d + '/f', 5, 4000)"))
        me("os.close(fd)")


@case
def a_remote_reader_in_a_loop_never_sees_the_past(s):
    """Reads that begin after a write has returned, while the reader fills its caches as fast as it can."""
    me, a, b = people(s)
    me("write(d + '/f', '00000000')\nfd = os.open(d + '/f', os.O_RDWR)")
    for node in (a, b):
        node("held = os.open(d + '/f', os.O_RDONLY)")
    for number in range(1, 200):
        me(f"os.pwrite(fd, b'{number:08d}', 0)")
        for node in (a, b):
            s.same("held", f"{number:08d}", node("os.pread(held, 8, 0)"))


@case
def stores_through_a_map_are_seen_also_when_the_descriptor_is_closed(s):
    me, a, b = people(s)
    me("write(d + '/f', '-' * 8192)")
    for node in (a, b):
        node("read(d + '/f')")
    me("fd = os.open(d + '/f', os.O_RDWR)\nm = mmap.mmap(fd, 8192)\nos.close(fd)")
    for number in range(20):
        for node in (a, b):
            node("read(d + '/f')")
        me(f"m[4090:4095] = b'{number:05d}'")
        for node in (a, b):
            s.same("stored", f"{number:05d}", node("pread(d + '/f', 5, 4090)"))
    me("m.close()")
    a("pwrite(d + '/f', 'end', 0)")
    s.everywhere("afterwards", "end", "pread(d + '/f', 3, 0)")


@case
def a_reader_here_sees_remote_writes_at_once(s):
    me, a, b = people(s)
    me("write(d + '/f', 'x' * 100)\nfd = os.open(d + '/f', os.O_RDONLY)\nm = mmap.mmap(fd, 100, prot=mmap.PROT_READ)")
    size = 100
    for number in range(20):
        node = (a, b)[number % 2]
        node(f"pwrite(d + '/f', '{number:05d}', 10)")
        s.same("read", f"{number:05d}", me("os.pread(fd, 5, 10)"))
        s.same("mapped", f"{number:05d}", me("m[10:15]"))
        node("append(d + '/f', 'y' * 3000)")
        size += 3000
        s.same("read behind the former end", "y" * 3000, me(f"os.pread(fd, 5000, {size - 3000})"))
        s.same("size", size, me("os.fstat(fd).st_size"))
        s.same("end", size, me("os.lseek(fd, 0, os.SEEK_END)"))
        s.same("a map of what was added", "yyy", me(f"mapped(fd, {size}, {size - 3}, 3)"))
        s.same("hole", size, me("os.lseek(fd, 0, os.SEEK_HOLE)"))
        s.same("nothing behind it", "", me(f"os.pread(fd, 10, {size})"))
    a("os.truncate(d + '/f', 7)")
    s.same("cut off", 7, me("len(os.pread(fd, 100000, 0))"))
    s.same("size", 7, me("os.fstat(fd).st_size"))


@case
def copies_of_a_grown_file(s):
    me, a, _ = people(s)
    me("write(d + '/f', 'x')\nfd = os.open(d + '/f', os.O_RDONLY)\nto = os.open(d + '/g', os.O_RDWR | os.O_CREAT)\nos.pread(fd, 1, 0)")
    a("append(d + '/f', 'y' * 4999)")
    s.same("size", 5000, me("os.fstat(fd).st_size"))
    s.same("copied", 5000, me("os.copy_file_range(fd, to, 5000, 0, 0)"))
    s.same("sent", 5000, me("os.lseek(to, 0, os.SEEK_END)\nos.sendfile(to, fd, 0, 5000)"))
    s.everywhere("the copy", [["x", 1], ["y", 4999]] * 2, "runs(d + '/g')")


@case
def modes_of_one_file_do_not_mix(s):
    """Each way to open it after each other one, all open at the same time, by root and by a user; the file grows to pages."""
    me, a, _ = people(s)
    me("os.chmod(d, 0o777)\nwrite(d + '/f', 'A' * 8192)\nos.chmod(d + '/f', 0o666)")
    me("ways = " + "{" + ", ".join(f"'{k}': {v}" for k, v in OPEN_WAYS.items()) + "}")
    me("""
def open_after(first, second):
    one = os.open(d + '/f', ways[first])
    two = os.open(d + '/f', ways[second])
    three = os.open(f'/proc/self/fd/{one}', os.O_RDWR)
    m = mmap.mmap(three, 8192)
    four = os.open(d + '/f', ways[first])
    seen = []
    for fd, way in ((one, first), (two, second), (three, 'both'), (four, first)):
        flags = ways[way]
        if flags & os.O_ACCMODE != os.O_RDONLY and not flags & os.O_APPEND:
            os.pwrite(fd, b'B', 100)
            m[100:101] = b'A'
        if flags & os.O_ACCMODE != os.O_WRONLY and not flags & os.O_DIRECT:
            seen.append(os.pread(fd, 8192, 0) == m[:] == b'A' * 8192)
    for fd in (one, two, three, four):
        os.close(fd)
    m.flush()
    m.close()
    return all(seen)
""")
    for first in OPEN_WAYS:
        for second in OPEN_WAYS:
            s.same(f"{second} after {first}", True, me(f"open_after({first!r}, {second!r})"))
    for first in ("read", "both", "append"):
        for second in ("read", "both", "append"):
            opens = f"os.close(os.open(d + '/f', ways[{second!r}]))"
            s.same(f"a user's {second} after root's {first}", None, me(
                f"fd = os.open(d + '/f', ways[{first!r}])\nr = as_user(4201, {opens + chr(10) + 'None'!r})\nos.close(fd)\nr"))
            user = f"os.setresuid(4201, 4201, 4201)\nfd = os.open(d + '/f', ways[{first!r}])\n1"
            s.same(f"root's {second} after a user's {first}", 1, me(f"pid = child({user!r})\n{opens}\nend(pid)\n1"))
    s.same("a remote node sees the same", [["A", 8192]], a("runs(d + '/f')"))


@case
def special_files_are_opened_as_ever(s):
    me, a, _ = people(s)
    me("os.mkfifo(d + '/fifo')\nfd = os.open(d + '/fifo', os.O_RDWR)\nos.write(fd, b'through')")
    s.same("a FIFO", "through", me("os.read(fd, 10)"))
    me("os.symlink('f', d + '/link')\nwrite(d + '/f', 'linked')")
    s.same("a link", "linked", me("read(d + '/link')"))
    me("t = os.open(d, os.O_RDWR | os.O_TMPFILE, 0o600)\nos.write(t, b'nameless')")
    s.same("a nameless file", "nameless", me("os.pread(t, 10, 0)"))
    s.same("opened anew", "nameless", me("read(f'/proc/self/fd/{t}')"))
    me("link_descriptor(t, d + '/named')")
    s.same("and named", "nameless", a("read(d + '/named')"))
    me("write(d + '/script', '#!/bin/sh\\necho ran\\n')\nos.chmod(d + '/script', 0o755)")
    s.same("a program", [0, "ran"], me("shell(d + '/script')"))


@case
def attributes_follow_reads_and_writes(s):
    me, a, b = people(s)
    me("write(d + '/f', 'x' * 10)\nfd = os.open(d + '/f', os.O_RDWR)")
    last = None
    for number in range(12):
        for node in (me, a, b):
            node("os.stat(d + '/f')")
        me(f"os.pwrite(fd, b'z' * 1000, {number * 500})")
        seen = [node("attributes(d + '/f')") for node in (a, me, b)]
        s.same("equal everywhere", [seen[0]] * 3, seen)
        s.same("size", number * 500 + 1000, seen[0][4])
        if last:
            s.same("times go on", True, seen[0][8] > last[8] and seen[0][9] > last[9])
        last = seen[0]
    s.same("fstat", last, me("attributes(fd)"))
    me("os.utime(d + '/f', ns=(1000, 2000))")
    me("os.pread(fd, 10, 0)")
    s.same("a read is seen in the time of the last access", True, me("os.stat(d + '/f').st_atime_ns") > 1000)
    s.same("by all", me("os.stat(d + '/f').st_atime_ns"), b("os.stat(d + '/f').st_atime_ns"))


@case
def files_without_names(s):
    me, a, b = people(s)
    me("write(d + '/f', 'kept')\nfd = os.open(d + '/f', os.O_RDWR)")
    a("os.unlink(d + '/f')")
    s.same("links", 0, me("os.fstat(fd).st_nlink"))
    me("os.pwrite(fd, b' on', 4)\nm = mmap.mmap(fd, 7)")
    s.same("size", 7, me("os.fstat(fd).st_size"))
    s.same("content", "kept on", me("os.pread(fd, 100, 0)"))
    s.same("truncated", 2, me("os.ftruncate(fd, 2)\nos.fstat(fd).st_size"))
    me("write(d + '/g', 'other')\nread_only = os.open(d + '/g', os.O_RDONLY)\nos.unlink(d + '/g')")
    s.same("links of the other", 0, me("os.fstat(read_only).st_nlink"))
    s.same("its content", "other", me("os.pread(read_only, 10, 0)"))
    s.everywhere("no names", [], "names(d)")


@case
def permissions_are_those_of_the_open(s):
    me, a, _ = people(s)
    me("os.chmod(d, 0o777)\nwrite(d + '/f', 'mine')\nos.chmod(d + '/f', 0o644)")
    s.same("not for writing", "EACCES", me("as_user(4201, \"os.open(d + '/f', os.O_RDWR)\")"))
    s.same("not while root writes", "EACCES",
           me("fd = os.open(d + '/f', os.O_RDWR)\nas_user(4201, \"os.open(d + '/f', os.O_RDWR)\")"))
    s.same("for reading", "mine", me("as_user(4201, \"read(d + '/f')\")"))
    a("os.chmod(d + '/f', 0)")
    s.same("not any more", "EACCES", me("as_user(4201, \"read(d + '/f')\")"))
    s.same("but through what is open", 4, me("os.pwrite(fd, b'MINE', 0)"))
    s.same("mode", 0, me("os.fstat(fd).st_mode & 0o7777"))
    s.same("content", "MINE", a("read(d + '/f')"))


@case
def truncation_by_others(s):
    me, a, _ = people(s)
    me("write(d + '/f', 'x' * 10000)\nfd = os.open(d + '/f', os.O_RDWR)\nother = os.open(d + '/f', os.O_RDWR)")
    for number, node in ((5000, "me"), (3000, "a"), (9000, "me"), (100, "a")):
        if node == "me":
            me(f"os.ftruncate(other, {number})")
        else:
            a(f"os.truncate(d + '/f', {number})")
        s.same("size", number, me("os.fstat(fd).st_size"))
        s.same("read", number, me("len(os.pread(fd, 20000, 0))"))
        me(f"os.pwrite(fd, b'e', {number - 1})")
        s.same("remotely", number, a("len(read(d + '/f'))"))
    me("fallocate(fd, 0, 0, 50000)")
    s.same("allocated", 50000, me("os.lseek(fd, 0, os.SEEK_END)"))
    me("fallocate(fd, KEEP_SIZE | PUNCH_HOLE, 0, 4096)")
    s.same("punched", 0, me("os.pread(fd, 1, 50)[0]"))
    me("os.close(os.open(d + '/f', os.O_WRONLY | os.O_TRUNC))")
    s.same("emptied", "", me("os.pread(fd, 10, 0)"))
    s.same("size", 0, a("os.stat(d + '/f').st_size"))


@case
def appends_from_two_nodes_lose_nothing(s):
    me, a, b = people(s)
    me("write(d + '/log', '')")
    again = s.agent(s.owner)
    everyone = [me, a, b, again]
    for i, who in enumerate(everyone):
        flags = "os.O_WRONLY | os.O_APPEND" if who is not again else "os.O_RDWR"
        who(f"fd = os.open(d + '/log', {flags})")
    again("fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)")  # appends only since fcntl
    for i, who in enumerate(everyone):
        who.start(f"for i in range(100): os.write(fd, b'{i}' * 31 + b'\\n')\nos.close(fd)")
    for who in everyone:
        who.answer()
    lines = me("read(d + '/log')").splitlines()
    s.same("records", 400, len(lines))
    for i in range(len(everyone)):
        s.same(f"records of {i}", 100, lines.count(str(i) * 31))


@case
def append_can_be_taken_back(s):
    """By fcntl, of a descriptor that was opened with it."""
    me, a, _ = people(s)
    me("write(d + '/f', 'abcdef')\nfd = os.open(d + '/f', os.O_RDWR | os.O_APPEND)\nos.write(fd, b'gh')")
    me("fcntl.fcntl(fd, fcntl.F_SETFL, 0)\nos.pwrite(fd, b'X', 0)")
    s.same("in its place", "Xbcdefgh", me("os.pread(fd, 100, 0)"))
    s.same("remotely", "Xbcdefgh", a("read(d + '/f')"))
    me("fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)\nos.write(fd, b'Z')")
    s.same("and given again", "XbcdefghZ", a("read(d + '/f')"))


SET_ID_FILES = {"suid": 0o4755, "sgid_executable": 0o2775, "both": 0o6777}


@case(variants={name: (mode,) for name, mode in SET_ID_FILES.items()})
def set_id_bits_go_at_a_write(s, mode):
    """As natively, whoever writes; also when they are set while the file is open."""
    me, a, _ = people(s)
    native = s.native_writer()
    for who in (me, native):
        who("os.makedirs(d + '/n', exist_ok=True)\nos.chmod(d, 0o777)")
    code = """
def bits(name, before, uid):
    path = d + '/' + name
    write(path, 'x')
    os.chmod(path, 0o666 | (%d if before else 0))
    if uid: os.chown(path, uid, uid)
    os.chmod(path, %d if before else 0o666)
    write_it = (f"fd = os.open({path!r}, os.O_RDWR)\\n" + ('' if before else f"os.chmod({path!r}, %d)\\n") +
                "os.pwrite(fd, b'y', 0)\\nos.stat(fd).st_mode & 0o7777")
    return as_user(uid, write_it) if uid else evaluate(write_it)['value']
""" % (mode, mode, mode)
    for who in (me, native):
        who(code)
    for before in (True, False):
        for uid in (0, 4201):
            if uid == 0 and not before:
                continue  # see omfs-fuse/passthrough.h: there they go where natively they stay
            wanted = native(f"bits('native{before}{uid}', {before}, {uid})")
            s.same(f"set {'before' if before else 'after'} the open, uid {uid}", wanted, me(f"bits('f{before}{uid}', {before}, {uid})"))
            s.same("remotely", wanted, a(f"os.stat(d + '/f{before}{uid}').st_mode & 0o7777"))


@case
def file_capabilities_go_at_a_write(s):
    me, a, _ = people(s)
    capability = "struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0)"
    for uid in (0, 4201):
        me(f"os.chmod(d, 0o777)\nwrite(d + '/f{uid}', 'x')\nos.chmod(d + '/f{uid}', 0o666)\n"
           f"os.setxattr(d + '/f{uid}', 'security.capability', {capability})")
        s.same("set", ["security.capability"], me(f"os.listxattr(d + '/f{uid}')"))
        code = f"pwrite(d + '/f{uid}', 'y', 0)"
        s.same("written", 1, me(f"as_user({uid}, {code!r})" if uid else code))
        s.same("gone", [], me(f"os.listxattr(d + '/f{uid}')"))
        s.same("gone remotely", [], a(f"os.listxattr(d + '/f{uid}')"))
        me(f"fd = os.open(d + '/f{uid}', os.O_RDWR)\nos.pwrite(fd, b'1', 0)")
        a(f"os.setxattr(d + '/f{uid}', 'security.capability', {capability})")
        me("os.pwrite(fd, b'2', 0)")
        s.same("gone, set while it was open", [], a(f"os.listxattr(d + '/f{uid}')"))


@case
def limits_and_errors_come_through(s):
    me, *_ = people(s)
    native = s.native_writer()
    code = """
import resource
def limited(name):
    path = d + '/' + name
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b'x', 0)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    results = []
    for offset, size in ((0, 900), (900, 200), (1000, 1), (5000, 1)):
        try:
            results.append(os.pwrite(fd, b'y' * size, offset))
        except OSError as e:
            results.append(errno.errorcode[e.errno])
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for what in (lambda: os.pwrite(fd, b'x', 1 << 62), lambda: os.pread(os.open(path, os.O_WRONLY), 1, 0),
                 lambda: os.pwrite(os.open(path, os.O_RDONLY), b'x', 0), lambda: os.lseek(fd, 100000, os.SEEK_DATA)):
        try:
            results.append(what())
        except OSError as e:
            results.append(errno.errorcode[e.errno])
    return results
"""
    wanted = native(code + "limited('native')")
    s.same("natively", ["EFBIG"], sorted(set(wanted[2:4])))
    s.same("here", wanted, me(code + "limited('here')"))


@case
def synchronous_writes_and_fsync(s):
    me, a, _ = people(s)
    me("fd = os.open(d + '/f', os.O_RDWR | os.O_CREAT | os.O_SYNC)\nos.pwrite(fd, b'synced', 0)\nos.fsync(fd)\nos.fdatasync(fd)\n"
       "m = mmap.mmap(fd, 6)\nm[:3] = b'SYN'\nm.flush()\nos.pwritev(fd, [b'!'], 6, os.RWF_DSYNC)")
    s.same("remotely", "SYNced!", a("read(d + '/f')"))


@case
def direct_io_with_its_alignment(s):
    me, a, _ = people(s)
    native = s.native_writer()
    code = """
def direct(name):
    path = d + '/' + name
    write(path, 'x' * 16384)
    try:
        fd = os.open(path, os.O_RDWR | os.O_DIRECT)
    except OSError as e:
        return errno.errorcode[e.errno]
    page = mmap.mmap(-1, 8192)
    page[:] = b'd' * 8192
    results = []
    for offset, size in ((4096, 8192), (0, 4096), (100, 4096), (0, 100), (16384, 4096)):
        for write_it in (True, False):
            part = memoryview(page)[:size]
            try:
                results.append(os.pwritev(fd, [part], offset) if write_it else os.preadv(fd, [part], offset))
            except OSError as e:
                results.append(errno.errorcode[e.errno])
    os.close(fd)
    return results
"""
    wanted = native(code + "direct('native')")
    s.same("as natively", wanted, me(code + "direct('here')"))
    s.same("remotely", native("runs(d + '/native')"), a("runs(d + '/here')"))


@case
def locks_work_through_the_daemon(s):
    me, a, b = people(s)
    me("write(d + '/f', 'x')\nfd = os.open(d + '/f', os.O_RDWR)\nlock(fd, fcntl.F_WRLCK)\nos.pwrite(fd, b'y', 0)")
    for node in (a, b):
        s.same("refused", "EAGAIN", node("fd = os.open(d + '/f', os.O_RDWR)\nlock(fd, fcntl.F_WRLCK)"))
    me("other = os.open(d + '/f', os.O_RDONLY)\nos.close(other)")
    s.same("any close of the file frees it", "ok", a("lock(fd, fcntl.F_WRLCK)"))
    s.same("and the other way", "EAGAIN", me("lock(fd, fcntl.F_RDLCK)"))
    a("lock(fd, fcntl.F_UNLCK)")
    s.same("flock", "ok", me("flock(fd, fcntl.LOCK_EX)"))
    s.same("flock refused", "EAGAIN", b("flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)"))
    me("os.close(fd)")
    s.same("freed", True, until(HANG_SECONDS, lambda: b("flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)") == "ok") is not None)


@case(owners=(2,))
def the_owners_daemon_is_killed(s):
    """Data goes on meanwhile, and everything afterwards."""
    me, a, _ = people(s)
    passes = active(s, me)
    me("write(d + '/f', 'before')\nfd = os.open(d + '/f', os.O_RDWR)\nm = mmap.mmap(fd, 6)\n"
       "write(d + '/gone', 'nameless')\ngone = os.open(d + '/gone', os.O_RDWR)\nos.unlink(d + '/gone')\nos.fstat(gone)")
    s.box.run("kill", s.owner)
    if passes:
        s.same("written", 6, me("os.pwrite(fd, b'during', 0)"))
        s.same("read", "during", me("os.pread(fd, 6, 0)"))
        s.same("mapped", "during", me("m[:]"))
        s.same("nameless", "nameless", me("os.pread(gone, 10, 0)"))
    else:
        print("  not here: no passthrough", flush=True)
        me.start("None")
        me.answer()
    s.box.run("start", s.owner)
    reached = until(HANG_SECONDS, lambda: isinstance(a(f"names('/mfs/{s.owner}')"), list))
    s.same("reached again", True, reached is not None)
    me("os.pwrite(fd, b'after!', 0)\nos.fsync(fd)")
    for node in (me, a):
        s.same("afterwards", "after!", node("read(d + '/f')"))
    for number in range(10):
        a("read(d + '/f')\nread(d + '/f')")
        me(f"os.pwrite(fd, b'{number:06d}', 0)")
        s.same("seen remotely", f"{number:06d}", a("read(d + '/f')"))
    s.same("size", 6, me("os.fstat(fd).st_size"))
    me("os.ftruncate(fd, 3)")
    s.same("truncated", 3, a("os.stat(d + '/f').st_size"))
    if passes:
        s.same("the nameless one goes on", "NAMEless", me("os.pwrite(gone, b'NAME', 0)\nos.pread(gone, 10, 0)"))
        print(f"  a file without a name, fstat after the restart: {me('os.fstat(gone).st_nlink')}", flush=True)
    status = until(HANG_SECONDS, lambda: f"/mfs/{s.owner}" in own_files(s, me))
    s.same("status knows the mount again", True, status is not None)


@case(owners=(2,))
def omfs_fuse_is_killed(s):
    """A second mount of the node's; omfsd has nothing open for it in the end."""
    me, a, _ = people(s)
    me("write(d + '/f', 'x')")
    opens = "json.loads(shell('mosctl status --json')[1])['opens']"
    # Other cases' descriptors; the last of their closes may still be under way.
    before = []
    until(HANG_SECONDS, lambda: before.append(me(opens)) or len(before) > 3 and len(set(before[-3:])) == 1)
    me("os.makedirs('/tmp/second', exist_ok=True)\n"
       "second = subprocess.Popen(['omfs-fuse', '--config', '/etc/omfs/omfs.conf', '-f', '/tmp/second'])")
    there = until(HANG_SECONDS, lambda: me(f"exists(d.replace('/mfs', '/tmp/second') + '/f')"))
    s.same("mounted", True, there is not None)
    told = until(HANG_SECONDS, lambda: f"/tmp/second/{s.owner}" in own_files(s, me))
    s.same("status tells it", True, told is not None)
    me("fd = os.open(d.replace('/mfs', '/tmp/second') + '/f', os.O_RDWR)\nos.pwrite(fd, b'y', 0)\nm = mmap.mmap(fd, 1)")
    s.same("open", before[-1] + 1, me(opens))
    me("second.kill()\nsecond.wait()")
    s.same("closed", True, until(HANG_SECONDS, lambda: me(opens) == before[-1]) is not None)
    s.same("status does not tell it any more", True,
           until(HANG_SECONDS, lambda: sorted(own_files(s, me)) == [f"/mfs/{s.owner}"]) is not None)
    # The map is still there: nobody caches what it may change.
    for number in range(5):
        a("read(d + '/f')")
        me(f"m[0:1] = b'{number}'")
        s.same("stored", f"{number}", a("read(d + '/f')"))
    me("m.close()\nos.close(fd)\nshell('umount -l /tmp/second/* /tmp/second')")

