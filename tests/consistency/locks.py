"""Locks: flock, POSIX and those of open file descriptions hold between nodes, go with their holders, and deadlocks of
POSIX locks are told.

A lock that goes with the last close of its description (flock, and those of open file descriptions) goes a moment after
the close has returned: the kernel tells a FUSE client of last closes without waiting. The cases take such a lock by waiting.
POSIX locks go with any close, before it returns."""
from suite import case

KINDS = {
    "flock": ("flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)", "flock(fd, fcntl.LOCK_EX)", "flock(fd, fcntl.LOCK_UN)"),
    "posix": ("lock(fd, fcntl.F_WRLCK)", "lock(fd, fcntl.F_WRLCK, wait=True)", "lock(fd, fcntl.F_UNLCK)"),
    "ofd": ("lock(fd, fcntl.F_WRLCK, ofd=True)", "lock(fd, fcntl.F_WRLCK, wait=True, ofd=True)",
            "lock(fd, fcntl.F_UNLCK, ofd=True)"),
}
OPEN = "fd = os.open(d + '/lock', os.O_RDWR | os.O_CREAT, 0o644)"


def open_on_all(s):
    for node in s.nodes:
        node(OPEN)


@case(variants=KINDS)
def an_exclusive_lock_is_exclusive(s, ask, wait, free):
    open_on_all(s)
    for number in range(3):
        a, b, c = (s.nodes[(number + i) % 3] for i in range(3))
        s.same("taken", "ok", a(ask))
        s.same("refused", ["EAGAIN", "EAGAIN"], [b(ask), c(ask)])
        a(free)
        s.same("free for the next", "ok", b(ask))
        s.same("refused now", "EAGAIN", a(ask))
        b(free)


@case(variants=KINDS)
def a_waiting_lock_gets_it_when_it_is_free(s, ask, wait, free):
    open_on_all(s)
    a, b, c = s.nodes
    a(ask)
    b.start(wait)
    s.same("waits", True, b.waits())
    a(free)
    s.same("has it", "ok", b.answer())
    c.start(wait)
    s.same("waits", True, c.waits())
    b("os.close(fd)")
    s.same("has it after a close", "ok", c.answer())
    s.same("holds", "EAGAIN", a(ask))


@case(variants=KINDS)
def a_killed_holders_lock_is_released(s, ask, wait, free):
    open_on_all(s)
    for number in range(3):
        a, b = s.nodes[number], s.nodes[(number + 1) % 3]
        pid = b(f"child({OPEN!r} + '\\n' + {ask!r})")
        s.same("held", "EAGAIN", a(ask))
        a.start(wait)
        s.same("waits", True, a.waits(0.1))
        b(f"end({pid})")
        s.same("released", "ok", a.answer())
        a(free)


@case(variants=KINDS)
def a_killed_waiter_leaves_the_queue(s, ask, wait, free):
    open_on_all(s)
    a, b, c = s.nodes
    a(ask)
    pid = b(f"pid = os.fork()\nif pid == 0:\n  {OPEN}\n  {wait}\n  os._exit(0)\npid")
    c.start(wait)
    s.same("waits", True, c.waits())
    b(f"end({pid})")
    a(free)
    s.same("the one that lives gets it", "ok", c.answer())
    c(free)
    s.same("free", "ok", a(ask))


@case(variants=KINDS)
def three_nodes_take_turns(s, ask, wait, free):
    """Nobody is in when another is: each writes its name on entering and finds it on leaving."""
    s.nodes[0]("write(d + '/in', '')")
    open_on_all(s)
    for node in s.nodes:
        node.start(f"""
bad = 0
for i in range(25):
    {wait}
    write(d + '/in', '{node.number}')
    bad += read(d + '/in') != '{node.number}'
    {free}
bad""")
    s.same("intrusions", [0, 0, 0], [node.answer() for node in s.nodes])


@case
def flock_is_shared_or_exclusive(s):
    open_on_all(s)
    a, b, c = s.nodes
    s.same("shared", "ok", a("flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)"))
    s.same("shared too", "ok", b("flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)"))
    s.same("exclusive", "EAGAIN", c("flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)"))
    a("os.close(fd)")
    s.same("exclusive", "EAGAIN", c("flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)"))
    s.same("converted to exclusive", "ok", b("flock(fd, fcntl.LOCK_EX)"))
    s.same("not shared now", "EAGAIN", c("flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)"))
    s.same("converted to shared", "ok", b("flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)"))
    s.same("shared again", "ok", c("flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)"))


@case
def posix_locks_are_of_ranges(s):
    open_on_all(s)
    a, b, c = s.nodes
    s.same("lock", "ok", a("lock(fd, fcntl.F_WRLCK, 10, 20)"))
    s.same("conflict", "EAGAIN", b("lock(fd, fcntl.F_RDLCK, 25, 1)"))
    s.same("beside it", "ok", b("lock(fd, fcntl.F_WRLCK, 30, 5)"))
    s.same("question", [1, 10, 20], c("ask_lock(fd, fcntl.F_RDLCK, 0, 15)"))
    s.same("no conflict", 2, c("ask_lock(fd, fcntl.F_WRLCK, 0, 10)[0]"))
    s.same("a hole in it", "ok", a("lock(fd, fcntl.F_UNLCK, 15, 5)"))
    s.same("in the hole", "ok", c("lock(fd, fcntl.F_WRLCK, 15, 5)"))
    s.same("on both sides", ["EAGAIN", "EAGAIN"], [c("lock(fd, fcntl.F_RDLCK, 14, 1)"),
                                                   c("lock(fd, fcntl.F_RDLCK, 20, 1)")])
    c.start("lock(fd, fcntl.F_WRLCK, 0, 0, True)")
    s.same("a waiting lock waits", True, c.waits())
    a("lock(fd, fcntl.F_UNLCK)")
    s.same("and still waits", True, c.waits())
    b("os.close(fd)")
    s.same("until all have gone", "ok", c.answer())


@case
def posix_read_locks_are_shared(s):
    open_on_all(s)
    for node in s.nodes:
        s.same("shared", "ok", node("lock(fd, fcntl.F_RDLCK, 0, 100)"))
    s.everywhere("nobody may write", "EAGAIN", "lock(fd, fcntl.F_WRLCK, 50, 1)")
    for node in s.nodes[1:]:
        node("lock(fd, fcntl.F_UNLCK)")
    s.same("the last may", "ok", s.nodes[0]("lock(fd, fcntl.F_WRLCK, 50, 1)"))


@case
def closing_any_descriptor_drops_a_process_posix_locks(s):
    open_on_all(s)
    a, b, c = s.nodes
    a("lock(fd, fcntl.F_WRLCK)")
    s.same("held", "EAGAIN", b("lock(fd, fcntl.F_WRLCK)"))
    a("os.close(os.open(d + '/lock', os.O_RDONLY))")
    s.same("dropped", "ok", b("lock(fd, fcntl.F_WRLCK)"))


@case
def locks_of_descriptions_survive_other_closes(s):
    open_on_all(s)
    a, b, c = s.nodes
    a("lock(fd, fcntl.F_WRLCK, ofd=True)\nos.close(os.open(d + '/lock', os.O_RDONLY))\nfd2 = os.dup(fd)\nos.close(fd)")
    s.same("held", "EAGAIN", b("lock(fd, fcntl.F_WRLCK, ofd=True)"))
    s.same("and against POSIX locks", "EAGAIN", c("lock(fd, fcntl.F_WRLCK)"))
    a("os.close(fd2)")
    s.same("dropped with the last", "ok", b("lock(fd, fcntl.F_WRLCK, wait=True, ofd=True)"))


@case
def flock_goes_with_the_last_of_shared_descriptors(s):
    open_on_all(s)
    a, b, c = s.nodes
    a("flock(fd, fcntl.LOCK_EX)")
    pid = a("child('None')")
    a("os.close(fd)")
    s.same("the child still holds it", "EAGAIN", b("flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)"))
    b.start("flock(fd, fcntl.LOCK_EX)")
    a(f"end({pid})")
    s.same("and let go", "ok", b.answer())


@case
def a_deadlock_of_two_nodes_is_told(s):
    open_on_all(s)
    for number in range(3):
        a, b = s.nodes[number], s.nodes[(number + 1) % 3]
        a("lock(fd, fcntl.F_WRLCK, 0, 1)")
        b("lock(fd, fcntl.F_WRLCK, 1, 1)")
        a.start("lock(fd, fcntl.F_WRLCK, 1, 1, True)")
        s.same("waits", True, a.waits())
        s.same("would wait for ever", "EDEADLK", b("lock(fd, fcntl.F_WRLCK, 0, 1, True)"))
        b("lock(fd, fcntl.F_UNLCK)")
        s.same("the other goes on", "ok", a.answer())
        a("lock(fd, fcntl.F_UNLCK)")


@case
def a_deadlock_of_three_nodes_is_told(s):
    open_on_all(s)
    a, b, c = s.nodes
    for i, node in enumerate(s.nodes):
        node(f"lock(fd, fcntl.F_WRLCK, {i}, 1)")
    a.start("lock(fd, fcntl.F_WRLCK, 1, 1, True)")
    s.same("waits", True, a.waits())
    b.start("lock(fd, fcntl.F_WRLCK, 2, 1, True)")
    s.same("waits", True, b.waits())
    s.same("would close the ring", "EDEADLK", c("lock(fd, fcntl.F_WRLCK, 0, 1, True)"))
    c("lock(fd, fcntl.F_UNLCK)")
    s.same("the others go on", "ok", b.answer())
    b("lock(fd, fcntl.F_UNLCK)")
    s.same("the others go on", "ok", a.answer())


@case
def a_deadlock_over_two_files_of_one_owner_is_told(s):
    a, b = s.nodes[0], s.nodes[1]
    for node in (a, b):
        node("x = os.open(d + '/x', os.O_RDWR | os.O_CREAT)\ny = os.open(d + '/y', os.O_RDWR | os.O_CREAT)")
    a("lock(x, fcntl.F_WRLCK)")
    b("lock(y, fcntl.F_WRLCK)")
    a.start("lock(y, fcntl.F_WRLCK, wait=True)")
    s.same("waits", True, a.waits())
    s.same("would wait for ever", "EDEADLK", b("lock(x, fcntl.F_WRLCK, wait=True)"))
    b("lock(y, fcntl.F_UNLCK)")
    s.same("the other goes on", "ok", a.answer())


@case
def a_waiting_lock_is_interrupted_by_a_signal(s):
    open_on_all(s)
    a, b = s.nodes[0], s.nodes[1]
    a("lock(fd, fcntl.F_WRLCK)")
    b.start("signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(InterruptedError(4, 'EINTR')))\n"
            "signal.setitimer(signal.ITIMER_REAL, 0.3)\nlock(fd, fcntl.F_WRLCK, wait=True)")
    s.same("interrupted", "EINTR", b.answer())
    a("lock(fd, fcntl.F_UNLCK)")
    s.same("it does not have it", "ok", a("lock(fd, fcntl.F_WRLCK)"))


@case
def data_under_a_lock_is_up_to_date(s):
    open_on_all(s)
    for node in s.nodes:
        node.start("""
for i in range(30):
    lock(fd, fcntl.F_WRLCK, wait=True)
    n = len(os.pread(fd, 1000, 0))
    os.pwrite(fd, b'x', n)
    lock(fd, fcntl.F_UNLCK)
""")
    for node in s.nodes:
        node.answer()
    s.everywhere("all of them", 90, "os.stat(d + '/lock').st_size")


@case
def locks_on_an_unlinked_file_still_hold(s):
    open_on_all(s)
    a, b, c = s.nodes
    a("lock(fd, fcntl.F_WRLCK)")
    c("os.unlink(d + '/lock')")
    s.same("held", "EAGAIN", b("lock(fd, fcntl.F_WRLCK)"))
    a("lock(fd, fcntl.F_UNLCK)")
    s.same("free", "ok", b("lock(fd, fcntl.F_WRLCK)"))
