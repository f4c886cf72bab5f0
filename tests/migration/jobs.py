"""Ordinary programs on a large file on node 2: started away, and moved away and home again while they run. Their
output must be that of a native run, byte for byte."""

import hashlib
import os
import shutil
import subprocess
import threading
import time

import node

# Size of the large file; the long run uses 1024.
BIG_MIB = int(os.environ.get("OMFS_TEST_BIG_MIB", "64"))

PYTHON = """
import hashlib, sys
sum = hashlib.sha256()
lines = 0
with open("big", "rb") as source, open("out", "wb") as target:
    for line in source:
        lines += 1
        sum.update(line)
        if lines % 7 == 0:
            target.write(line[::-1])
with open("out", "rb") as target:
    print(lines, sum.hexdigest(), hashlib.sha256(target.read()).hexdigest())
print(open("/etc/os-release").readline().strip())
"""


class Job:
    """command runs in the directory of the large file; file is what it writes there beside its standard output;
    stdout_to a file there that the shell would open for it. Programs that finish too fast to be moved get the
    large file several times (`repeat`)."""

    def __init__(self, command, file=None, stdout_to=None, repeat=1, stays_away=True):
        self.command = command + ["big"] * repeat
        self.file = file
        self.stdout_to = stdout_to
        self.stays_away = stays_away


JOBS = {
    "sha256sum": Job(["sha256sum"], repeat=6),
    "gzip": Job(["gzip", "-c"]),
    "gzip_to_file": Job(["gzip", "-c"], stdout_to="out"),
    "sort": Job(["sort", "--parallel=1", "-S", "30M", "-T", ".", "-o", "out"], file="out"),
    # Sorts with threads, which bring it home.
    "sort_threads": Job(["sort", "--parallel=2", "-o", "out"], file="out", stays_away=False),
    "grep": Job(["grep", "-c", "[13579]7*1"], repeat=4),
    "python": Job(["python3", "-c", PYTHON], file="out"),
}


def make_big(path):
    """A large file of lines of different lengths; the same for the same size."""
    if os.path.exists(path) and os.path.getsize(path) == BIG_MIB << 20:
        return
    wanted = BIG_MIB << 20
    with open(path, "wb") as file:
        number = 1
        written = 0
        while written < wanted:
            lines = []
            for _ in range(20000):
                number = number * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
                lines.append(b"%d %x %s\n" % (number >> 33, number >> 20, b"filler" * (number >> 61)))
            block = b"".join(lines)[:wanted - written]
            file.write(block)
            written += len(block)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Result:
    """What a run left: a digest of its output, its exit status, a digest of its file."""

    def __init__(self, output, status, file):
        self.output = output
        self.status = status
        self.file = file


def run(job, prefix, directory, native, accompany):
    """Runs a job in a directory; native is where that lies on this machine. accompany(process) is called while it
    runs."""
    if os.path.exists(os.path.join(native, "out")):
        os.unlink(os.path.join(native, "out"))
    stdout = open(os.path.join(directory, job.stdout_to), "wb") if job.stdout_to else subprocess.PIPE
    process = subprocess.Popen(prefix + job.command, cwd=directory, stdin=subprocess.DEVNULL, stdout=stdout,
                               stderr=subprocess.PIPE, env=dict(os.environ, LC_ALL="C"))
    if job.stdout_to:
        stdout.close()
    output = [b"", b""]

    def read(index, pipe):
        output[index] = pipe.read()

    readers = [threading.Thread(target=read, args=(i, pipe), daemon=True)
               for i, pipe in enumerate((process.stdout, process.stderr)) if pipe]
    for reader in readers:
        reader.start()
    try:
        accompany(process)
        process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    for reader in readers:
        reader.join()
    file = job.file or job.stdout_to
    return Result(hashlib.sha256(output[0] + output[1]).hexdigest(), process.returncode,
                  digest(os.path.join(native, file)) if file else None), output


def test(name, box, programs):
    job = JOBS[name]
    native = os.path.join(box, "node2", "export", "jobs")
    os.makedirs(native, exist_ok=True)
    make_big(os.path.join(native, "big"))
    mfs = "/mfs/2/jobs"
    failures = 0

    def verdict(mode, problems, note=""):
        nonlocal failures
        print(f"{'FAILED' if problems else 'ok    '} {name}: {mode}{note}", flush=True)
        for problem in problems:
            print(f"    {problem}", flush=True)
        failures += bool(problems)

    def compare(result, output, reference):
        problems = []
        if result.status != reference.status:
            problems.append(f"exit status {result.status}, natively {reference.status}")
        if result.output != reference.output:
            problems.append("standard output differs from the native run's")
        if result.file != reference.file:
            problems.append("the file it wrote differs from the native run's")
        if problems and output[1]:
            problems.append("it said: " + output[1].decode(errors="replace").strip()[:300])
        return problems

    start = time.monotonic()
    reference, output = run(job, [], native, native, lambda process: None)
    native_seconds = time.monotonic() - start
    if reference.status != 0:
        raise node.Failure(f"the native run failed: {output[1].decode(errors='replace')}")

    # Started away.
    seen = []
    start = time.monotonic()
    result, output = run(job, ["mosrun", "-n", "2"], mfs, native,
                         lambda process: seen.append(node.wait_until_at(process.pid, 2, lambda: process.poll() is None)))
    problems = compare(result, output, reference)
    if not seen[0] and job.stays_away:
        problems.append("mosps never showed it on node 2")
    verdict("away", problems, f" ({time.monotonic() - start:.2f} s, natively {native_seconds:.2f} s)")

    # Moved to and fro.
    mover = [None]

    def ping_pong(process):
        mover[0] = node.Mover(process.pid, ["2", "home", "3", "home"])
        while process.poll() is None:
            mover[0].step(check=False)
            time.sleep(0.01)

    result, output = run(job, ["mosrun", "-h"], mfs, native, ping_pong)
    problems = compare(result, output, reference)
    if mover[0].moves == 0:
        problems.append("it was never moved")
    if mover[0].refusals and job.stays_away:
        problems.append("not moved: " + "; ".join(mover[0].refusals[:3]))
    verdict("to and fro", problems, f" ({mover[0].moves} moves)")

    if name == "sha256sum":
        issue_command(os.path.join(native, "big"), verdict)
    return failures


def issue_command(big, verdict):
    """As a user types it, by absolute path and through a shell."""
    expected = subprocess.run(["sha256sum"], stdin=open(big, "rb"), capture_output=True, text=True).stdout.split()[0]
    result = subprocess.run(["sh", "-c", "mosrun -n 2 sha256sum /mfs/2/jobs/big"], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True)
    problems = []
    if result.returncode != 0 or result.stdout != f"{expected}  /mfs/2/jobs/big\n":
        problems.append(f"status {result.returncode}, output {result.stdout!r}, expected sum {expected}")
    verdict("through a shell", problems)
