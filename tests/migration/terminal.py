"""At a terminal: job control, signals and exit statuses of a moved process are those of one that never moved. An
interactive shell runs on a pseudo-terminal in node 1, and is typed at."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import node

GUARD = 60  # seconds after which an answer counts as missing
PROMPT = "next> "
SPIN = "while :; do :; done"


class Terminal:
    """An interactive shell on a terminal."""

    def __init__(self):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # A shell leaves ignored what was ignored when it started, as by the runner of the tests in the background.
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTSTP):
                signal.signal(number, signal.SIG_DFL)
            os.chdir("/")
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"],
                       dict(os.environ, PS1=PROMPT, TERM="dumb", LC_ALL="C", HISTFILE=""))
        self.seen = ""
        self.expect(re.escape(PROMPT))
        self.type("stty -echo\n")
        self.expect(re.escape(PROMPT))

    def close(self):
        """Ends the shell and all its jobs, also those that a failed test has left computing."""
        for pid in node.session_members(self.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.waitpid(self.pid, 0)
        os.close(self.fd)

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, pattern):
        """Waits until the pattern appears; returns its match, and forgets everything up to its end."""
        end = time.monotonic() + GUARD
        while True:
            found = re.search(pattern, self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            if time.monotonic() > end:
                raise node.Failure(f"waited for {pattern!r}, the terminal shows {self.seen[-400:]!r}")
            ready, _, _ = select.select([self.fd], [], [], 0.2)
            if ready:
                text = os.read(self.fd, 65536).decode(errors="replace")
                # The end of a line may come in two parts.
                self.seen = self.seen[:-1] + (self.seen[-1:] + text).replace("\r\n", "\n")

    def run(self, command):
        """Runs a command to its end. Returns its output and its exit status."""
        self.type(command + "; echo \"<$?>\"\n")
        # The shell may tell of jobs before its prompt. Anchored, or the search would be quadratic.
        found = self.expect(r"(?s)\A(.*?)<(\d+)>\n.*?" + re.escape(PROMPT))
        return found.group(1), int(found.group(2))

    def status(self):
        """The exit status of what was just run in the foreground, once the prompt is back."""
        self.expect(re.escape(PROMPT))
        return self.run("(exit $?)")[1]

    def start(self, command, mode):
        """Starts a program that says "ready PID" in the foreground, and sees to it that it is away."""
        self.type(f"mosrun {'-n 2' if mode == 'away' else '-h'} {command}\n")
        pid = int(self.expect(r"ready (\d+)\n").group(1))
        if mode == "moved":
            for place in ("2", "home", "2"):
                refusal = node.migrate(pid, place)
                if refusal:
                    raise node.Failure(f"not moved to {place}: {refusal}")
        expect_at(pid, 2)
        return pid

    def start_in_background(self, command):
        """Starts a silent program in the background, away."""
        self.type(f"mosrun -n 2 {command} &\n")
        self.expect(r"\[\d+\] \d+\n" + re.escape(PROMPT))
        pid = int(self.run("echo $!")[0])
        if not node.wait_until_at(pid, 2, lambda: os.path.exists(f"/proc/{pid}")):
            raise node.Failure("it ended before it was seen on node 2")
        return pid

    def bring_to_foreground(self, pid):
        self.type("fg\n")
        wait_until(lambda: os.tcgetpgrp(self.fd) == os.getpgid(pid), "fg does not make it the foreground job")


def wait_until(condition, complaint):
    end = time.monotonic() + GUARD
    while not condition():
        if time.monotonic() > end:
            raise node.Failure(complaint)
        time.sleep(0.02)


def expect_at(pid, place):
    seen = node.where(pid)
    if seen != place:
        raise node.Failure(f"mosps shows it on node {seen}, not {place}; {node.why(pid)}")


def expect_equal(what, seen, expected):
    if seen != expected:
        raise node.Failure(f"{what}: {seen!r}, expected {expected!r}")


def exit_status(terminal, mode):
    for command, expected in (("sh -c 'exit 0'", 0), ("sh -c 'exit 3'", 3), ("sh -c 'kill -TERM $$'", 143),
                              ("sh -c 'kill -KILL $$'", 137), ("false", 1), ("/nowhere/nothing", 127),
                              ("cat /mfs/2/nothing-of-this-name", 1)):
        for options in ("-n 2", "-h"):
            expect_equal(f"mosrun {options} {command}", terminal.run(f"mosrun {options} {command}")[1], expected)


def interrupt(terminal, mode):
    terminal.start(f"sh -c 'echo ready $$; {SPIN}'", mode)
    terminal.type("\x03")
    expect_equal("status of a computing program after Ctrl-C", terminal.status(), 130)
    terminal.start("sh -c 'echo ready $$; read line'", mode)
    terminal.type("\x03")
    expect_equal("status of a reading program after Ctrl-C", terminal.status(), 130)
    pid = terminal.start_in_background("sleep 1000")
    terminal.bring_to_foreground(pid)
    terminal.type("\x03")
    expect_equal("status of a sleeping program after Ctrl-C", terminal.status(), 130)
    terminal.run("ulimit -c 0")
    terminal.start(f"sh -c 'echo ready $$; {SPIN}'", mode)
    terminal.type("\x1c")
    expect_equal("status after Ctrl-\\", terminal.status(), 131)


def interrupt_caught(terminal, mode):
    terminal.start(f"sh -c 'trap \"echo caught; exit 5\" INT; echo ready $$; {SPIN}'", mode)
    terminal.type("\x03")
    terminal.expect(r"caught\n")
    expect_equal("status", terminal.status(), 5)
    terminal.start(f"sh -c 'trap \"\" INT; trap \"echo user; exit 6\" USR1; echo ready $$; {SPIN}'", mode)
    terminal.type("\x03")
    time.sleep(0.3)
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.expect(re.escape(PROMPT))
    terminal.run("kill -USR1 %1")
    terminal.type("fg\n")
    terminal.expect(r"user\n")
    expect_equal("status", terminal.status(), 6)


def stop_and_continue(terminal, mode):
    pid = terminal.start("sh -c 'echo ready $$; read line; echo \"got $line\"; exit 8'", mode)
    terminal.type("\x1a")
    terminal.expect("Stopped")
    expect_equal("status after Ctrl-Z", terminal.status(), 148)
    with open(f"/proc/{pid}/stat") as stat:
        expect_equal("state shown at home", stat.read().rsplit(")", 1)[1].split()[0].upper(), "T")
    terminal.bring_to_foreground(pid)
    terminal.type("hello\n")
    terminal.expect(r"got hello\n")
    expect_equal("status", terminal.status(), 8)

    terminal.start(f"sh -c 'trap \"echo going on\" CONT; echo ready $$; {SPIN}'", mode)
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.expect(re.escape(PROMPT))
    terminal.type("bg\n")
    terminal.expect("going on\n")
    terminal.type("kill -STOP %1\n")
    wait_until(lambda: "Stopped" in terminal.run("jobs")[0], "kill -STOP does not stop it")
    terminal.type("kill -CONT %1\n")
    terminal.expect("going on\n")
    expect_equal("status after kill", terminal.run("kill %1; wait %1")[1], 143)


def kill(terminal, mode):
    for name, status in (("TERM", 143), ("KILL", 137), ("HUP", 129), ("USR2", 140)):
        for command in (f"sh -c '{SPIN}'", "sleep 1000"):
            pid = terminal.start_in_background(command)
            expect_equal(f"status of {command} after kill -{name}",
                         terminal.run(f"kill -{name} {pid}; wait {pid} 2>/dev/null")[1], status)
            wait_until(lambda: node.where(pid) == node.HOME, "mosps still shows the dead process away")
    # A move home and a kill do not lose each other.
    pid = terminal.start_in_background(f"sh -c '{SPIN}'")
    terminal.type(f"migrate {pid} home & kill -9 {pid}; wait {pid} 2>/dev/null; echo \"<$?>\"\n")
    terminal.expect("<137>")


def background_read(terminal, mode):
    pid = terminal.start_in_background("cat")
    wait_until(lambda: "Stopped" in terminal.run("jobs")[0], "a background program that reads the terminal is not stopped")
    terminal.bring_to_foreground(pid)
    terminal.type("line\n")
    terminal.expect(r"line\n")
    terminal.type("\x04")
    expect_equal("status", terminal.status(), 0)


def output(terminal, mode):
    expect_equal("test -t", terminal.run("mosrun -n 2 sh -c 'test -t 0 && test -t 1 && test -t 2 && echo terminal'"),
                 ("terminal\n", 0))
    expect_equal("tty", terminal.run("mosrun -n 2 tty"), terminal.run("tty"))
    numbers = "".join(f"{i}\n" for i in range(1, 5001))
    expect_equal("seq", terminal.run("mosrun -n 2 seq 5000"), (numbers, 0))
    expect_equal("error output", terminal.run("mosrun -n 2 sh -c 'echo oops >&2; exit 2'"), ("oops\n", 2))


def window_size(terminal, mode):
    pid = terminal.start(f"sh -c 'trap \"echo resized\" WINCH; echo ready $$; {SPIN}'", mode)
    wait_until(lambda: os.tcgetpgrp(terminal.fd) == os.getpgid(pid), "it is not the foreground job")
    fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
    terminal.expect(r"resized\n")
    terminal.type("\x03")
    expect_equal("status", terminal.status(), 130)
    expect_equal("stty size", terminal.run("mosrun -n 2 stty size"), ("33 111\n", 0))


# Cases that start their programs in one way only.
ONE_MODE = {"exit_status", "kill", "background_read", "output"}


def test(name, box, programs):
    failures = 0
    for mode in ["away"] if name in ONE_MODE else ["away", "moved"]:
        terminal = Terminal()
        try:
            globals()[name](terminal, mode)
            print(f"ok     {name}: {mode}", flush=True)
        except node.Failure as failure:
            print(f"FAILED {name}: {mode}\n    {failure}", flush=True)
            failures += 1
        finally:
            terminal.close()
    return failures
