"""Nodes that fail, for cases of C7."""
import time

from cluster import HANG_SECONDS, until

MEND = {"kill": "start", "stop": "cont", "cut": "heal"}


def lease(s):
    return s.box.setting(1, "lease_ms", 12000) / 1000


def report(what, seconds):
    print(f"  measured: {what}: {seconds:.2f} s", flush=True)


class Broken:
    """A node's daemon killed or stopped, or the node cut off, until the end of the block; then all see all again."""

    def __init__(self, s, fault, number):
        self.s, self.fault, self.number, self.broken = s, fault, number, False

    def __enter__(self):
        self.broken = True
        self.s.box.run(self.fault, self.number)
        return self

    def mend(self):
        if self.broken:
            self.broken = False
            self.s.box.run(MEND[self.fault], self.number)

    def __exit__(self, *_):
        self.mend()
        all_reach_all(self.s)


class Frozen:
    """A node's FUSE client stopped."""

    def __init__(self, s, number):
        self.s, self.agent = s, s.agent(number)

    def __enter__(self):
        self.frozen = True
        self.agent("os.kill(process('omfs-fuse'), signal.SIGSTOP)")
        return self

    def thaw(self):
        if self.frozen:
            self.frozen = False
            self.agent("os.kill(process('omfs-fuse'), signal.SIGCONT)")

    def __exit__(self, *_):
        self.thaw()
        all_reach_all(self.s)


def all_reach_all(s):
    # By processes of its own: the nodes' may still be busy with what the case is about.
    for node in s.probes():
        for number in (1, 2, 3):
            up = until(HANG_SECONDS, lambda: isinstance(node(f"names('/mfs/{number}')"), list))
            s.same(f"node {node.number} reaches {number} again", True, up is not None)


def timed(node, code):
    begin = time.monotonic()
    return node(code), time.monotonic() - begin


def is_error(result):
    return isinstance(result, str) and result.startswith("E") and result.isupper()


def others(s):
    return [node for node in s.nodes if node.number != s.owner]
