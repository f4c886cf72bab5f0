"""agent.py: runs on one node and does what the test tells it, a line of JSON each way.

{"run": CODE} is executed with `os`, `fcntl`, `mmap` and what earlier lines defined; the value of its last expression
goes back as {"value": ...}, an OSError as {"errno": NAME}. The process stays, so that files stay open between lines.
"""
import ast
import errno
import fcntl  # noqa: F401  for the code that is sent
import json
import mmap  # noqa: F401
import os
import struct
import sys


def read(path, size=1 << 20):
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


def attributes(path_or_fd):
    st = os.fstat(path_or_fd) if isinstance(path_or_fd, int) else os.lstat(path_or_fd)
    return [st.st_mode, st.st_nlink, st.st_uid, st.st_gid, st.st_size, st.st_blocks, st.st_ino,
            st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns]


def names(path):
    return sorted(os.listdir(path))


def lock(fd, kind, start=0, length=0, wait=False):
    """A POSIX lock; kind as in fcntl.F_WRLCK."""
    data = struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)
    fcntl.fcntl(fd, fcntl.F_SETLKW if wait else fcntl.F_SETLK, data)
    return "ok"


def ask_lock(fd, kind, start=0, length=0):
    data = struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)
    answer = struct.unpack("hhqqi4x", fcntl.fcntl(fd, fcntl.F_GETLK, data))
    return [answer[0], answer[2], answer[3]]


def run(code, scope):
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<sent>", "exec"), scope)
    return eval(compile(ast.Expression(last.value), "<sent>", "eval"), scope) if last else None


def main():
    for line in sys.stdin:
        try:
            answer = {"value": run(json.loads(line)["run"], globals())}
        except OSError as e:
            answer = {"errno": errno.errorcode.get(e.errno, str(e.errno))}
        except Exception as e:  # a mistake in the test; the driver shows it
            answer = {"mistake": repr(e)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


main()
