"""The driver's side of agent.py, and the counting of what was as it should be."""
import json
import os
import select
import signal
import subprocess
import sys

# An answer that takes longer is a hang. Not a check of speed.
HANG_SECONDS = 120


class Node:
    """An agent on a node. Calls of one agent follow each other; start() and answer() let several run at once."""

    def __init__(self, box_command, number):
        self.number = number
        agent = os.path.join(os.path.dirname(os.path.abspath(__file__)), "agent.py")
        self.process = subprocess.Popen(box_command + [str(number), "--", sys.executable, "-u", agent],
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

    def waits(self, seconds=0.5):
        """Whether no answer has come yet after a while."""
        return b"\n" not in self.pending and not select.select([self.process.stdout], [], [], seconds)[0]

    def __call__(self, code):
        self.start(code)
        return self.answer()

    def kill(self):
        """SIGKILL to the agent itself, inside its node."""
        self.start("os.kill(os.getpid(), 9)")
        self.process.wait()

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


class Verdict:
    def __init__(self):
        self.failed = 0
        self.right = 0

    def same(self, what, wanted, got):
        if wanted == got:
            self.right += 1
        else:
            self.failed += 1
            print(f"FAILED: {what}: wanted {wanted!r}, got {got!r}", flush=True)
        return wanted == got
