"""The driver's side: agents on nodes, the box and its faults, and the counting of what was as it should be."""
import json
import os
import select
import signal
import subprocess
import sys
import time

# An answer that takes longer is a hang. Not a check of speed.
HANG_SECONDS = 180


class Node:
    """An agent on a node. Calls of one agent follow each other; start() and answer() let several run at once."""

    def __init__(self, box, number):
        self.number = number
        self.ended = False
        agent = os.path.join(os.path.dirname(os.path.abspath(__file__)), "agent.py")
        self.process = subprocess.Popen(box.exec_command(number) + [sys.executable, "-u", agent],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.pending = b""

    def start(self, code):
        self.process.stdin.write(json.dumps({"run": code}).encode() + b"\n")

    def answer(self, seconds=HANG_SECONDS):
        """What the code gave: its value, or the name of the errno as a string "ENOENT"."""
        while b"\n" not in self.pending:
            if not select.select([self.process.stdout], [], [], seconds)[0]:
                raise TimeoutError(f"node {self.number} does not answer")
            chunk = os.read(self.process.stdout.fileno(), 1 << 16)
            if not chunk:
                raise EOFError(f"the agent on node {self.number} is gone")
            self.pending += chunk
        line, self.pending = self.pending.split(b"\n", 1)
        answer = json.loads(line)
        if "mistake" in answer:
            raise RuntimeError(f"node {self.number}: {answer['mistake']}")
        return answer["errno"] if "errno" in answer else answer["value"]

    def waits(self, seconds=0.3):
        """Whether no answer has come yet after a while."""
        return b"\n" not in self.pending and not select.select([self.process.stdout], [], [], seconds)[0]

    def __call__(self, code):
        self.start(code)
        return self.answer()

    def end(self):
        if self.ended:
            return
        self.ended = True
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


class Box:
    """A running box, by its program and name."""

    def __init__(self, program, name, directory):
        self.program, self.name, self.directory = program, name, directory

    def exec_command(self, number):
        return [self.program, "exec", "--name", self.name, str(number), "--"]

    def run(self, verb, *arguments):
        subprocess.run([self.program, verb, "--name", self.name, *map(str, arguments)], check=True)

    def export(self, number):
        return f"{self.directory}/node{number}/export"

    def setting(self, number, key, default):
        """A number from a node's configuration."""
        with open(f"{self.directory}/node{number}/etc/omfs.conf") as f:
            for line in f:
                words = line.split("=")
                if words[0].strip() == key:
                    return int(words[1])
        return default


class Verdict:
    def __init__(self):
        self.failed = 0
        self.right = 0

    def same(self, what, wanted, got):
        if wanted == got:
            self.right += 1
        else:
            self.failed += 1
            print(f"FAILED: {what}: wanted {short(wanted)}, got {short(got)}", flush=True)
        return wanted == got


def short(value):
    text = repr(value)
    return text if len(text) <= 600 else f"{text[:300]} ... {text[-200:]}"


def until(seconds, condition):
    """Polls; the time it took in seconds, or None when the guard against hangs ended it."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            return None
        time.sleep(0.005)
    return time.monotonic() - begin
