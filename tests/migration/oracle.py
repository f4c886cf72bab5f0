"""The oracle: one test program natively, then under mosrun unmoved, started away, moved where it asks for it, and
moved all the time. Transcript and exit status must always be those of the native run."""

import difflib
import os
import shutil
import subprocess
import tempfile
import threading
import time

import node

GUARD = 300  # seconds after which a run counts as hung

# Programs that cannot do their work twice in one process, and how often the others repeat it while they are moved
# all the time.
ONCE = {"credentials", "ending", "pipes", "replaced"}
ROUNDS = 3

# Arguments of the variants of a program; others have one variant, without arguments.
VARIANTS = {
    "ending": [["return"], ["exit", "0"], ["exit", "3"], ["exit", "255"], ["abort"], ["segv"], ["kill", "9"],
               ["kill", "15"], ["kill", "10"], ["kill", "17"], ["pipe"]],
    "process": [["one", "", "three words here"]],
}

# What version 1 may refuse to move, with a reason, while the program is in the middle of it.
MAY_REFUSE = {"file_mapping", "threads"}

PLACES = ["2", "home", "3", "home"]


class Run:
    """One run of a program: its transcript, its exit status and the moves made."""

    def __init__(self, transcript, status, mover):
        self.transcript = transcript
        self.status = status
        self.mover = mover


def input_for(name):
    if name != "pipes":
        return None
    return b"".join(b"line %d of the input\n" % i for i in range(30000))


def feed(pipe, data):
    """Writes slowly enough that moves fall between and into reads."""
    try:
        for at in range(0, len(data), 40000):
            pipe.write(data[at:at + 40000])
            pipe.flush()
            time.sleep(0.02)
        pipe.close()
    except BrokenPipeError:
        pass


class Oracle:
    def __init__(self, name, box, programs):
        self.name = name
        self.program = os.path.join(programs, name)
        self.native = os.path.join(box, "node2", "export", f"program.{name}")
        self.mfs = f"/mfs/2/program.{name}"

    def run(self, prefix, work, arguments, move=None):
        """Runs the program once. move: None, "points" (moved at its move points) or "always"."""
        shutil.rmtree(self.native, ignore_errors=True)
        os.mkdir(self.native)
        home = tempfile.mkdtemp(prefix="omfs-home.")
        sync = tempfile.mkdtemp(prefix="omfs-sync.")
        os.chmod(home, 0o777)
        os.chmod(sync, 0o777)
        environment = dict(os.environ, MIGRATION_VARIABLE="a value with = and spaces", LC_ALL="C")
        environment["MIGRATION_ROUNDS"] = "1" if self.name in ONCE else str(ROUNDS)
        if move is not None:
            environment["MIGRATION_SYNC"] = sync
        data = input_for(self.name)
        process = subprocess.Popen(
            prefix + [self.program, work, home] + arguments, env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, stdin=subprocess.PIPE if data else subprocess.DEVNULL)
        output = []
        reader = threading.Thread(target=lambda: output.append(process.stdout.read()), daemon=True)
        reader.start()
        if data:
            threading.Thread(target=feed, args=(process.stdin, data), daemon=True).start()
        mover = node.Mover(process.pid, PLACES)
        try:
            self.accompany(process, mover, move, sync)
            reader.join(GUARD)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            shutil.rmtree(home, ignore_errors=True)
            shutil.rmtree(sync, ignore_errors=True)
        return Run(output[0].decode(errors="backslashreplace") if output else "", process.returncode, mover)

    def accompany(self, process, mover, move, sync):
        """Moves the process as wanted until it ends."""
        end = time.monotonic() + GUARD
        released = 0
        while process.poll() is None:
            if time.monotonic() > end:
                raise node.Failure(f"hung; mosctl why: {node.why(process.pid)}")
            if move is None:
                time.sleep(0.005)
                continue
            waiting = os.path.exists(f"{sync}/ready.{released}")
            if waiting or move == "always":
                mover.step(check=waiting and move == "points")
            if waiting:
                # The process may be one that has given up its rights, which then must see this file all the same.
                with open(f"{sync}/go.{released}", "w"):
                    pass
                released += 1
            else:
                time.sleep(0.002)

    def compare(self, mode, reference, run):
        problems = []
        if run.status != reference.status:
            problems.append(f"exit status {run.status}, natively {reference.status}")
        if run.transcript != reference.transcript:
            difference = list(difflib.unified_diff(reference.transcript.splitlines(), run.transcript.splitlines(),
                                                   "native", mode, lineterm="", n=2))
            problems.append("the transcript differs:\n" + "\n".join("      " + line for line in difference[:60]))
        if run.mover.refusals and self.name not in MAY_REFUSE:
            problems.append("not moved: " + "; ".join(run.mover.refusals[:3]))
        if mode in ("moved", "ping-pong") and run.mover.moves == 0:
            problems.append("it was never moved")
        return problems


def test(name, box, programs):
    """Runs all variants and modes of a program. Returns the number of failures."""
    oracle = Oracle(name, box, programs)
    failures = 0
    for arguments in VARIANTS.get(name, [[]]):
        title = " ".join([name] + arguments)
        reference = oracle.run([], oracle.native, arguments)
        if reference.transcript.find("failed:") >= 0 or not reference.transcript:
            raise node.Failure(f"{title} does not even work natively:\n{reference.transcript}")
        for mode, prefix, move in (("unmoved", ["mosrun", "-h"], None), ("away", ["mosrun", "-n", "2"], None),
                                   ("moved", ["mosrun", "-h"], "points"), ("ping-pong", ["mosrun", "-h"], "always")):
            try:
                run = oracle.run(prefix, oracle.mfs, arguments, move)
                problems = oracle.compare(mode, reference, run)
                moves = f" ({run.mover.moves} moves)" if move else ""
            except node.Failure as failure:
                problems, moves = [str(failure)], ""
            print(f"{'FAILED' if problems else 'ok    '} {title}: {mode}{moves}", flush=True)
            for problem in problems:
                print(f"    {problem}", flush=True)
            failures += bool(problems)
    shutil.rmtree(oracle.native, ignore_errors=True)
    return failures
