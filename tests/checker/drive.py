#!/usr/bin/env python3
"""drive.py PROGRAMS BOX-NAME BOX-DIR MODE --seed N --rounds N --operations N [--first N]: rounds of operations by the clients
of all nodes at once on a few shared objects, each round's history checked for linearizability.

MODE calm: nothing is done to the cluster, and an operation that ends with an error is a failure.
MODE faults: meanwhile daemons are killed and started, stopped and continued, FUSE clients stopped and continued, nodes cut off
and healed. What is done and when is a function of seed and round; `--seed S --first R --rounds 1` does one round again.

Ends with a line of totals. The histories of a round that failed are kept in BOX-DIR/../failed.
"""
import argparse
import os
import random
import re
import select
import shutil
import subprocess
import sys
import threading
import time

HANG_SECONDS = 240
THREADS = 4


class Worker:
    def __init__(self, command, node):
        self.node = node
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.pending = b""

    def start(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    def answer(self):
        """[done or failed, command, round, number]"""
        while b"\n" not in self.pending:
            if not select.select([self.process.stdout], [], [], HANG_SECONDS)[0]:
                raise TimeoutError(f"the clients of node {self.node} hang")
            chunk = os.read(self.process.stdout.fileno(), 4096)
            if not chunk:
                raise EOFError(f"the worker of node {self.node} is gone")
            self.pending += chunk
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode().split()

    def end(self):
        self.process.kill()
        self.process.wait()


class Faults(threading.Thread):
    """What is done to the cluster in one round. Everything is undone when it ends."""

    def __init__(self, box, nodes, seed, number, lease):
        super().__init__()
        self.box, self.error = box, None
        chance = random.Random(seed * 1000003 + number)
        self.plan = []
        for _ in range(chance.randint(1, 2)):
            what = chance.choice(["kill", "kill", "stop", "cut", "freeze"])
            # Now and then longer than the lease.
            pause = chance.uniform(lease * 1.2, lease * 2) if chance.random() < 0.15 else chance.uniform(0.05, 0.8)
            self.plan.append((chance.uniform(0.02, 0.4), what, chance.randint(1, nodes), pause))

    def __str__(self):
        return ", ".join(f"{what} {node} for {pause:.2f} s after {delay:.2f} s" for delay, what, node, pause in self.plan)

    def run(self):
        try:
            for delay, what, node, pause in self.plan:
                time.sleep(delay)
                if what == "freeze":
                    self.signal_client(node, "STOP")
                    time.sleep(pause)
                    self.signal_client(node, "CONT")
                    continue
                self.box(what, node)
                time.sleep(pause)
                self.box({"kill": "start", "stop": "cont", "cut": "heal"}[what], node)
        except (subprocess.CalledProcessError, OSError) as e:
            self.error = e

    def signal_client(self, node, name):
        self.box("exec", node, "--", "sh", "-c",
                 "for p in /proc/[0-9]*; do read c <$p/comm && [ \"$c\" = omfs-fuse ] && "
                 f"kill -{name} ${{p#/proc/}}; done 2>/dev/null; true")


class Driver:
    def __init__(self, a):
        self.a, self.nodes = a, 3
        self.histories = os.path.join(a.box_dir, "..", "histories")
        self.failed_dir = os.path.join(a.box_dir, "..", "failed")
        os.makedirs(self.histories, exist_ok=True)
        self.workers = []
        for node in range(1, self.nodes + 1):
            command = [f"{a.programs}/omfs-box", "exec", "--name", a.box_name, str(node), "--",
                       f"{a.programs}/omfs-check-worker", str(node), str(self.nodes), str(a.seed), str(THREADS),
                       self.histories]
            self.workers.append(Worker(command, node))
        self.operations = self.failures = self.objects = self.undecided = 0
        with open(f"{a.box_dir}/node1/etc/omfs.conf") as f:
            lease = [int(line.split("=")[1]) for line in f if line.startswith("lease_ms")]
        self.lease = (lease or [12000])[0] / 1000

    def box(self, verb, *arguments):
        command = [f"{self.a.programs}/omfs-box", verb, "--name", self.a.box_name, *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def everyone(self, line):
        for worker in self.workers:
            worker.start(line)
        return sum(int(worker.answer()[3]) for worker in self.workers)

    def until_done(self, worker, line):
        """Again until it succeeds: after faults the nodes come back in their own time."""
        begin = time.monotonic()
        while True:
            worker.start(line)
            if worker.answer()[0] == "done":
                return
            if time.monotonic() - begin > HANG_SECONDS:
                raise TimeoutError(f"node {worker.node}: {line} never succeeds")
            time.sleep(0.05)

    def wait_for_all_nodes(self):
        """After faults: until every node serves every other."""
        for node in range(1, self.nodes + 1):
            test = " && ".join(f": >/mfs/{k}/up.{node} && ls /mfs/{k} >/dev/null" for k in range(1, self.nodes + 1))
            self.box("exec", node, "--", "bash", "-c",
                     f"for i in $(seq 2000); do ({test}) 2>/dev/null && exit 0; sleep 0.05; done; exit 1")

    def round(self, number):
        with_faults = self.a.mode == "faults"
        self.until_done(self.workers[0], f"prepare {number}")
        faults = Faults(self.box, self.nodes, self.a.seed, number, self.lease) if with_faults else None
        if faults:
            faults.start()
        self.operations += self.everyone(f"run {number} {self.a.operations}")
        if faults:
            faults.join()
            if faults.error:
                raise faults.error
            self.wait_for_all_nodes()
        self.operations += self.everyone(f"final {number}")
        self.until_done(self.workers[-1], f"remove {number}")
        self.check(number, faults)

    def check(self, number, faults):
        files = [os.path.join(self.histories, f) for f in os.listdir(self.histories)]
        command = [f"{self.a.programs}/omfs-check-history"] + ([] if faults else ["--no-errors"]) + files
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        summary = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else f"status {done.returncode}"
        counts = re.search(r" on (\d+) objects.* (\d+) undecided", summary)
        if counts:
            self.objects += int(counts[1])
            self.undecided += int(counts[2])
        if faults or done.returncode != 0 or number % 20 == 0:
            print(f"round {number}: {summary}" + (f" [{faults}]" if faults else ""), flush=True)
        if done.returncode != 0:
            self.failures += 1
            print(done.stdout)
            kept = os.path.join(self.failed_dir, f"seed{self.a.seed}-round{number}")
            shutil.copytree(self.histories, kept, dirs_exist_ok=True)
            print(f"again: --seed {self.a.seed} --first {number} --rounds 1; histories in {kept}", flush=True)
        for f in files:
            os.unlink(f)

    def run(self):
        begin = time.monotonic()
        print(f"seed {self.a.seed}", flush=True)
        number = self.a.first
        try:
            while number < self.a.first + self.a.rounds:
                self.round(number)
                number += 1
        except (TimeoutError, EOFError, OSError, subprocess.CalledProcessError) as e:
            self.failures += 1
            print(f"FAILED: round {number}: {e}", flush=True)
        finally:
            for worker in self.workers:
                worker.end()
        if self.undecided > max(2, self.objects // 20):
            self.failures += 1
            print(f"FAILED: too many objects undecided: {self.undecided} of {self.objects}")
        print(f"{self.undecided} of {self.objects} objects undecided")
        print(f"{self.operations} operations in {number - self.a.first} rounds, {time.monotonic() - begin:.0f} s, "
              f"seed {self.a.seed}: {self.failures} failed")
        return 1 if self.failures else 0


def main():
    p = argparse.ArgumentParser()
    for name in ("programs", "box_name", "box_dir", "mode"):
        p.add_argument(name)
    p.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    p.add_argument("--rounds", type=int, default=10)
    p.add_argument("--operations", type=int, default=200, help="of each client in a round")
    p.add_argument("--first", type=int, default=0)
    sys.exit(Driver(p.parse_args()).run())


if __name__ == "__main__":
    main()
