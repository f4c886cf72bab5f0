"""C7, failure, the caller's side: who waits for a node that does not answer can be killed, and is not disturbed otherwise; hard and
soft; abort, umount -f and -l; df.

Nothing here is timed. That a wait ended because of what the case did, and not because a lease had passed, is shown by a
hard mount: there it never ends by itself. A wait that does not end is a hang (HANG_SECONDS).

What a node that caches knows already it tells without waiting: so attributes are asked for of a file ("unseen") that only the other
node has had to do with."""
import contextlib
import time

from cluster import HANG_SECONDS, until
from faults import Broken, all_reach_all, is_error, lease, others
from suite import case

UNREACHED = ("EHOSTDOWN", "ETIMEDOUT", "EIO")


@contextlib.contextmanager
def hard(s, node):
    """The node's mount of the owner waits for it as long as it takes."""
    s.same("made hard", [0, ""], node(f"shell('mosctl mount {s.owner} --hard')"))
    try:
        yield
    finally:
        node(f"shell('mosctl mount {s.owner} --soft')")


# What a process may be waiting in: its code, and whether it may have changed the file or directory it is about.
WAITS = {
    "open": "os.open(d + '/f', os.O_RDONLY)",
    "open_truncating": "os.open(d + '/f', os.O_RDWR | os.O_TRUNC)",
    "read": "os.pread(fd, 10, 0)",
    "write": "os.pwrite(fd, b'OLDER', 0)",
    "append": "os.write(appending, b'OLDER')",
    "stat": "os.stat(d + '/unseen').st_size",
    "statx": "shell('stat ' + d + '/f')",
    "readdir": "names(d)",
    "create": "write(d + '/new', 'OLDER')",
    "rename": "os.rename(d + '/other', d + '/moved')",
    "unlink": "os.unlink(d + '/other')",
    "mkdir": "os.mkdir(d + '/made')",
    "link": "os.link(d + '/other', d + '/linked')",
    "symlink": "os.symlink('f', d + '/symbolic')",
    "truncate": "os.ftruncate(fd, 2)",
    "chmod": "os.chmod(d + '/f', 0o600)",
    "fsync": "os.fsync(fd)",
    "xattr": "os.setxattr(d + '/f', 'user.a', b'b')",
    "map_fault": "chr(m[4096])",
    "lock": "lock(fd, fcntl.F_WRLCK, wait=True)",
    "flock": "flock(fd, fcntl.LOCK_EX)",
    "close_with_lock": "lock_fd = locked\nos.close(lock_fd)",
    "copy": "os.copy_file_range(fd, appending, 5, 0, 100)",
}


@case(owners=(2,), variants={name: (name,) for name in WAITS})
def killed_while_waiting_in(s, name):
    """The owner is stopped, the caller killed; what is done afterwards by others of the same node is not undone by what was
    under way, and all see the same."""
    a, b = others(s)
    b("write(d + '/unseen', '')")
    a("write(d + '/f', 'old' + 8000 * '.')\nwrite(d + '/other', 'o')\n"
      "fd = os.open(d + '/f', os.O_RDWR)\nappending = os.open(d + '/f', os.O_RDWR)\n"
      "m = mmap.mmap(fd, 8003, mmap.MAP_SHARED)\nNone")
    code = WAITS[name]
    if name == "append":
        a("os.close(appending)\nappending = os.open(d + '/f', os.O_WRONLY | os.O_APPEND)")
    if name == "close_with_lock":
        # Locks are the child's own: it takes one before the owner is stopped.
        a("gate = os.pipe()\npid = spawn(\"locked = os.open(d + '/f', os.O_RDWR)\\nlock(locked, fcntl.F_WRLCK)\\n"
          "os.read(gate[0], 1)\\nos.close(locked)\")\nsettled(pid)")
    with hard(s, a), Broken(s, "stop", s.owner) as broken:
        if name == "close_with_lock":
            a("os.write(gate[1], b'x')")
        else:
            a(f"pid = spawn({code!r})")
        s.same("it waits", True, a("settled(pid)[0]") in ("S", "D"))
        a("os.kill(pid, signal.SIGKILL)")
        s.same("killed", "signal 9", a("result(pid)"))
        # Another process of the same node, later, on the same objects.
        a("newer = spawn(\"write(d + '/f', 'NEWER')\\nwrite(d + '/new', 'NEWER')\\nnames(d)\")\nsettled(newer)")
        broken.mend()
        seen = a("result(newer)")
    s.same("the newer is done", True, isinstance(seen, list) or repr(seen))
    s.everywhere("the newer content stays", ["NEWER", "NEWER"], "[read(d + '/f'), read(d + '/new')]")
    s.everywhere("no name changed since", seen, "names(d)")
    s.same("nobody has the lock", "ok", b("fd = os.open(d + '/f', os.O_RDWR)\nlock(fd, fcntl.F_WRLCK, wait=True)"))
    b("os.close(fd)")
    a("m.close()\nos.close(fd)\nos.close(appending)")


@case(owners=(2,), variants={"killed": ("kill",), "cut_off": ("cut",)})
def killed_while_waiting_for_a_node_that_is(s, fault):
    a, b = others(s)
    a("write(d + '/f', 'old')\nfd = os.open(d + '/f', os.O_RDWR)")
    with hard(s, a), Broken(s, fault, s.owner) as broken:
        a("pids = [spawn(code) for code in (\"os.pread(fd, 9, 0)\", \"os.pwrite(fd, b'new', 0)\", \"names(d)\", "
          "\"write(d + '/g', '')\")]\nsettled(*pids)")
        a("for pid in pids: os.kill(pid, signal.SIGKILL)")
        s.same("all killed", ["signal 9"] * 4, a("[result(pid) for pid in pids]"))
        broken.mend()
    s.same("old or new", True, a("read(d + '/f')") in ("old", "new"))
    s.everywhere("the same for all", a("[read(d + '/f'), names(d)]"), "[read(d + '/f'), names(d)]")
    a("os.close(fd)")


@case(owners=(2,), variants={"sigint": (2,), "sigquit": (3,), "sigterm": (15,), "sigusr1": (10,)})
def a_signal_without_handler_ends_who_waits(s, number):
    a, b = others(s)
    b("write(d + '/unseen', 'text')")
    a("write(d + '/f', 'text')\nfd = os.open(d + '/f', os.O_RDWR)")
    with hard(s, a), Broken(s, "stop", s.owner):
        a("pids = [spawn('import resource\\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\\n' + c) for c in "
          "('os.pread(fd, 9, 0)', \"os.stat(d + '/unseen').st_size\")]\nsettled(*pids)")
        a(f"for pid in pids: os.kill(pid, {number})")
        s.same("ended by it", [f"signal {number}"] * 2, a("[result(pid) for pid in pids]"))
    a("os.close(fd)")


CALM = {
    "read": ("b = ctypes.create_string_buffer(20)\nr = raw('pread', fd, b, 20, ctypes.c_long(0))\nv = [r, b.value.decode()]",
             [4, "text"]),
    "write": ("v = raw('pwrite', fd, b'TEXT', 4, ctypes.c_long(0))", 4),
    "stat": ("v = os.stat(d + '/unseen').st_size", 4),
    "open": ("v = raw('open', (d + '/f').encode(), os.O_RDONLY) >= 0", True),
    "create": ("v = raw('open', (d + '/new').encode(), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644) >= 0", True),
    "rename": ("v = raw('rename', (d + '/f').encode(), (d + '/g').encode())", 0),
    "fsync": ("v = raw('fsync', fd)", 0),
}


@case(owners=(2,), variants=CALM)
def a_handled_signal_does_not_disturb(s, code, wanted):
    """Natively none of these is interrupted. The handler is installed without SA_RESTART and runs when the call is over."""
    a, b = others(s)
    b("write(d + '/unseen', 'text')")
    a("write(d + '/f', 'text')\nfd = os.open(d + '/f', os.O_RDWR)")
    with hard(s, a), Broken(s, "stop", s.owner) as broken:
        a(f"pid = spawn({'tick(0.02)' + chr(10) + code + chr(10) + 'signal.setitimer(signal.ITIMER_REAL, 0)' + chr(10) + '[v, len(TICKS) > 0]'!r})")
        a("time.sleep(0.3)")
        s.same("it still waits", True, a("process_state(pid)") in ("S", "D"))
        broken.mend()
        s.same("the right result, and then the handler", [wanted, True], a("result(pid)"))
    a("os.close(fd)")


@case(owners=(2,))
def killed_after_handled_signals(s):
    """The kernel tells of the first signal only."""
    a, b = others(s)
    a("write(d + '/f', 'text')\nfd = os.open(d + '/f', os.O_RDWR)")
    with hard(s, a), Broken(s, "stop", s.owner):
        a("pid = spawn('tick(0.02)\\nos.pread(fd, 4, 0)')\ntime.sleep(0.5)")
        s.same("it waits", True, a("process_state(pid)") in ("S", "D"))
        a("os.kill(pid, signal.SIGKILL)")
        s.same("killed", "signal 9", a("result(pid)"))
    a("os.close(fd)")


@case(owners=(2,))
def a_caller_that_is_stopped_and_continued(s):
    a, b = others(s)
    a("write(d + '/f', 'text')\nfd = os.open(d + '/f', os.O_RDWR)")
    with hard(s, a), Broken(s, "stop", s.owner) as broken:
        a("pid = spawn('os.pread(fd, 4, 0)')\nsettled(pid)\nos.kill(pid, signal.SIGSTOP)\ntime.sleep(0.2)\n"
          "os.kill(pid, signal.SIGCONT)\ntime.sleep(0.1)\nos.kill(pid, signal.SIGSTOP)")
        broken.mend()
        s.same("stopped when the call is over", True,
               until(HANG_SECONDS, lambda: a("process_state(pid)") == "T") is not None)
        a("os.kill(pid, signal.SIGCONT)")
        s.same("the right result", "text", a("result(pid)"))
    a("os.close(fd)")


@case(owners=(1, 2))
def a_profilers_timer_over_a_long_copy(s):
    a, b = others(s)
    a("data = os.urandom(1 << 20) * 12\nwrite_all = os.open(d + '/from', os.O_RDWR | os.O_CREAT)\n"
      "for i in range(12): os.pwrite(write_all, data[i << 20:(i + 1) << 20], i << 20)\nos.close(write_all)")
    code = """
import hashlib
tick(0.001)
source, target = os.open(d + '/from', os.O_RDONLY), os.open(d + '/to', os.O_RDWR | os.O_CREAT)
buffer = ctypes.create_string_buffer(65536)
sizes = set()
while True:
    n = raw('read', source, buffer, 65536)
    if n == 0: break
    sizes.add(n)
    sizes.add(raw('write', target, buffer, n))
signal.setitimer(signal.ITIMER_REAL, 0)
[sorted(sizes), len(TICKS) > 10]"""
    s.same("all calls whole, and interrupted often", [[65536], True], a(f"result(spawn({code!r}))"))
    same = "__import__('hashlib').sha256(open(d + '/to', 'rb').read()).hexdigest()"
    s.everywhere("the copy", a("__import__('hashlib').sha256(data).hexdigest()"), same)


LOCK_WAITS = {"posix": ("lock(fd, fcntl.F_WRLCK)", "raw('fcntl', fd, fcntl.F_SETLKW, lock_record())"),
              "flock": ("flock(fd, fcntl.LOCK_EX)", "raw('flock', fd, fcntl.LOCK_EX)")}
RECORD = "lock_record = lambda: struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 0, 0)"


@case(owners=(1, 2), variants=LOCK_WAITS)
def a_handled_signal_ends_the_wait_for_a_lock(s, take, wait):
    """As natively: EINTR, and the lock is not had. /tmp is the oracle."""
    a, b = others(s)
    a(RECORD)
    code = f"{wait} if not tick(0.05) else 0"
    a("native = '/tmp/omfs-lock-%d' % os.getpid()\nfd = os.open(native, os.O_RDWR | os.O_CREAT)\n" + take)
    natively = a(f"result(spawn(\"fd = os.open(native, os.O_RDWR)\\n\" + {code!r}))")
    a("os.close(fd)\nos.unlink(native)")
    a("write(d + '/f', '')")
    b("fd = os.open(d + '/f', os.O_RDWR)\n" + take)
    s.same("EINTR as natively", [natively, "EINTR"], [a(f"result(spawn(\"fd = os.open(d + '/f', os.O_RDWR)\\n\" + {code!r}))"), "EINTR"])
    b("os.close(fd)")
    c = s.agent(s.owner)
    s.same("free afterwards", "ok", c("fd = os.open(d + '/f', os.O_RDWR)\n" + (take if "flock" in take else "lock(fd, fcntl.F_WRLCK, wait=True)")))


@case(owners=(2,), variants=LOCK_WAITS)
def a_handled_signal_ends_the_wait_for_a_lock_at_a_stopped_owner(s, take, wait):
    a, b = others(s)
    a(RECORD + "\nwrite(d + '/f', '')")
    a("gate = os.pipe()\nreports = os.pipe()")
    # It opens the file while that goes, and asks for the lock when the owner is stopped.
    a(f"pid = spawn(\"fd = os.open(d + '/f', os.O_RDWR)\\nos.read(gate[0], 1)\\ntick(0.05)\\ntry:\\n  {wait}\\n"
      "except OSError as e: os.write(reports[1], errno_name(e.errno).encode())\\n"
      "signal.setitimer(signal.ITIMER_REAL, 0)\\nos.read(gate[0], 1)\\nNone\")\nsettled(pid)")
    with hard(s, a), Broken(s, "stop", s.owner) as broken:
        a("os.write(gate[1], b'x')")
        s.same("EINTR", "EINTR", a("os.read(reports[0], 20)"))
        broken.mend()
    # It lives on, without the lock.
    s.same("the lock can be had", "ok", b("fd = os.open(d + '/f', os.O_RDWR)\n" + take.replace("WRLCK)", "WRLCK, wait=True)")))
    a("os.write(gate[1], b'x')\nresult(pid)")
    b("os.close(fd)")


@case(owners=(2,))
def a_process_that_exits_with_a_lock_at_a_stopped_owner(s):
    a, b = others(s)
    a("write(d + '/f', '')\ngate = os.pipe()\n"
      "pid = spawn(\"fd = os.open(d + '/f', os.O_RDWR)\\nlock(fd, fcntl.F_WRLCK)\\nos.read(gate[0], 1)\\nNone\")\nsettled(pid)")
    with hard(s, a), Broken(s, "stop", s.owner):
        a("os.write(gate[1], b'x')")
        s.same("it ends", None, a("result(pid)"))
    s.same("the lock is free", "ok", b("fd = os.open(d + '/f', os.O_RDWR)\nlock(fd, fcntl.F_WRLCK, wait=True)"))
    b("os.close(fd)")


@case(owners=(2,))
def a_tree_of_processes_is_killed(s):
    """As make and git have them: shells, their children, pipes between them; all in one group."""
    a, b = others(s)
    a("for i in range(5): write(d + f'/{i}.c', 'x' * 5000)")
    with hard(s, a), Broken(s, "stop", s.owner):
        a("""script = '''cd / && (for i in 0 1 2 3 4; do (cat $D/$i.c | sort | uniq > $D/$i.o; ls -lR $D) & done
find $D -name '*.c' | xargs grep x; wait)'''.replace('$D', d)
pid = spawn("shell(script)", group=True)
time.sleep(1)
members = [int(e) for e in os.listdir('/proc') if e.isdigit() and os.path.exists('/proc/' + e) and
           open(f'/proc/{e}/stat').read().rpartition(')')[2].split()[2] == str(pid)]
None""")
        s.same("a tree", True, a("len(members)") > 8)
        a("os.killpg(pid, signal.SIGKILL)")
        s.same("killed", "signal 9", a("result(pid)"))
        s.same("all of it", True, until(HANG_SECONDS, lambda: a("all(process_state(p) in ('', 'Z') for p in members)")) is not None)


@case(owners=(2,))
def more_are_killed_than_the_session_has_slots(s):
    a, b = others(s)
    a("for i in range(150): write(d + f'/{i}', 'old')")
    with hard(s, a), Broken(s, "stop", s.owner):
        a("pids = [spawn(f\"write(d + '/{i}', 'new')\" if i % 2 else f\"read(d + '/{i}')\") for i in range(150)]\nsettled(*pids)")
        a("for pid in pids: os.kill(pid, signal.SIGKILL)")
        s.same("all killed", ["signal 9"] * 150, a("[result(pid) for pid in pids]"))
    s.same("and work goes on", 150, a("len([write(d + f'/{i}', 'newest') for i in range(150)])"))
    s.everywhere("the newest", ["newest"] * 150, "[read(d + f'/{i}') for i in range(150)]")


@case(owners=(2,), variants={"cut_off": ("cut",), "stopped": ("stop",), "killed": ("kill",)})
def soft_ends_by_itself(s, fault):
    a, b = others(s)
    b("write(d + '/unseen', '')")
    a("write(d + '/f', 'old')\nfd = os.open(d + '/f', os.O_RDWR)")
    with Broken(s, fault, s.owner) as broken:
        a("pids = [spawn(c) for c in (\"os.pread(fd, 9, 0)\", \"os.stat(d + '/unseen').st_size\", \"os.pwrite(fd, b'new', 0)\")]")
        got = a("[result(pid) for pid in pids]")
        s.same("errors that say so", True, all(g in UNREACHED for g in got) or got)
        s.same("a question times out or was not asked", True, all(g in ("EHOSTDOWN", "ETIMEDOUT", "EIO") for g in got[:2]) or got)
        broken.mend()
    s.same("old or new", True, a("read(d + '/f')") in ("old", "new"))
    a("os.close(fd)")


@case(owners=(2,), variants={"cut_off": ("cut",), "stopped": ("stop",), "killed": ("kill",)})
def hard_waits_longer_than_lease_and_grace(s, fault):
    a, b = others(s)
    a("write(d + '/f', 'old')")
    with hard(s, a), Broken(s, fault, s.owner) as broken:
        # It has noticed: what is asked now is not under way when the session ends.
        a("probe = spawn('names(d)')")
        time.sleep(lease(s) * 3)
        a("pids = [spawn(c) for c in (\"read(d + '/f')\", \"write(d + '/new', 'n')\", \"os.mkdir(d + '/made')\")]")
        time.sleep(lease(s) * 2)
        s.same("they wait", True, all(x in ("S", "D") for x in a("settled(*pids, probe)")))
        broken.mend()
        s.same("and get their results", ["old", 1, None], a("[result(pid) for pid in pids]"))
        s.same("what was asked first, too", ["f"], [n for n in a("result(probe)") if n == "f"])
    s.everywhere("done once", ["f", "made", "new"], "names(d)")


@case(owners=(2,))
def abort_ends_what_waits_and_what_comes_later(s):
    a, b = others(s)
    b("write(d + '/unseen', '')")
    a("write(d + '/f', 'old')\nfd = os.open(d + '/f', os.O_RDWR)\nwrite(f'/mfs/3/live', 'alive')")
    with hard(s, a), Broken(s, "stop", s.owner) as broken:
        a("pids = [spawn(c) for c in (\"os.pread(fd, 9, 0)\", \"os.pwrite(fd, b'new', 0)\", \"names(d)\", \"os.stat(d + '/unseen').st_size\")]\n"
          "settled(*pids)")
        s.same("abort", [0, ""], a(f"shell('mosctl abort {s.owner}')"))
        got = a("[result(pid) for pid in pids]")
        s.same("all end with errors", True, all(g in UNREACHED for g in got) or got)
        s.same("later ones fail", "EHOSTDOWN", a("read(d + '/f')"))
        s.same("it is told", True, "aborted" in a("shell('mosctl mounts')[1]") or a("shell('mosctl mounts')[1]"))
        s.same("others live", "alive", a("read('/mfs/3/live')"))
        # "mount" takes it back: it waits again.
        a(f"shell('mosctl mount {s.owner}')")
        a("pid = spawn(\"read(d + '/f')\")")
        s.same("waits again", True, a("settled(pid)[0]") in ("S", "D"))
        broken.mend()
        s.same("and gets it", True, a("result(pid)") in ("old", "new"))
    a("try: os.close(fd)\nexcept OSError: pass")


@case(owners=(2,))
def an_abort_ends_when_the_node_is_back(s):
    a, b = others(s)
    a("write(d + '/f', 'old')")
    with Broken(s, "stop", s.owner) as broken:
        a(f"shell('mosctl abort {s.owner}')")
        s.same("fails", "EHOSTDOWN", a("read(d + '/f')"))
        broken.mend()
        s.same("back by itself", True, until(HANG_SECONDS, lambda: a("read(d + '/f')") == "old") is not None)
    s.same("a node that lives is back at once", True,
           [a(f"shell('mosctl abort {s.owner}')"), until(HANG_SECONDS, lambda: a("read(d + '/f')") == "old") is not None][1])


def log_of(s, number):
    with open(f"{s.box.directory}/node{number}/omfs-fuse.log") as f:
        return f.read()


@case(owners=(2,))
def umount_by_force_with_processes_inside(s):
    a, b = others(s)
    a("write(d + '/f', 'old')")
    inside = s.agent(a.number)
    inside("os.chdir(d)\nfd = os.open(d + '/f', os.O_RDWR)")
    ended = log_of(s, a.number).count("mount ended path=/mfs/2")
    with hard(s, a), Broken(s, "stop", s.owner) as broken:
        a("pids = [spawn(c) for c in (\"read(d + '/f')\", \"names(d)\", \"write(d + '/f', 'new')\")]\nsettled(*pids)")
        a(f"shell('umount -f /mfs/{s.owner}')")
        got = a("[result(pid) for pid in pids]")
        s.same("all end with errors", True, all(is_error(g) for g in got) or got)
        s.same("who is inside gets errors", True, is_error(inside("os.pread(fd, 3, 0)")))
        s.same("the log says it once", True,
               until(HANG_SECONDS, lambda: log_of(s, a.number).count("mount ended path=/mfs/2") == ended + 1) is not None)
        s.same("ended", True, "ended" in a("shell('mosctl mounts')[1]"))
        s.same("others live", True, isinstance(a("names('/mfs/3')"), list))
        broken.mend()
        s.same("mounted again", [0, ""], a(f"shell('mosctl mount {s.owner}')"))
        s.same("and there", True, until(HANG_SECONDS, lambda: a("read(d + '/f')") in ("old", "", "new")) is not None)
    s.same("who was inside still gets errors", True, is_error(inside("os.pread(fd, 3, 0)")))
    s.everywhere("the same for all", a("read(d + '/f')"), "read(d + '/f')")


@case(owners=(2,))
def a_lazy_umount_with_a_process_inside(s):
    a, b = others(s)
    a("write(d + '/f', 'old')")
    inside = s.agent(a.number)
    inside("fd = os.open(d + '/f', os.O_RDWR)")
    s.same("unmounted", [0, ""], a(f"shell('umount -l /mfs/{s.owner}')"))
    s.same("who is inside goes on", 3, inside("os.pwrite(fd, b'new', 0)"))
    s.same("others do not find it", "EHOSTDOWN", a("read(d + '/f')"))
    s.same("mounted again", [0, ""], a(f"shell('mosctl mount {s.owner}')"))
    s.same("there", True, until(HANG_SECONDS, lambda: a("read(d + '/f')") == "new") is not None)
    s.same("both see one file", "NEW", [inside("os.pwrite(fd, b'NEW', 0)"), a("read(d + '/f')")][1])
    inside("os.close(fd)")
    s.everywhere("the same for all", "NEW", "read(d + '/f')")
    all_reach_all(s)


@case(owners=(2,), variants={"cut": ("cut",), "kill": ("kill",)})
def df_and_ls_pass_by_nodes_that_do_not_answer(s, other_fault):
    """One node stopped, one cut off or dead, and hard mounts besides."""
    a = s.nodes[0]
    wanted = a("[os.statvfs('/mfs/1').f_blocks, names('/mfs')]")
    with hard(s, a), Broken(s, "stop", 2) as one, Broken(s, other_fault, 3) as other:
        done = a("shell('df')")
        s.same("df ends well", 0, done[0])
        s.same("df shows the live node", True, any(line.split()[-1] == "/mfs/1" for line in done[1].splitlines()) or done)
        s.same("statvfs of all", True, a("[os.statvfs(f'/mfs/{n}').f_bsize > 0 for n in (1, 2, 3)][0]"))
        s.same("the live one's is right", wanted[0], a("os.statvfs('/mfs/1').f_blocks"))
        s.same("stat of all is of a directory", [True] * 3, a("[stat.S_ISDIR(os.stat(f'/mfs/{n}').st_mode) for n in (1, 2, 3)]"))
        s.same("ls", wanted[1], a("names('/mfs')"))
        done = a("shell('ls -l /mfs')")
        s.same("ls -l", [0, True], [done[0], len(done[1].splitlines()) > 8 or done])
        s.same("stat of a dead one", 0, a("shell('stat /mfs/2 /mfs/3')[0]"))
        one.mend()
        other.mend()


@case(owners=(2,))
def a_live_node_is_as_quick_as_before(s):
    """While many wait for a stopped one; compared in operations done, at moments that follow each other."""
    a, b = others(s)
    a("write(d + '/f', 'old')")
    count = "t = time.monotonic()\nn = 0\nwhile time.monotonic() < t + 1.5:\n  write('/mfs/3/quick', 'x')\n  read('/mfs/3/quick')\n  n += 1\nn"
    before = a(count)
    with hard(s, a), Broken(s, "stop", s.owner):
        a("pids = [spawn(\"read(d + '/f')\") for i in range(40)]\nsettled(*pids)")
        during = max(a(count) for _ in range(3))
        a("for pid in pids: os.kill(pid, signal.SIGKILL)")
        s.same("all killed", ["signal 9"] * 40, a("[result(pid) for pid in pids]"))
    print(f"  measured: {before} before, {during} while 40 processes waited for another node", flush=True)
    s.same("no wait", True, during > before / 20)
