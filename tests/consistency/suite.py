#!/usr/bin/env python3
"""suite.py BOX-PROGRAM BOX-NAME BOX-DIR GROUP[,GROUP...] [CASE]: the consistency of /mfs between three nodes.

The groups are the files beside this one, one for each line of the contract (DESIGN section 4) or part of it. Every
case is run with each node as the owner of its files, so that each node is once the owner's own and twice a remote one.

"At once" in this suite means: the call on the other node starts after the call on this one has returned. A case that is
marked `native` runs a second time with its changes made by a process of the owner in the export directory itself,
outside /mfs (C8). There how soon they must be seen depends on the kernel: the case waits until they are and records
the longest lag, which the runner prints; only a lag without end is a failure.
"""
import importlib
import os
import sys
import time
import traceback

from cluster import Box, Node, Verdict, until

CASES = []


class Case:
    def __init__(self, body, name, native, owners, arguments):
        self.body, self.name, self.native, self.owners, self.arguments = body, name, native, owners, arguments


def case(function=None, *, native=False, owners=(1, 2, 3), variants=None):
    """Registers a case; `variants` is {name: arguments} for one case each of the same function."""

    def register(f):
        for suffix, arguments in (variants or {"": ()}).items():
            CASES.append(Case(f, f.__name__ + (f"_{suffix}" if suffix else ""), native, owners, arguments))
        return f

    return register(function) if function else register


class Setting:
    """What a case works with: three nodes, its directory, and who makes the changes."""

    def __init__(self, box, nodes, verdict, owner, place, natively):
        self.box, self.nodes, self.verdict, self.owner = box, nodes, verdict, owner
        self.natively = natively
        self.longest_lag = 0.0
        self.place = place
        self.directory = f"/mfs/{owner}/{place}"
        self.native = f"{box.export(owner)}/{place}"
        self.native_agent = None
        self.extra = []
        self.probing = []
        self.remote = [n for n in nodes if n.number != owner]
        nodes[0](f"os.mkdir({self.directory!r})")
        for node in nodes:
            node(f"d = {self.directory!r}")

    def agent(self, number):
        """One more process on a node, ended with the case."""
        node = Node(self.box, number)
        self.extra.append(node)
        node(f"d = {self.directory!r}")
        return node

    def probes(self):
        """A process on each node that only looks whether nodes can be reached."""
        self.probing = self.probing or [self.agent(node.number) for node in self.nodes]
        return self.probing

    def native_writer(self):
        """A process of the owner that works in the export directory."""
        if self.native_agent is None:
            self.native_agent = self.agent(self.owner)
            self.native_agent(f"d = {self.native!r}")
        return self.native_agent

    def actor(self, turn):
        """Who makes the change number `turn`: the nodes in turn, or the native writer."""
        return self.native_writer() if self.natively else self.nodes[turn % len(self.nodes)]

    def change(self, turn, code):
        """As actor(turn): makes a change that must succeed."""
        actor = self.actor(turn)
        actor(code + "\nNone")

    def path(self, name):
        return f"{self.directory}/{name}"

    def same(self, what, wanted, got):
        return self.verdict.same(f"{what} (owner {self.owner})", wanted, got)

    def everywhere(self, what, wanted, code, nodes=None):
        """All nodes see it at once - or, after a native change, in the end."""
        for node in nodes or self.nodes:
            got = node(code)
            if got != wanted and self.natively:
                last = [got]

                def seen(node=node, last=last):
                    last[0] = node(code)
                    return last[0] == wanted

                lag = until(60, seen)
                got = last[0]
                self.longest_lag = max(self.longest_lag, lag or 0)
            self.same(f"{what}, on node {node.number}", wanted, got)

    def end(self):
        for node in self.extra:
            node.end()


class Runner:
    def __init__(self, box):
        self.box = box
        self.verdict = Verdict()
        self.nodes = []
        self.start_agents()

    def start_agents(self):
        for node in self.nodes:
            node.process.kill()
            node.end()
        self.nodes = [Node(self.box, number) for number in (1, 2, 3)]

    def run_once(self, case, owner, natively):
        place = f"{case.name}-{owner}{'n' if natively else ''}"
        setting = None
        try:
            setting = Setting(self.box, self.nodes, self.verdict, owner, place, natively)
            case.body(setting, *case.arguments)
        except (TimeoutError, EOFError, OSError, RuntimeError) as e:
            self.verdict.failed += 1
            print(f"FAILED: {case.name} (owner {owner}): {e!r}", flush=True)
            traceback.print_exc(file=sys.stdout)
            self.start_agents()
        finally:
            if setting:
                setting.end()
        return setting.longest_lag if setting else 0

    def run(self, case, natively):
        failed, begin = self.verdict.failed, time.monotonic()
        lag = max(self.run_once(case, owner, natively) for owner in case.owners)
        words = case.name.replace("_", " ") + (" (changed natively)" if natively else "")
        lag_words = f"; seen after {lag * 1000:.0f} ms at most" if natively and lag > 0 else ""
        print(f"{'ok' if self.verdict.failed == failed else 'NOT'}: {words} "
              f"({time.monotonic() - begin:.1f} s){lag_words}", flush=True)
        return self.verdict.failed == failed


def main():
    program, name, directory, groups = sys.argv[1:5]
    only = sys.argv[5] if len(sys.argv) > 5 else ""
    # The groups register with the module they import, not with this one that runs as __main__.
    registry = importlib.import_module("suite").CASES
    for group in groups.split(","):
        importlib.import_module(group)
    runner = Runner(Box(program, name, directory))
    total, good = 0, 0
    try:
        for case in registry:
            if only not in case.name:
                continue
            # Native changes are stamped by the kernel's clock, which cannot be skewed.
            for natively in (False, True) if case.native and not os.environ.get("OMFS_TEST_SKEW") else (False,):
                total += 1
                good += runner.run(case, natively)
    finally:
        for node in runner.nodes:
            node.end()
    print(f"{total} cases, {good} as they should be; {runner.verdict.right} comparisons right, "
          f"{runner.verdict.failed} wrong")
    return 0 if good == total and total > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
