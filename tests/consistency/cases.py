#!/usr/bin/env python3
"""cases.py BOX-PROGRAM BOX-NAME BOX-DIR: C1 to C4 and C8 of DESIGN section 4 between three nodes.

Every case takes the owner of its files as an argument, so that each node is once the owner's own and twice a remote
one. "At once" means: the call on the other node starts after the call on this one has returned.
"""
import sys
import traceback

from cluster import Node, Verdict

CASES = []


def case(function):
    CASES.append(function)
    return function


class Setting:
    """What a case works with: three nodes, the owner's tree as all see it and as the owner's own file system."""

    def __init__(self, nodes, verdict, owner, directory, native):
        self.nodes = nodes
        self.verdict = verdict
        self.owner = owner
        self.directory = directory
        self.native = native

    def path(self, name):
        return f"{self.directory}/{name}"

    def same(self, what, wanted, got):
        return self.verdict.same(f"{what} (owner {self.owner})", wanted, got)

    def everywhere(self, what, wanted, code):
        for node in self.nodes:
            self.same(f"{what}, on node {node.number}", wanted, node(code))


# ---- C1: data ----


@case
def a_write_is_seen_by_every_later_read(s):
    f = s.path("data")
    for number in range(12):
        writer = s.nodes[number % 3]
        text = f"version {number} of node {writer.number} " + "x" * (number * 1000)
        writer(f"write({f!r}, {text!r})")
        s.everywhere(f"write {number}", text, f"read({f!r})")


@case
def files_held_open_see_each_others_writes(s):
    f = s.path("open")
    s.nodes[0](f"write({f!r}, 'start')")
    for node in s.nodes:
        node(f"fd = os.open({f!r}, os.O_RDWR)")
    s.everywhere("before", "start", "os.pread(fd, 100, 0).decode()")
    for number in range(9):
        text = f"{number:05d}"
        s.nodes[number % 3](f"os.pwrite(fd, b'{text}', 0)")
        s.everywhere(f"pwrite {number}", text, "os.pread(fd, 100, 0).decode()")
    s.nodes[1]("os.ftruncate(fd, 2)")
    s.everywhere("ftruncate", "00", "os.pread(fd, 100, 0).decode()")
    s.everywhere("ftruncate", 2, "os.fstat(fd).st_size")
    s.nodes[2]("os.pwrite(fd, b'end', 5000)")
    s.everywhere("a write beyond the end", 5003, "os.lseek(fd, 0, os.SEEK_END)")
    s.everywhere("the hole", "00" + "\0" * 10, "os.pread(fd, 12, 0).decode()")
    for node in s.nodes:
        node("os.close(fd)")


@case
def appends_of_three_nodes_at_once_lose_nothing(s):
    f = s.path("log")
    s.nodes[0](f"write({f!r}, '')")
    for node in s.nodes:
        node.start(f"fd = os.open({f!r}, os.O_WRONLY | os.O_APPEND)\n"
                   f"for i in range(100): os.write(fd, b'{node.number}' * 63 + b'\\n')\n"
                   "os.close(fd)")
    for node in s.nodes:
        node.answer()
    records = s.nodes[0](f"read({f!r})").splitlines()
    s.same("records", 300, len(records))
    for node in s.nodes:
        s.same(f"whole records of node {node.number}", 100, records.count(str(node.number) * 63))


@case
def reads_see_one_whole_write_or_the_other(s):
    f = s.path("whole")
    s.nodes[0](f"write({f!r}, 'a' * 4096)")
    s.nodes[1].start(f"fd = os.open({f!r}, os.O_WRONLY)\n"
                     "for i in range(200): os.pwrite(fd, (b'a', b'b')[i % 2] * 4096, 0)\nos.close(fd)")
    s.same("mixed reads", 0, s.nodes[2](
        f"fd = os.open({f!r}, os.O_RDONLY)\nmixed = 0\n"
        "for i in range(200): mixed += len(set(os.pread(fd, 4096, 0))) != 1\nos.close(fd)\nmixed"))
    s.nodes[1].answer()


@case
def a_map_made_after_a_write_shows_it(s):
    f = s.path("map")
    for number in range(3):
        s.nodes[number](f"write({f!r}, 'page {number}'.ljust(4096, '.'))")
        s.everywhere("the map", f"page {number}", f"fd = os.open({f!r}, os.O_RDONLY)\n"
                     "m = mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ)\n"
                     "text = m[:6].decode()\nm.close()\nos.close(fd)\ntext")


# ---- C2: names ----


@case
def names_come_and_go_for_all(s):
    f, g = s.path("name"), s.path("other")
    for number in range(6):
        actor = s.nodes[number % 3]
        s.everywhere("before it is made", "ENOENT", f"os.stat({f!r}).st_size")
        actor(f"write({f!r}, 'made')")
        s.everywhere("made", "made", f"read({f!r})")
        s.everywhere("made: listing", ["name"], f"names({s.directory!r})")
        actor(f"os.rename({f!r}, {g!r})")
        s.everywhere("renamed: old name", "ENOENT", f"read({f!r})")
        s.everywhere("renamed: new name", "made", f"read({g!r})")
        s.everywhere("renamed: listing", ["other"], f"names({s.directory!r})")
        s.nodes[(number + 1) % 3](f"os.unlink({g!r})")
        s.everywhere("unlinked", "ENOENT", f"read({g!r})")
        s.everywhere("unlinked: listing", [], f"names({s.directory!r})")


@case
def directories_come_and_go_for_all(s):
    d, e = s.path("dir"), s.path("moved")
    for actor, other in zip(s.nodes, s.nodes[1:] + s.nodes[:1]):
        s.everywhere("before", "ENOENT", f"names({d!r})")
        actor(f"os.mkdir({d!r})")
        s.everywhere("mkdir", [], f"names({d!r})")
        other(f"write({d + '/in'!r}, 'inner')")
        s.everywhere("create inside", "inner", f"read({d + '/in'!r})")
        s.same("rmdir of a full one", "ENOTEMPTY", actor(f"os.rmdir({d!r})"))
        actor(f"os.rename({d!r}, {e!r})")
        s.everywhere("inner file after the move", "inner", f"read({e + '/in'!r})")
        s.everywhere("inner file by the old path", "ENOENT", f"read({d + '/in'!r})")
        other(f"os.unlink({e + '/in'!r})")
        actor(f"os.rmdir({e!r})")
        s.everywhere("rmdir", "ENOENT", f"names({e!r})")


@case
def a_replaced_file_is_the_new_one_for_all(s):
    f = s.path("live")
    for number in range(6):
        s.nodes[number % 3](f"write({f + '.new'!r}, 'version {number}')\nos.rename({f + '.new'!r}, {f!r})")
        s.everywhere("replaced", f"version {number}", f"read({f!r})")


@case
def links_and_symlinks_are_seen_by_all(s):
    f, g, h = s.path("file"), s.path("link"), s.path("symlink")
    a, b, c = s.nodes
    a(f"write({f!r}, 'text')")
    b(f"os.link({f!r}, {g!r})")
    s.everywhere("links", 2, f"os.stat({f!r}).st_nlink")
    c(f"os.symlink('file', {h!r})")
    s.everywhere("through the symlink", "text", f"read({h!r})")
    a(f"os.unlink({h!r})\nos.symlink('link', {h!r})")
    s.everywhere("the new symlink", "link", f"os.readlink({h!r})")
    b(f"os.unlink({f!r})")
    s.everywhere("links", 1, f"os.stat({g!r}).st_nlink")


@case
def one_of_three_exclusive_creators_wins(s):
    for number in range(15):
        f = s.path(f"race{number}")
        for node in s.nodes:
            node.start(f"os.close(os.open({f!r}, os.O_CREAT | os.O_EXCL | os.O_WRONLY))\n'won'")
        answers = sorted(node.answer() for node in s.nodes)
        if not s.same("a race", ["EEXIST", "EEXIST", "won"], answers):
            break


@case
def one_of_three_mkdirs_and_renames_wins(s):
    # Three targets: with one, a node that looks up both names around another's rename finds one object under both,
    # and renaming a file onto itself is no error.
    for number in range(10):
        d, f = s.path(f"d{number}"), s.path(f"f{number}")
        s.nodes[0](f"write({f!r}, '')")
        for node in s.nodes:
            node.start(f"os.mkdir({d!r})\n'won'")
        s.same("mkdir", ["EEXIST", "EEXIST", "won"], sorted(node.answer() for node in s.nodes))
        for node in s.nodes:
            node.start(f"os.rename({f!r}, {f + '-' + str(node.number)!r})\n'won'")
        s.same("rename", ["ENOENT", "ENOENT", "won"], sorted(node.answer() for node in s.nodes))


@case
def changed_attributes_are_seen_by_all(s):
    f = s.path("attributes")
    a, b, c = s.nodes
    a(f"write({f!r}, 'x')")
    b(f"os.chmod({f!r}, 0o640)")
    s.everywhere("mode", 0o640, f"os.stat({f!r}).st_mode & 0o7777")
    c(f"os.chown({f!r}, 4201, 4202)")
    s.everywhere("owner", [4201, 4202], f"st = os.stat({f!r})\n[st.st_uid, st.st_gid]")
    a(f"os.setxattr({f!r}, 'user.key', b'value')")
    s.everywhere("attribute", "value", f"os.getxattr({f!r}, 'user.key').decode()")
    b(f"os.removexattr({f!r}, 'user.key')")
    s.everywhere("removed attribute", "ENODATA", f"os.getxattr({f!r}, 'user.key').decode()")
    c(f"os.utime({f!r}, ns=(1000000001, 2000000002))")
    s.everywhere("times", [1000000001, 2000000002], f"st = os.stat({f!r})\n[st.st_atime_ns, st.st_mtime_ns]")


# ---- C3: time stamps ----


@case
def stat_is_the_same_from_all_nodes(s):
    f = s.path("stat")
    changes = [f"write({f!r}, 'one')", f"write({f!r}, 'more', os.O_WRONLY | os.O_APPEND)", f"os.chmod({f!r}, 0o600)",
               f"os.truncate({f!r}, 100)", f"os.link({f!r}, {f + '2'!r})", f"os.utime({f!r})",
               f"os.rename({f + '2'!r}, {f + '3'!r})", f"read({f!r})", f"os.unlink({f + '3'!r})"]
    last = 0
    for number, change in enumerate(changes):
        s.nodes[number % 3](change)
        answers = [node(f"attributes({f!r})") for node in s.nodes]
        s.same(f"attributes after: {change}", [answers[0]] * 3, answers)
        s.same(f"ctime goes on after: {change}", True, answers[0][-1] >= last)
        last = answers[0][-1]
        directory = [node(f"attributes({s.directory!r})") for node in s.nodes]
        s.same(f"the directory's attributes after: {change}", [directory[0]] * 3, directory)


@case
def fstat_of_a_held_file_is_the_same_too(s):
    f = s.path("fstat")
    s.nodes[0](f"write({f!r}, 'one')")
    for node in s.nodes:
        node(f"fd = os.open({f!r}, os.O_RDWR)")
    for number in range(6):
        s.nodes[number % 3](f"os.pwrite(fd, b'{number}', {number} * 10)")
        answers = [node("attributes(fd)") for node in s.nodes] + [node(f"attributes({f!r})") for node in s.nodes]
        s.same("attributes", [answers[0]] * 6, answers)
    for node in s.nodes:
        node("os.close(fd)")


@case
def what_is_made_later_is_not_older(s):
    other = s.owner % 3 + 1
    source, target = s.path("source"), f"/mfs/{other}/target{s.owner}"
    for number in range(6):
        a, b = s.nodes[number % 3], s.nodes[(number + 1) % 3]
        a(f"write({source!r}, 'x')")
        b(f"read({source!r})\nwrite({target!r}, 'y')")
        first, second = a(f"os.stat({source!r}).st_mtime_ns"), a(f"os.stat({target!r}).st_mtime_ns")
        s.same("the target is not older than its source", True, second >= first)
    s.nodes[0](f"os.unlink({target!r})")


# ---- C4: links ----


@case
def an_open_file_outlives_its_name(s):
    f = s.path("orphan")
    for number in range(3):
        holder, remover, third = (s.nodes[(number + i) % 3] for i in range(3))
        holder(f"write({f!r}, 'kept')\nfd = os.open({f!r}, os.O_RDWR)")
        third(f"fd = os.open({f!r}, os.O_RDONLY)")
        s.same("links while it has a name", 1, holder("os.fstat(fd).st_nlink"))
        remover(f"os.unlink({f!r})")
        s.same("links", [0, 0], [holder("os.fstat(fd).st_nlink"), third("os.fstat(fd).st_nlink")])
        s.same("still read", "kept", third("os.pread(fd, 10, 0).decode()"))
        holder("os.pwrite(fd, b'KEPT', 0)")
        s.same("still written", "KEPT", third("os.pread(fd, 10, 0).decode()"))
        s.everywhere("no leftover name", [], f"names({s.directory!r})")
        holder("os.close(fd)")
        s.same("read after the first close", "KEPT", third("os.pread(fd, 10, 0).decode()"))
        third("os.close(fd)")


@case
def an_open_file_outlives_its_replacement(s):
    f = s.path("replaced")
    a, b, c = s.nodes
    a(f"write({f!r}, 'old')")
    b(f"fd = os.open({f!r}, os.O_RDWR)")
    c(f"write({f + '.new'!r}, 'new')\nos.rename({f + '.new'!r}, {f!r})")
    s.same("links", 0, b("os.fstat(fd).st_nlink"))
    s.same("the old one", "old", b("os.pread(fd, 10, 0).decode()"))
    s.everywhere("the new one", "new", f"read({f!r})")
    b("os.close(fd)")


@case
def a_removed_directory_stays_open(s):
    d = s.path("gone")
    a, b, c = s.nodes
    a(f"os.mkdir({d!r})")
    b(f"fd = os.open({d!r}, os.O_RDONLY | os.O_DIRECTORY)")
    c(f"os.rmdir({d!r})")
    s.same("create in it", "ENOENT", b("os.open('new', os.O_CREAT | os.O_WRONLY, dir_fd=fd)"))
    s.same("links", 0, b("os.fstat(fd).st_nlink"))
    b("os.close(fd)")


# ---- locks ----


@case
def locks_hold_between_nodes(s):
    f = s.path("lock")
    a, b, c = s.nodes
    for node in s.nodes:
        node(f"fd = os.open({f!r}, os.O_RDWR | os.O_CREAT, 0o644)")
    s.same("lock", "ok", a("lock(fd, fcntl.F_WRLCK, 10, 20)"))
    s.same("conflict", "EAGAIN", b("lock(fd, fcntl.F_RDLCK, 25, 1)"))
    s.same("beside it", "ok", b("lock(fd, fcntl.F_WRLCK, 30, 5)"))
    s.same("question", [1, 10, 20], c("ask_lock(fd, fcntl.F_RDLCK, 0, 15)"))
    c.start("lock(fd, fcntl.F_WRLCK, 0, 0, True)")
    s.same("a waiting lock waits", True, c.waits())
    a("lock(fd, fcntl.F_UNLCK)")
    s.same("and still waits", True, c.waits())
    b("os.close(fd)")
    s.same("until all have gone", "ok", c.answer())
    s.same("and holds", "EAGAIN", a("lock(fd, fcntl.F_RDLCK)"))
    c("os.close(fd)")
    s.same("free", "ok", a("lock(fd, fcntl.F_WRLCK)"))
    a("os.close(fd)")


@case
def flock_holds_between_nodes(s):
    f = s.path("flock")
    a, b, c = s.nodes
    for node in s.nodes:
        node(f"fd = os.open({f!r}, os.O_RDWR | os.O_CREAT, 0o644)")
    s.same("shared", None, a("fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)"))
    s.same("shared too", None, b("fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)"))
    s.same("exclusive", "EAGAIN", c("fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)"))
    a("os.close(fd)")
    s.same("exclusive", "EAGAIN", c("fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)"))
    b("fcntl.flock(fd, fcntl.LOCK_UN)")
    s.same("exclusive at last", None, c("fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)"))
    s.same("shared", "EAGAIN", b("fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)"))
    for node in (b, c):
        node("os.close(fd)")


@case
def a_killed_holders_locks_are_released(s):
    f = s.path("held")
    a, b = s.nodes[0], s.nodes[1]
    for kind in ("lock(fd, fcntl.F_WRLCK, 0, 0, True)", "fcntl.flock(fd, fcntl.LOCK_EX)"):
        a(f"fd = os.open({f!r}, os.O_RDWR | os.O_CREAT, 0o644)")
        holder = f"""
import signal, time
child = os.fork()
if child == 0:
    fd = os.open({f!r}, os.O_RDWR)
    {kind}
    write({s.path("ready")!r}, '')
    time.sleep(1000)
while not os.path.exists({s.path("ready")!r}): time.sleep(0.02)
os.unlink({s.path("ready")!r})
"""
        b(holder)
        a.start(kind)
        s.same("the lock is held", True, a.waits())
        b("os.kill(child, signal.SIGKILL)\nos.waitpid(child, 0)\nNone")
        a.answer()
        a("os.close(fd)")


# ---- C8: native changes on the owner; between nodes ----


@case
def native_changes_are_seen_by_all(s):
    f, native = s.path("native"), f"{s.native}/native"
    owner = s.nodes[s.owner - 1]
    s.everywhere("before", "ENOENT", f"read({f!r})")
    owner(f"write({native!r}, 'made natively')")
    s.everywhere("made", "made natively", f"read({f!r})")
    for node in s.nodes:
        node(f"fd = os.open({f!r}, os.O_RDWR)")
    owner(f"write({native!r}, 'rewritten')")
    s.everywhere("rewritten", "rewritten", "os.pread(fd, 100, 0).decode()")
    s.nodes[s.owner % 3]("os.pwrite(fd, b'REMOTE', 0)")
    s.same("the native reader sees a remote write", "REMOTEten", owner(f"read({native!r})"))
    owner(f"os.chmod({native!r}, 0o600)")
    s.everywhere("mode", 0o600, f"os.stat({f!r}).st_mode & 0o7777")
    owner(f"os.rename({native!r}, {native + '2'!r})")
    s.everywhere("renamed away", "ENOENT", f"read({f!r})")
    s.everywhere("renamed", "REMOTEten", f"read({f + '2'!r})")
    owner(f"os.unlink({native + '2'!r})")
    s.everywhere("unlinked", "ENOENT", f"read({f + '2'!r})")
    s.everywhere("held open", "REMOTEten", "os.pread(fd, 100, 0).decode()")
    s.everywhere("links", 0, "os.fstat(fd).st_nlink")
    for node in s.nodes:
        node("os.close(fd)")


@case
def nothing_moves_between_owners(s):
    f, other = s.path("here"), f"/mfs/{s.owner % 3 + 1}/there"
    s.nodes[0](f"write({f!r}, 'x')")
    s.everywhere("rename", "EXDEV", f"os.rename({f!r}, {other!r})")
    s.everywhere("link", "EXDEV", f"os.link({f!r}, {other!r})")
    s.everywhere("still here", "x", f"read({f!r})")
    s.everywhere("not there", "ENOENT", f"read({other!r})")


def main():
    program, name, directory = sys.argv[1:4]
    only = sys.argv[4] if len(sys.argv) > 4 else ""
    command = [program, "exec", "--name", name]
    verdict = Verdict()
    nodes = [Node(command, number) for number in (1, 2, 3)]
    try:
        for body in CASES:
            if only not in body.__name__:
                continue
            failed = verdict.failed
            for owner in (1, 2, 3):
                place = f"{body.__name__}-{owner}"
                nodes[0](f"os.mkdir('/mfs/{owner}/{place}')")
                setting = Setting(nodes, verdict, owner, f"/mfs/{owner}/{place}",
                                  f"{directory}/node{owner}/export/{place}")
                try:
                    body(setting)
                except (TimeoutError, EOFError, RuntimeError) as e:
                    verdict.failed += 1
                    print(f"FAILED: {body.__name__} (owner {owner}): {e}", flush=True)
                    traceback.print_exc(file=sys.stdout)
                    for node in nodes:
                        node.process.kill()
                    nodes = [Node(command, number) for number in (1, 2, 3)]
            print(f"{'ok' if verdict.failed == failed else 'NOT'}: {body.__name__.replace('_', ' ')}", flush=True)
    finally:
        for node in nodes:
            node.end()
    print(f"consistency: {verdict.right} right, {verdict.failed} wrong")
    return 1 if verdict.failed else 0


if __name__ == "__main__":
    sys.exit(main())
