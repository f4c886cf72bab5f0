"""The node that a test runs on, seen through its users' tools: mosrun, migrate, mosps, mosctl."""

import json
import os
import subprocess
import time

HOME = 1  # tests run in node 1


class Failure(Exception):
    """A test has failed; the text says how."""


def migrate(pid, where):
    """Moves a process. Returns None, or in one line why it was not moved."""
    result = subprocess.run(["migrate", str(pid), str(where)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode == 0:
        return None
    return (result.stderr or result.stdout).strip() or f"migrate ended with {result.returncode} and said nothing"


def where(pid):
    """The node on which a process of this node runs, as mosps says; HOME for one that has not moved."""
    listing = subprocess.run(["mosps", "--json"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if listing.returncode != 0:
        raise Failure(f"mosps: {listing.stderr.strip()}")
    for process in json.loads(listing.stdout):
        if process["pid"] == pid and process["home"] == HOME:
            return process["where"]
    return HOME


def wait_until_at(pid, node, still_running):
    """Waits until a process is on a node. False when it ended before it was seen there."""
    while still_running():
        if where(pid) == node:
            return True
        time.sleep(0.02)
    return False


def alive(pid):
    """Whether a process has not ended (a zombie has)."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def session_members(session):
    """The processes of a session."""
    members = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as stat:
                if int(stat.read().rsplit(")", 1)[1].split()[3]) == session:
                    members.append(int(entry))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return members


def why(pid):
    """What mosctl says about a process."""
    result = subprocess.run(["mosctl", "why", str(pid)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return (result.stdout + result.stderr).strip()


class Mover:
    """Moves one process from place to place in turn. A refused move is remembered with its reason, unless the
    process has ended meanwhile."""

    def __init__(self, pid, places):
        self.pid = pid
        self.places = places
        self.moves = 0
        self.refusals = []
        self._ending = []  # refusals since the last move that only say that the process is ending
        self._next = 0

    def step(self, check):
        """Makes the next move; with check, also asks mosps whether the process is there."""
        place = self.places[self._next % len(self.places)]
        self._next += 1
        refusal = migrate(self.pid, place)
        if refusal is not None:
            if "has ended" in refusal or "no process" in refusal:
                self._ending.append(f"to {place}: {refusal}")  # a fault only if it can be moved again later
            elif alive(self.pid):
                self.refusals.append(f"to {place}: {refusal}")
            return
        self.moves += 1
        self.refusals += self._ending
        self._ending = []
        if check:
            expected = HOME if place == "home" else int(place)
            seen = where(self.pid)
            if seen != expected:
                raise Failure(f"moved to {place}, but mosps shows it on node {seen}")
