"""C3, time stamps: only the owner stamps; stat from any two nodes with no change between gives the same; the times of a
file never go back but by utimes; what is done later is not older, also on files of different owners."""
from suite import case

CHANGES = {
    "write": "write(d + '/f', 'one')", "append": "append(d + '/f', 'more')", "chmod": "os.chmod(d + '/f', 0o600)",
    "chown": "os.chown(d + '/f', 4201, -1)", "truncate": "os.truncate(d + '/f', 100)",
    "truncate_to_the_same": "os.truncate(d + '/f', os.stat(d + '/f').st_size)",
    "link": "os.link(d + '/f', d + '/g')", "rename": "os.rename(d + '/f', d + '/h')\nos.rename(d + '/h', d + '/f')",
    "setxattr": "os.setxattr(d + '/f', 'user.x', b'x')", "utime": "os.utime(d + '/f')",
    "punch": "fd = os.open(d + '/f', os.O_WRONLY)\nfallocate(fd, PUNCH_HOLE | KEEP_SIZE, 0, 2)\nos.close(fd)",
    "map": "fd = os.open(d + '/f', os.O_RDWR)\nm = mmap.mmap(fd, 4)\nm[0:2] = b'mm'\nm.flush()\nm.close()\nos.close(fd)",
}


@case(variants={name: (code,) for name, code in CHANGES.items()})
def stat_is_the_same_from_all_nodes_after(s, code):
    s.nodes[0]("write(d + '/f', 'begin')")
    last = s.nodes[0]("times(d + '/f')")
    for number in range(3):
        s.nodes[number]("exists(d + '/g') and os.unlink(d + '/g')")
        s.nodes[number](code)
        answers = [node("attributes(d + '/f')") for node in s.nodes]
        s.same("attributes", [answers[0]] * 3, answers)
        again = [node("attributes(d + '/f')") for node in s.nodes]
        s.same("and again", answers, again)
        s.same("times go on", True, answers[0][-2] >= last[0] and answers[0][-1] >= last[1])
        last = answers[0][-2:]
        directory = [node("attributes(d)") for node in s.nodes]
        s.same("the directory's", [directory[0]] * 3, directory)


@case
def fstat_and_stat_are_the_same_on_all_nodes(s):
    s.nodes[0]("write(d + '/f', 'one')")
    for node in s.nodes:
        node("fd = os.open(d + '/f', os.O_RDWR)")
    for number in range(6):
        s.nodes[number % 3](f"os.pwrite(fd, b'{number}', {number} * 10)")
        answers = [node("attributes(fd)") for node in s.nodes] + [node("attributes(d + '/f')") for node in s.nodes]
        s.same("attributes", [answers[0]] * 6, answers)
    for node in s.nodes:
        node("os.close(fd)")


@case
def while_a_writer_holds_the_file_open_its_times_do_not_go_back(s):
    a, b, c = s.nodes
    a("fd = os.open(d + '/f', os.O_WRONLY | os.O_CREAT)")
    seen = []
    for number in range(12):
        a("os.write(fd, b'x')")
        seen.append((b, c, a)[number % 3]("times(d + '/f')"))
    a("os.close(fd)")
    seen.append(c("times(d + '/f')"))
    for which in (0, 1):
        s.same("in order", sorted(x[which] for x in seen), [x[which] for x in seen])
    s.same("closing is no change", [seen[-1]] * 3, [node("times(d + '/f')") for node in s.nodes])


@case
def a_write_after_a_stat_changes_the_mtime_or_leaves_it(s):
    """Times of changes a while apart differ: who compares times must notice."""
    for number in range(4):
        a, b = s.nodes[number % 3], s.nodes[(number + 1) % 3]
        a("write(d + '/f', 'x')")
        before = b("times(d + '/f')")
        # Until the owner's clock has moved on, as seen by a new file of its.
        b("while True:\n  write(d + '/probe', '')\n  if times(d + '/probe')[0] > %d: break" % before[0])
        a("append(d + '/f', 'y')")
        after = b("times(d + '/f')")
        s.same("newer", True, after[0] > before[0] and after[1] > before[1])


@case
def reading_does_not_change_mtime_or_ctime(s):
    s.nodes[0]("write(d + '/f', 'x' * 10000)")
    before = s.nodes[0]("times(d + '/f')")
    for node in s.nodes:
        node("read(d + '/f')\nnames(d)\nmapped(d + '/f', 10000)")
    s.everywhere("times", before, "times(d + '/f')")


@case
def utimes_sets_the_past_and_only_the_next_change_leaves_it(s):
    a, b, c = s.nodes
    a("write(d + '/f', 'x')\nos.utime(d + '/f', ns=(1000, 2000))")
    s.everywhere("set", 2000, "times(d + '/f')[0]")
    b("fd = os.open(d + '/f', os.O_RDWR)\nos.read(fd, 10)")
    s.everywhere("still", 2000, "times(d + '/f')[0]")
    c("append(d + '/f', 'y')")
    s.everywhere("left", True, "times(d + '/f')[0] > 10 ** 18")
    b("os.close(fd)")
    s.everywhere("not undone by the close", True, "times(d + '/f')[0] > 10 ** 18")


@case
def utimes_after_a_write_is_not_undone_by_its_flush(s):
    """tar and cp -p write, set the time, and close: the time must stay."""
    for number in range(6):
        a, b = s.nodes[number % 3], s.nodes[(number + 1) % 3]
        a(f"fd = os.open(d + '/f', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)\nos.write(fd, b'x' * 5000)\n"
          f"os.utime(fd, ns=({number}, {number} + 10 ** 9))\nos.close(fd)")
        s.everywhere("time", number + 10 ** 9, "times(d + '/f')[0]")
        b(f"fd = os.open(d + '/f', os.O_WRONLY)\nos.write(fd, b'y')\nos.utime(d + '/f', ns=(7, 8))\nos.fsync(fd)")
        s.everywhere("time by path", 8, "times(d + '/f')[0]")
        b("os.close(fd)")
        s.everywhere("and after the close", 8, "times(d + '/f')[0]")


@case
def what_is_made_later_is_not_older(s):
    other = s.owner % 3 + 1
    target = f"/mfs/{other}/target{s.owner}"
    for number in range(9):
        a, b = s.nodes[number % 3], s.nodes[(number + 1) % 3]
        a("write(d + '/source', 'x')")
        b(f"read(d + '/source')\nwrite({target!r}, 'y')")
        first, second = a("os.stat(d + '/source').st_mtime_ns"), a(f"os.stat({target!r}).st_mtime_ns")
        s.same("the target is not older than its source", True, second >= first)
    s.nodes[0](f"os.unlink({target!r})")


@case
def a_chain_over_three_owners_is_in_order(s):
    """Each step is done by another node on another owner's file, having read the step before."""
    seen = []
    for number in range(9):
        node, owner = s.nodes[number % 3], (s.owner + number) % 3 + 1
        before = f"/mfs/{(s.owner + number - 1) % 3 + 1}/chain{s.owner}"
        node(f"exists({before!r}) and read({before!r})\nwrite('/mfs/{owner}/chain{s.owner}', '{number}')")
        seen.append(node(f"os.stat('/mfs/{owner}/chain{s.owner}').st_mtime_ns"))
    s.same("in order", sorted(seen), seen)
    for owner in (1, 2, 3):
        s.nodes[0](f"os.unlink('/mfs/{owner}/chain{s.owner}')")


@case
def a_directorys_times_follow_its_names(s):
    last = s.nodes[0]("times(d)")
    changes = ["write(d + '/a', '')", "os.rename(d + '/a', d + '/b')", "os.link(d + '/b', d + '/c')",
               "os.mkdir(d + '/sub')", "os.unlink(d + '/b')", "os.symlink('x', d + '/l')", "os.rmdir(d + '/sub')"]
    for number, change in enumerate(changes):
        s.nodes[number % 3](change)
        answers = [node("times(d)") for node in s.nodes]
        s.same(f"after {change}", [answers[0]] * 3, answers)
        s.same("goes on", True, answers[0] >= last)
        last = answers[0]
    s.nodes[1]("append(d + '/c', 'content is not the directory')")
    s.everywhere("a write inside", last, "times(d)")


@case
def links_share_their_times(s):
    s.nodes[0]("write(d + '/f', 'x')\nos.link(d + '/f', d + '/g')")
    for number in range(6):
        s.nodes[number % 3](f"append(d + '/{'fg'[number % 2]}', 'y')")
        answers = [node(f"attributes(d + '/{name}')") for node in s.nodes for name in "fg"]
        s.same("one inode", [answers[0]] * 6, answers)


@case
def nanoseconds_arrive(s):
    s.nodes[0]("write(d + '/f', '')\nos.utime(d + '/f', ns=(123456789123456789, 987654321987654321))")
    s.everywhere("times", [123456789123456789, 987654321987654321],
                 "st = os.stat(d + '/f')\n[st.st_atime_ns, st.st_mtime_ns]")


@case(native=True)
def times_of_changes_go_on(s):
    s.nodes[0]("write(d + '/f', '')")
    last = [0, 0]
    for number in range(6):
        s.change(number, f"append(d + '/f', '{number}')")
        s.everywhere("size", number + 1, "os.stat(d + '/f').st_size")
        answers = [node("times(d + '/f')") for node in s.nodes]
        s.same("the same", [answers[0]] * 3, answers)
        s.same("go on", True, answers[0] >= last)
        last = answers[0]
