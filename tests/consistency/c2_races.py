"""C2, pairs of changes of one name from two nodes at the same time: whatever the timing, the two results and what is there
afterwards must be those of one order or the other. What these are is asked of the owner's own file system: it runs both
orders, one after the other, in the export directory."""
import itertools
import json

from suite import case

# On a directory with `src` (a file "s"), `dir` (an empty directory) and perhaps `x`.
CHANGES = {
    "create": "os.close(os.open(d + '/x', os.O_CREAT | os.O_EXCL | os.O_WRONLY))",
    # Only the creation: a write after it would be a second step, between which others come.
    "open_creating": "os.close(os.open(d + '/x', os.O_CREAT | os.O_WRONLY, 0o644))",
    "mkdir": "os.mkdir(d + '/x')",
    "symlink": "os.symlink('src', d + '/x')",
    "link": "os.link(d + '/src', d + '/x')",
    "rename_over": "os.rename(d + '/src', d + '/x')",
    "rename_directory_over": "os.rename(d + '/dir', d + '/x')",
    "rename_away": "os.rename(d + '/x', d + '/y')",
    "unlink": "os.unlink(d + '/x')",
    "rmdir": "os.rmdir(d + '/x')",
    "append": "write(d + '/x', 'a', os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)",
}
BEFORE = {"free": "None", "file": "write(d + '/x', 'f')", "directory": "os.mkdir(d + '/x')"}
# Left out, because in no order is what may happen the outcome, natively or in any FUSE client:
#  - link looks its source up before it locks the directory of the new name, so it may find the new name taken by the source;
#  - the kernel looks up both names of a rename; who finds one object under both, because somebody else has just renamed it so,
#    has nothing to do and succeeds.
LEFT_OUT = {("link", "rename_over")} | {(c, c) for c in CHANGES if c.startswith("rename")}
PAIRS = [pair for pair in itertools.combinations_with_replacement(CHANGES, 2)
         if pair not in LEFT_OUT and pair != ("append", "append")]
MAKE = "os.mkdir(d)\nwrite(d + '/src', 's')\nos.mkdir(d + '/dir')\n"
LOOK = ("[[n, oct(os.lstat(d + '/' + n).st_mode), os.lstat(d + '/' + n).st_nlink if not os.path.isdir(d + '/' + n) else 0, "
        "read(d + '/' + n) if os.path.isfile(d + '/' + n) else ''] for n in names(d)]")


def outcomes(native, directory, before, first, second):
    """[result of first, result of second, what is there] of both orders, by the owner's file system."""
    result = []
    for number, order in enumerate((0, 1)):
        native(f"d = {directory + f'-order{number}'!r}\n{MAKE}{before}")
        if order == 0:
            results = [native(first), native(second)]
        else:
            results = [native(second), native(first)][::-1]
        result.append(results + [native(LOOK)])
    return result


def at_once(s, a, b):
    native = s.native_writer()
    for name, before in BEFORE.items():
        allowed = outcomes(native, f"{s.native}/{name}", before, CHANGES[a] + "\n'ok'", CHANGES[b] + "\n'ok'")
        if all("ok" not in outcome[:2] for outcome in allowed):
            continue
        for attempt in range(3):
            first, second, third = (s.nodes[(attempt + i) % 3] for i in range(3))
            for node in s.nodes:
                node(f"d = {s.path(f'{name}{attempt}')!r}")
            first(MAKE + before)
            # All have looked the names up before.
            for node in s.nodes:
                node(LOOK)
            first.start(CHANGES[a] + "\n'ok'")
            second.start(CHANGES[b] + "\n'ok'")
            got = [first.answer(), second.answer(), None]
            for node in (third, first, second):
                got[2] = node(LOOK)
                if not got in allowed:
                    s.same(f"{name}: one of {json.dumps(allowed)}, on node {node.number}", True, json.dumps(got))
                    break
            else:
                s.same(f"{name}", True, True)


for index, pair in enumerate(PAIRS):
    case(owners=(index % 3 + 1,), variants={"_and_".join(pair): pair})(at_once)
