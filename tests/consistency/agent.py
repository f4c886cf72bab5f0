"""agent.py: runs on one node and does what the test tells it, a line of JSON each way.

{"run": CODE} is executed with the names below and what earlier lines defined; the value of its last expression goes
back as {"value": ...}, an OSError as {"errno": NAME}. The process stays, so that files stay open between lines. The
driver defines `d` as the case's directory, as this agent has to name it.
"""
import ast
import ctypes
import errno
import fcntl
import json
import mmap
import os
import select
import signal
import stat  # noqa: F401  for the code that is sent
import struct
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
KEEP_SIZE, PUNCH_HOLE, COLLAPSE_RANGE, ZERO_RANGE = 1, 2, 8, 16


def read(path, size=1 << 24):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, size, 0).decode()
    finally:
        os.close(fd)


def write(path, text, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode=0o644):
    fd = os.open(path, flags, mode)
    try:
        return os.write(fd, text.encode())
    finally:
        os.close(fd)


def append(path, text):
    return write(path, text, os.O_WRONLY | os.O_APPEND)


def pwrite(path, text, offset):
    fd = os.open(path, os.O_WRONLY)
    try:
        return os.pwrite(fd, text.encode(), offset)
    finally:
        os.close(fd)


def pread(path, size, offset):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, size, offset).decode()
    finally:
        os.close(fd)


def runs(path_or_fd):
    """A file's content in short: [byte, how many of it], ... - for files of many pages."""
    fd = path_or_fd if isinstance(path_or_fd, int) else os.open(path_or_fd, os.O_RDONLY)
    result, offset = [], 0
    while True:
        chunk = os.pread(fd, 1 << 20, offset)
        if not chunk:
            break
        offset += len(chunk)
        while chunk:
            rest = chunk.lstrip(chunk[:1])
            count = len(chunk) - len(rest)
            if result and result[-1][0] == chr(chunk[0]):
                result[-1][1] += count
            else:
                result.append([chr(chunk[0]), count])
            chunk = rest
    if fd is not path_or_fd:
        os.close(fd)
    return result


def mapped(path_or_fd, size, offset=0, length=None):
    """Bytes of the file as a new shared map shows them."""
    fd = path_or_fd if isinstance(path_or_fd, int) else os.open(path_or_fd, os.O_RDONLY)
    with mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ) as m:
        text = m[offset:size if length is None else offset + length].decode()
    if fd is not path_or_fd:
        os.close(fd)
    return text


def attributes(path_or_fd):
    st = os.fstat(path_or_fd) if isinstance(path_or_fd, int) else os.lstat(path_or_fd)
    return [st.st_mode, st.st_nlink, st.st_uid, st.st_gid, st.st_size, st.st_blocks, st.st_ino,
            st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns]


def times(path_or_fd):
    st = os.fstat(path_or_fd) if isinstance(path_or_fd, int) else os.lstat(path_or_fd)
    return [st.st_mtime_ns, st.st_ctime_ns]


def names(path):
    return sorted(os.listdir(path))


def exists(path):
    return os.path.lexists(path)


def checked(result):
    if result < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    return result


def renameat2(old, new, flags):
    checked(LIBC.renameat2(-100, old.encode(), -100, new.encode(), flags))


def fallocate(fd, mode, offset, length):
    checked(LIBC.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)))


def link_descriptor(fd, path):
    """linkat of an O_TMPFILE's descriptor."""
    checked(LIBC.linkat(-100, f"/proc/self/fd/{fd}".encode(), -100, path.encode(), 0x400))


def acl(owner, users, group, mask, other):
    """The value of system.posix_acl_access: users is {uid: permissions}."""
    entries = [(1, owner, -1)] + [(2, users[u], u) for u in sorted(users)]
    entries += [(4, group, -1), (16, mask, -1), (32, other, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *e) for e in entries)


def as_user(uid, code, gid=None, groups=()):
    """The value of the code (an errno's name for an OSError), run by a child with these ids."""
    ends = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(list(groups))
            os.setresgid(*[uid if gid is None else gid] * 3)
            os.setresuid(uid, uid, uid)
            answer = evaluate(code)
        finally:
            os.write(ends[1], json.dumps(answer).encode())
            os._exit(0)
    os.close(ends[1])
    with os.fdopen(ends[0]) as f:
        answer = json.load(f)
    os.waitpid(child, 0)
    return answer.get("value", answer.get("errno", answer.get("mistake")))


def child(code):
    """A child process that runs the code, says so, and sleeps until it is killed."""
    ends = os.pipe()
    pid = os.fork()
    if pid == 0:
        answer = evaluate(code)
        os.write(ends[1], json.dumps(answer).encode() + b"\n")
        os.close(ends[1])
        while True:
            signal.pause()
    os.close(ends[1])
    with os.fdopen(ends[0]) as f:
        answer = json.loads(f.readline())
    if "value" not in answer:
        end(pid)
        raise RuntimeError(f"child: {answer}")
    return pid


SPAWNED = {}


def spawn(code, group=False):
    """A child process that runs the code and ends; result() tells how. group: it leads a process group of its own."""
    ends = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ends[0])
        if group:
            os.setpgid(0, 0)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        answer = evaluate(code)
        os.write(ends[1], json.dumps(answer).encode())
        os._exit(0)
    os.close(ends[1])
    SPAWNED[pid] = ends[0]
    return pid


def result(pid):
    """Waits for a spawned child: its value or errno's name, or the signal that ended it as "signal 9"."""
    status = os.waitpid(pid, 0)[1]
    with os.fdopen(SPAWNED.pop(pid)) as f:
        text = f.read()
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    answer = json.loads(text)
    return answer.get("value", answer.get("errno", answer.get("mistake")))


def process_state(pid):
    """The letter of /proc; empty when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def settled(*pids):
    """Waits until all of them sleep, and have slept for a while: each has got to where it waits."""
    quiet = 0
    while quiet < 15:
        time.sleep(0.01)
        quiet = quiet + 1 if all(process_state(pid) in ("S", "D", "Z", "") for pid in pids) else 0
    return [process_state(pid) for pid in pids]


def raw(function, *arguments):
    """A call of libc that python does not repeat when a signal interrupts it."""
    return checked(getattr(LIBC, function)(*arguments))


TICKS = []


def tick(seconds):
    """A handled signal every so often from now on; TICKS gets longer with each that was delivered."""
    signal.signal(signal.SIGALRM, lambda *_: TICKS.append(1))
    signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)


def end(pid, with_signal=signal.SIGKILL):
    os.kill(pid, with_signal)
    os.waitpid(pid, 0)


def lock(fd, kind, start=0, length=0, wait=False, ofd=False):
    """A POSIX lock, or one of the open file description; kind as in fcntl.F_WRLCK."""
    data = struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)
    fcntl.fcntl(fd, (38 if wait else 37) if ofd else (fcntl.F_SETLKW if wait else fcntl.F_SETLK), data)
    return "ok"


def ask_lock(fd, kind, start=0, length=0, ofd=False):
    data = struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)
    answer = struct.unpack("hhqqi4x", fcntl.fcntl(fd, 36 if ofd else fcntl.F_GETLK, data))
    return [answer[0], answer[2], answer[3]]


def flock(fd, kind):
    fcntl.flock(fd, kind)
    return "ok"


def process(name):
    """The pid of the node's process of this name."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/comm") as f:
                    if f.read().strip() == name:
                        return int(entry)
            except OSError:
                pass
    return 0


def shell(command):
    """[exit status, output] of a command."""
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return [done.returncode, done.stdout.strip()]


def errno_name(number):
    # One number has two names, and python prefers the other.
    return "EDEADLK" if number == errno.EDEADLK else errno.errorcode.get(number, str(number))


def evaluate(code):
    try:
        scope = globals()
        tree = ast.parse(code)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<sent>", "exec"), scope)
        value = eval(compile(ast.Expression(last.value), "<sent>", "eval"), scope) if last else None
        return {"value": value.decode() if isinstance(value, bytes) else value}
    except OSError as e:
        return {"errno": errno_name(e.errno)}
    except Exception as e:  # a mistake in the test; the driver shows it
        return {"mistake": repr(e)}


def main():
    for line in sys.stdin:
        sys.stdout.write(json.dumps(evaluate(json.loads(line)["run"])) + "\n")
        sys.stdout.flush()


assert select and time  # for the code that is sent
main()
