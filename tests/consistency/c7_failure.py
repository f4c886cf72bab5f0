"""C7, failure: an operation ends with the old result, the new result or an error, in bounded time; lost data is reported; live nodes
never wait for dead ones; and after everything is up again all is as the contract says.

No duration makes a case fail but one so long that it is a hang (HANG_SECONDS): the cases measure how long operations on dead
nodes take and print the longest, which should be about lease + grace. The box has a short lease."""
import time

from cluster import HANG_SECONDS, until
from faults import Broken, Frozen, all_reach_all, is_error, lease, others, report, timed
from suite import case

FAULTS = {"killed": ("kill",), "stopped": ("stop",), "cut_off": ("cut",)}

@case(owners=(2,), variants=FAULTS)
def live_nodes_do_not_wait_for_one(s, fault):
    a, b = others(s)
    blocked = s.agent(a.number)
    a("write(d + '/f', 'x')")
    a(f"write('/mfs/{b.number}/live', 'alive')")
    with Broken(s, fault, s.owner):
        # One that does wait must not make the others wait.
        blocked.start("read(d + '/f')")
        longest = 0
        for node in (a, b):
            for code, wanted in (("len(names('/mfs'))", 11), ("os.statvfs('/mfs').f_namemax > 0", True),
                                 (f"read('/mfs/{b.number}/live')", "alive"),
                                 (f"os.statvfs('/mfs/{a.number}').f_blocks > 0", True),
                                 (f"write('/mfs/{a.number}/new{node.number}', 'n')", 1),
                                 (f"names('/mfs/{b.number}/.')[0] != ''", True)):
                got, seconds = timed(node, code)
                s.same(code, wanted, got)
                longest = max(longest, seconds)
        report("the longest access to what lives", longest)
        got, seconds = timed(a, "shell('df /mfs')[0]")
        s.same("df", 0, got)
        blocked.answer()


OPERATIONS = {
    "read": "read(d + '/f')", "write": "write(d + '/f', 'new')", "create": "write(d + '/new', 'n')",
    "stat": "os.stat(d + '/f').st_size", "list": "names(d)", "unlink": "os.unlink(d + '/f')",
    "rename": "os.rename(d + '/f', d + '/g')", "fsync": "os.fsync(fd)", "read_held": "os.pread(fd, 10, 0).decode()",
    "lock": "lock(fd, fcntl.F_WRLCK)",
}


@case(owners=(2,), variants=FAULTS)
def operations_end_when_the_owner_is(s, fault):
    a, b = others(s)
    agents = {}
    for name in OPERATIONS:
        place = s.path(name)
        a(f"os.mkdir({place!r})\nwrite({place + '/f'!r}, 'old')")
        agents[name] = s.agent(a.number if len(agents) % 2 else b.number)
        agents[name](f"d = {place!r}\nfd = os.open(d + '/f', os.O_RDWR)")
    results = {}
    with Broken(s, fault, s.owner) as broken:
        begin = time.monotonic()
        for name, agent in agents.items():
            agent.start(OPERATIONS[name])
        for name, agent in agents.items():
            results[name] = agent.answer()
        report("until all of them had ended", time.monotonic() - begin)
        broken.mend()
    for name, result in results.items():
        good = is_error(result) or result in ("old", 3, ["f"], None, "ok", 1)
        s.same(f"{name} ended with an error or a right result", True, good or repr(result))
    # The old or the new, for all the same.
    b_sees = {name: b(f"[[n, read({s.path(name)!r} + '/' + n)] for n in names({s.path(name)!r})]") for name in OPERATIONS}
    old, new = [["f", "old"]], {"write": [["f", "new"]], "create": [["f", "old"], ["new", "n"]], "unlink": [],
                                "rename": [["g", "old"]]}
    for name, seen in b_sees.items():
        allowed = [old] + ([new[name]] if name in new else [])
        if name in new and not is_error(results[name]):
            allowed = [new[name]]
        elif name in ("write", "create"):
            # Opened and then written: two operations, of which the first may have been the last.
            allowed += [[["f", ""]], [["f", "old"], ["new", ""]]]
        s.same(f"{name}, having ended with {results[name]}: one of {allowed}", True, seen in allowed or repr(seen))
        s.everywhere(name, seen, f"[[n, read({s.path(name)!r} + '/' + n)] for n in names({s.path(name)!r})]")


@case(owners=(1, 2), variants=FAULTS)
def a_short_failure_is_survived_by_one(s, fault):
    """Shorter than the lease: what is held open goes on, and what was asked meanwhile is done."""
    a, b = others(s)
    for node in (a, b):
        node("fd = os.open(d + '/f', os.O_RDWR | os.O_CREAT)")
    a("os.pwrite(fd, b'before', 0)")
    with Broken(s, fault, s.owner) as broken:
        a.start("os.pwrite(fd, b'during', 0)")
        b.start("os.stat(d + '/f').st_size")
        broken.mend()
        answers = [a.answer(), b.answer()]
    print(f"  measured: {answers} of what was asked meanwhile", flush=True)
    s.everywhere("one of the two", True, "read(d + '/f') in ('before', 'during')")
    if not is_error(answers[0]):
        s.everywhere("what was written", "during", "read(d + '/f')")
        a("os.pwrite(fd, b'after!', 0)")
        s.everywhere("afterwards", "after!", "read(d + '/f')")


@case(owners=(2,), variants={"once": (1,), "three_times": (3,)})
def appends_are_done_once_while_the_owner_is_killed(s, times):
    a, b = others(s)
    count = 60 * times
    a("write(d + '/log', '')")
    for node in (a, b):
        node.start(f"""
good = []
fd = os.open(d + '/log', os.O_WRONLY | os.O_APPEND)
for i in range({count}):
    record = b'%d-%04d\\n' % ({node.number}, i)
    try:
        os.write(fd, record)
        good.append(record.decode().strip())
    except OSError:
        try: os.close(fd)
        except OSError: pass
        while True:
            try:
                fd = os.open(d + '/log', os.O_WRONLY | os.O_APPEND)
                break
            except OSError: time.sleep(0.02)
os.close(fd)
good""")
    for _ in range(times):
        with Broken(s, "kill", s.owner):
            pass
    good = a.answer() + b.answer()
    lines = a("read(d + '/log')").splitlines()
    s.same("records twice", [], [x for x in set(lines) if lines.count(x) > 1])
    s.same("records lost", [], sorted(set(good) - set(lines)))
    s.same("records nobody wrote", [], [x for x in lines if len(x) != 6 or x[0] not in "123"])
    print(f"  measured: {2 * count - len(good)} of {2 * count} appends ended with an error", flush=True)


@case(owners=(1, 2))
def names_are_made_and_removed_once_while_the_owner_is_killed(s):
    """Done twice, a creation would find its own file and a removal would find nothing."""
    a, b = others(s)
    for node in (a, b):
        node.start(f"""
wrong, failed = [], 0
for i in range(60):
    for code in ("os.close(os.open(n, os.O_CREAT | os.O_EXCL | os.O_WRONLY))", "os.mkdir(n + 'd')", "os.link(n, n + 'l')",
                 "os.rename(n, n + 'r')", "os.rmdir(n + 'd')", "os.unlink(n + 'l')", "os.unlink(n + 'r')"):
        n = d + '/{node.number}-%d' % i
        try:
            exec(code)
        except OSError as e:
            if e.errno in (errno.EEXIST, errno.ENOENT) and not failed_before: wrong.append(code + ': ' + str(e))
            failed_before, failed = True, failed + 1
        else:
            failed_before = False if 'EXCL' in code else failed_before
wrong""".replace("wrong, failed = [], 0", "wrong, failed, failed_before = [], 0, False"))
    for _ in range(2):
        with Broken(s, "kill", s.owner):
            pass
    for node in (a, b):
        s.same(f"done twice, on node {node.number}", [], node.answer())


@case(owners=(1, 2))
def what_was_written_before_the_owner_was_killed_is_there(s):
    a, b = others(s)
    a("for i in range(50): write(d + f'/f{i}', f'content {i}')")
    b("fd = os.open(d + '/big', os.O_RDWR | os.O_CREAT)\nos.write(fd, b'b' * 300000)")
    times = a("times(d + '/f7')")
    with Broken(s, "kill", s.owner):
        pass
    s.everywhere("files", [f"content {i}" for i in range(50)], "[read(d + f'/f{i}') for i in range(50)]")
    s.everywhere("the big one", [["b", 300000]], "runs(d + '/big')")
    s.everywhere("times", times, "times(d + '/f7')")
    a("write(d + '/f7', 'later')")
    s.same("time goes on", True, b("times(d + '/f7')") > times)


@case(owners=(2,))
def native_changes_while_the_owners_daemon_is_dead_are_seen(s):
    a, b = others(s)
    native = s.native_writer()
    a("write(d + '/f', 'old')\nwrite(d + '/gone', '')")
    s.everywhere("before", ["old", ["f", "gone"]], "[read(d + '/f'), names(d)]")
    with Broken(s, "kill", s.owner):
        native("write(d + '/f', 'new')\nos.unlink(d + '/gone')\nwrite(d + '/made', '')")
    s.natively = True
    s.everywhere("after", ["new", ["f", "made"]], "[read(d + '/f'), names(d)]")


def fill_caches(node):
    node("[read(d + '/f') for i in range(3)]\nnames(d)\nexists(d + '/made')\nread(d + '/gone')\n"
         "os.stat(d + '/sub/in').st_size\nfd = os.open(d + '/f', os.O_RDONLY)")


LOOK = "[read(d + '/f'), names(d), exists(d + '/made'), exists(d + '/gone'), exists(d + '/sub/in')]"
CHANGED = ["new", ["f", "made", "moved"], True, False, False]


def change_everything(s, by):
    """While another node cannot be asked: each change in bounded time, and no error."""
    longest = 0
    for code in ("write(d + '/f', 'new')", "write(d + '/made', '')", "os.unlink(d + '/gone')",
                 "os.rename(d + '/sub', d + '/moved')"):
        got, seconds = timed(by, code)
        s.same(code, False, is_error(got))
        longest = max(longest, seconds)
    report("the longest change while a client could not be asked", longest)


def never_stale(s, node):
    """Errors are allowed for a while; of what is seen nothing may be old."""
    seen = []

    def fresh():
        for code, wanted in zip(LOOK[1:-1].replace("), ", ")|").split("|"), CHANGED):
            got = node(code)
            seen.append((code, got))
            if got != wanted:
                if not is_error(got):
                    s.same(f"stale: {code}", wanted, got)
                return False
        return True

    s.same("it sees the new", True, until(HANG_SECONDS, fresh) is not None)
    held = node("os.pread(fd, 10, 0)")
    s.same("its held descriptor", True, held == "new" or is_error(held) or held)
    node("os.close(fd)")


def prepare_changes(s):
    s.nodes[0]("write(d + '/f', 'old')\nwrite(d + '/gone', 'g')\nos.mkdir(d + '/sub')\nwrite(d + '/sub/in', '')")


@case(owners=(2, 3))
def a_client_cut_off_longer_than_the_lease_sees_nothing_stale(s):
    a, b = others(s)
    prepare_changes(s)
    fill_caches(a)
    with Broken(s, "cut", a.number) as broken:
        change_everything(s, b)
        # While it is cut off it may know nothing, but nothing that may be wrong by now, once its lease is over.
        time.sleep(lease(s) * 1.5)
        got = a("read(d + '/f')")
        s.same("stale while cut off", True, is_error(got) or got == "new" or got)
        broken.mend()
        never_stale(s, a)


@case(owners=(2, 3))
def a_client_frozen_longer_than_the_lease_sees_nothing_stale(s):
    a, b = others(s)
    prepare_changes(s)
    fill_caches(a)
    with Frozen(s, a.number) as frozen:
        change_everything(s, b)
        time.sleep(lease(s) * 1.5)
        # The kernel of this node may not answer from what it has either; what it answers must be right.
        second = s.agent(a.number)
        second.start("read(d + '/f')")
        early = None if second.waits(1) else second.answer()
        s.same("answered while frozen", True, early is None or is_error(early) or early == "new" or early)
        frozen.thaw()
        if early is None:
            late = second.answer()
            s.same("answered afterwards", True, is_error(late) or late == "new" or late)
        never_stale(s, a)


@case(owners=(2, 3))
def a_client_cut_off_shortly_sees_nothing_stale(s):
    a, b = others(s)
    prepare_changes(s)
    fill_caches(a)
    with Broken(s, "cut", a.number) as broken:
        for node in (b,):
            node.start("write(d + '/f', 'new')\nwrite(d + '/made', '')\nos.unlink(d + '/gone')\n"
                       "os.rename(d + '/sub', d + '/moved')\n'done'")
        time.sleep(lease(s) * 0.3)
        broken.mend()
        s.same("the changes", "done", b.answer())
        never_stale(s, a)


@case(owners=(1,))
def the_local_client_frozen_does_not_block_the_others(s):
    a, b = others(s)
    owner = s.nodes[s.owner - 1]
    prepare_changes(s)
    fill_caches(owner)
    with Frozen(s, owner.number) as frozen:
        change_everything(s, b)
        frozen.thaw()
        never_stale(s, owner)


LOCKS = {"posix": ("lock(fd, fcntl.F_WRLCK)", "lock(fd, fcntl.F_WRLCK, wait=True)"),
         "flock": ("flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)", "flock(fd, fcntl.LOCK_EX)")}


@case(owners=(2,), variants=LOCKS)
def a_lock_of_a_node_that_is_cut_off_is_released(s, ask, wait):
    a, b = others(s)
    for node in (a, b):
        node("fd = os.open(d + '/lock', os.O_RDWR | os.O_CREAT)")
    s.same("taken", "ok", a(ask))
    with Broken(s, "cut", a.number) as broken:
        got, seconds = timed(b, wait)
        s.same("the other gets it", "ok", got)
        report("until the lock was released", seconds)
        broken.mend()
    # It comes back and does not have it any more.
    again = s.agent(a.number)
    s.same("the first cannot take it", "EAGAIN", again("fd = os.open(d + '/lock', os.O_RDWR)\n" + ask))
    b("os.close(fd)")
    again(wait)
    again("os.close(fd)")
    a("os.close(fd)")


@case(owners=(2,))
def locks_are_kept_over_a_restart_of_the_owners_daemon(s):
    a, b = others(s)
    for node in (a, b):
        node("fd = os.open(d + '/lock', os.O_RDWR | os.O_CREAT)")
    a("lock(fd, fcntl.F_WRLCK)")
    with Broken(s, "kill", s.owner):
        pass
    refused = b("lock(fd, fcntl.F_WRLCK)")
    mine = a("os.pwrite(fd, b'x', 0)")
    # Kept, or its holder is told by an error that what it held is gone.
    s.same("kept, or lost with an error", True, refused == "EAGAIN" or is_error(mine) or [refused, mine])
    for node in (a, b):
        node("os.close(fd)")


@case(owners=(2,))
def who_waits_for_a_dead_node_can_be_killed(s):
    a, b = others(s)
    a("write(d + '/f', 'x')")
    with Broken(s, "stop", s.owner):
        a("pid = os.fork()\nif pid == 0:\n  read(d + '/f')\n  os._exit(0)\npid")
        b("None")
        got, seconds = timed(a, "end(pid)\n'killed'")
        s.same("killed", "killed", got)
        report("until the waiting process was dead", seconds)


@case(owners=(2,))
def a_client_that_is_killed_harms_nobody_else(s):
    a, b = others(s)
    a("write(d + '/f', 'synced')\nfd = os.open(d + '/f', os.O_RDWR)\nos.fsync(fd)\nlock(fd, fcntl.F_WRLCK)")
    a("os.pwrite(fd, b'SYNCED', 0)")
    helper = s.agent(a.number)
    helper("os.kill(process('omfs-fuse'), signal.SIGKILL)")
    try:
        got = until(HANG_SECONDS, lambda: is_error(a("os.pread(fd, 10, 0)")))
        s.same("its own node gets errors", True, got is not None)
        got, seconds = timed(b, "fd = os.open(d + '/f', os.O_RDWR)\nlock(fd, fcntl.F_WRLCK, wait=True)")
        s.same("the lock is released", "ok", got)
        report("until it was released", seconds)
        s.same("whole", True, b("read(d + '/f')") in ("synced", "SYNCED"))
        s.same("written by another", 3, b("write(d + '/f', 'new')"))
    finally:
        a("os.close(fd)")
        b("os.close(fd)")
        s.box.run("start", a.number)
    all_reach_all(s)
    s.everywhere("afterwards", "new", "read(d + '/f')")


@case(owners=(2,))
def what_a_cut_off_writer_loses_is_reported(s):
    a, b = others(s)
    a("write(d + '/f', 'old')\nfd = os.open(d + '/f', os.O_RDWR)\nos.pread(fd, 3, 0)")
    with Broken(s, "cut", a.number) as broken:
        results = [a("os.pwrite(fd, b'NEW', 0)")]
        time.sleep(lease(s) * 2)
        got, seconds = timed(b, "read(d + '/f')")
        s.same("another sees one of them", True, got in ("old", "NEW"))
        b("append(d + '/f', '!')")
        broken.mend()
        all_reach_all(s)
        results += [a("os.fsync(fd)"), a("os.close(fd)")]
    final = b("read(d + '/f')")
    s.same(f"{final} after {results}: there or reported", True, final.startswith("NEW") or any(map(is_error, results)))
    s.same("the other's append is not lost", True, final in ("old!", "NEW!"))
    s.everywhere("for all the same", final, "read(d + '/f')")


@case(owners=(2,))
def an_unlinked_open_file_over_a_restart_of_the_owners_daemon(s):
    a, b = others(s)
    a("fd = os.open(d + '/f', os.O_RDWR | os.O_CREAT)\nos.write(fd, b'orphan')")
    b("os.unlink(d + '/f')")
    with Broken(s, "kill", s.owner):
        pass
    b("for i in range(50): write(d + f'/g{i}', 'another')")
    s.same("kept", "orphan", a("os.pread(fd, 10, 0)"))
    a("os.close(fd)")


@case(owners=(3,))
def a_restart_of_all_daemons_changes_nothing(s):
    s.nodes[0]("os.makedirs(d + '/a/b')\nwrite(d + '/a/b/f', 'text')\nos.symlink('a/b/f', d + '/l')")
    before = [node("attributes(d + '/a/b/f')") for node in s.nodes]
    for number in (1, 2, 3):
        s.box.run("kill", number)
    for number in (1, 2, 3):
        s.box.run("start", number)
    all_reach_all(s)
    s.everywhere("content", ["text", "text"], "[read(d + '/a/b/f'), read(d + '/l')]")
    after = [node("attributes(d + '/a/b/f')") for node in s.nodes]
    # Reading may have touched the access time.
    s.same("attributes", [x[:7] + x[8:] for x in before], [x[:7] + x[8:] for x in after])
