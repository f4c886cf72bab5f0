"""C1, data: a completed write, truncate or append is seen by every later read anywhere, by whatever call it was made
and by whatever call it is read."""
from suite import case

PAGE = 4096


@case(native=True)
def a_write_is_seen_by_every_later_read(s):
    for number in range(9):
        text = f"version {number} " + "x" * (number * 1500)
        s.change(number, f"write(d + '/data', {text!r})")
        s.everywhere(f"write {number}", text, "read(d + '/data')")


@case(native=True)
def a_write_through_a_held_descriptor_is_seen(s):
    s.nodes[0]("write(d + '/f', 'start')")
    for number in range(3):
        s.change(number, "fd = os.open(d + '/f', os.O_RDWR)")
    for number in range(9):
        s.change(number, f"os.pwrite(fd, b'{number:05d}', 0)")
        s.everywhere(f"pwrite {number}", f"{number:05d}", "read(d + '/f')")


@case(native=True)
def held_descriptors_read_what_others_write(s):
    s.nodes[0]("write(d + '/f', 'start')")
    for node in s.nodes:
        node("mine = os.open(d + '/f', os.O_RDONLY)")
    s.everywhere("before", "start", "os.pread(mine, 100, 0)")
    for number in range(9):
        s.change(number, f"write(d + '/f', 'write {number}')")
        s.everywhere(f"write {number}", f"write {number}", "os.pread(mine, 100, 0)")
        s.everywhere("its size", 7, "os.fstat(mine).st_size")
    for node in s.nodes:
        node("os.close(mine)")


@case
def files_held_open_for_writing_by_all_see_each_others_writes(s):
    s.nodes[0]("write(d + '/open', 'start')")
    for node in s.nodes:
        node("fd = os.open(d + '/open', os.O_RDWR)")
    s.everywhere("before", "start", "os.pread(fd, 100, 0)")
    for number in range(9):
        s.nodes[number % 3](f"os.pwrite(fd, b'{number:05d}', 0)")
        s.everywhere(f"pwrite {number}", f"{number:05d}", "os.pread(fd, 100, 0)")
    s.nodes[1]("os.ftruncate(fd, 2)")
    s.everywhere("ftruncate", "00", "os.pread(fd, 100, 0)")
    s.everywhere("ftruncate: size", 2, "os.fstat(fd).st_size")
    s.nodes[2]("os.pwrite(fd, b'end', 5000)")
    s.everywhere("a write beyond the end", 5003, "os.lseek(fd, 0, os.SEEK_END)")
    s.everywhere("the hole", "00" + "\0" * 10, "os.pread(fd, 12, 0)")
    for node in s.nodes:
        node("os.close(fd)")


@case(native=True)
def an_append_is_seen(s):
    s.nodes[0]("write(d + '/log', '')")
    whole = ""
    for number in range(12):
        text = f"line {number}\n" * (1 + number * 40)
        s.change(number, f"append(d + '/log', {text!r})")
        whole += text
        s.everywhere(f"append {number}", len(whole), "os.stat(d + '/log').st_size")
        s.everywhere(f"append {number}", whole, "read(d + '/log')")


@case(native=True)
def a_reader_at_the_end_gets_what_is_appended(s):
    s.nodes[0]("write(d + '/log', 'begin;')")
    for node in s.nodes:
        node("tail = os.open(d + '/log', os.O_RDONLY)\nos.read(tail, 100)\ngot = ''")
    s.everywhere("at the end", 0, "len(os.read(tail, 100))")
    for number in range(9):
        s.change(number, f"append(d + '/log', 'record {number};')")
        # What comes late after a native change must still come whole and once.
        s.everywhere(f"append {number}", f"record {number};", "got = (os.read(tail, 100).decode() or got)\ngot")
    s.everywhere("at the end again", 0, "len(os.read(tail, 100))")
    for node in s.nodes:
        node("os.close(tail)")


@case(native=True)
def a_shorter_file_ends_where_it_was_cut(s):
    for number, size in enumerate((0, 1, 100, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 5)):
        s.change(number, f"write(d + '/f', 'a' * {5 * PAGE})")
        s.everywhere("whole", [["a", 5 * PAGE]], "runs(d + '/f')")
        s.change(number + 1, f"os.truncate(d + '/f', {size})")
        s.everywhere(f"cut to {size}", [["a", size]] if size else [], "runs(d + '/f')")
        s.everywhere(f"cut to {size}: size", size, "os.stat(d + '/f').st_size")


@case(native=True)
def a_file_cut_and_grown_again_has_zeros(s):
    for number, size in enumerate((1, 100, PAGE - 1, PAGE, PAGE + 1)):
        s.change(number, f"write(d + '/f', 'b' * {3 * PAGE})")
        s.everywhere("whole", [["b", 3 * PAGE]], "runs(d + '/f')")
        s.change(number + 1, f"os.truncate(d + '/f', {size})\nos.truncate(d + '/f', {3 * PAGE})")
        s.everywhere(f"after {size}", [["b", size], ["\0", 3 * PAGE - size]], "runs(d + '/f')")


@case
def a_file_cut_by_one_and_grown_by_another_has_zeros(s):
    a, b, c = s.nodes
    for size in (1, PAGE - 1, PAGE, 2 * PAGE + 7):
        a(f"write(d + '/f', 'b' * {4 * PAGE})")
        b(f"os.truncate(d + '/f', {size})")
        c(f"pwrite(d + '/f', 'end', {4 * PAGE})")
        s.everywhere("zeros between", [["b", size], ["\0", 4 * PAGE - size], ["e", 1], ["n", 1], ["d", 1]],
                     "runs(d + '/f')")


@case(native=True)
def a_write_beyond_the_end_leaves_a_hole(s):
    for number, offset in enumerate((1, PAGE - 1, PAGE, 10 * PAGE + 17)):
        s.change(number, "write(d + '/f', 'a')")
        s.everywhere("before", "a", "read(d + '/f')")
        s.change(number + 1, f"pwrite(d + '/f', 'z', {offset})")
        s.everywhere(f"a write at {offset}", [["a", 1]] + ([["\0", offset - 1]] if offset > 1 else []) + [["z", 1]],
                     "runs(d + '/f')")


@case(native=True)
def small_writes_within_pages_do_not_undo_each_other(s):
    s.nodes[0](f"write(d + '/f', '.' * {4 * PAGE})")
    wanted = ["."] * (4 * PAGE)
    for number in range(24):
        offset = (number * 1117) % (4 * PAGE - 30)
        s.everywhere("what was there", "".join(wanted[offset:offset + 20]), f"pread(d + '/f', 20, {offset})")
        s.change(number, f"pwrite(d + '/f', '{chr(97 + number)}' * 9, {offset})")
        wanted[offset:offset + 9] = chr(97 + number) * 9
    s.everywhere("all of them", "".join(wanted), "read(d + '/f')")


@case
def two_nodes_write_one_page_from_both_ends(s):
    s.nodes[0](f"write(d + '/f', '.' * {PAGE})")
    for node in s.nodes:
        node("fd = os.open(d + '/f', os.O_RDWR)")
    wanted = ["."] * PAGE
    for i in range(0, 1000, 50):
        s.nodes[0](f"os.pwrite(fd, b'<' * 50, {i})")
        s.nodes[1](f"os.pwrite(fd, b'>' * 50, {PAGE - 50 - i})")
        wanted[i:i + 50], wanted[PAGE - 50 - i:PAGE - i] = "<" * 50, ">" * 50
    s.everywhere("both", "".join(wanted), "os.pread(fd, 4096, 0)")
    for node in s.nodes:
        node("os.close(fd)")
    s.everywhere("both, opened anew", "".join(wanted), "read(d + '/f')")


@case(native=True)
def a_big_file_rewritten_in_parts_is_right_everywhere(s):
    mib = 1 << 20
    s.nodes[0](f"write(d + '/f', 'o' * {6 * mib})")
    s.everywhere("first", [["o", 6 * mib]], "runs(d + '/f')")
    s.change(1, f"pwrite(d + '/f', 'n' * {mib}, {2 * mib})")
    s.everywhere("the middle", [["o", 2 * mib], ["n", mib], ["o", 3 * mib]], "runs(d + '/f')")
    s.change(2, f"pwrite(d + '/f', 'p' * 10, {4 * mib - 5})")
    s.everywhere("a few bytes", [["o", 2 * mib], ["n", mib], ["o", mib - 5], ["p", 10], ["o", 2 * mib - 5]],
                 "runs(d + '/f')")
    s.change(0, f"os.truncate(d + '/f', {mib + 1})")
    s.everywhere("cut", [["o", mib + 1]], "runs(d + '/f')")


@case(native=True)
def opening_with_truncation_empties_it_for_all(s):
    for number in range(3):
        s.change(number, "write(d + '/f', 'full')")
        s.everywhere("full", "full", "read(d + '/f')")
        for node in s.nodes:
            node("fd = os.open(d + '/f', os.O_RDONLY)")
        s.change(number, "os.close(os.open(d + '/f', os.O_WRONLY | os.O_TRUNC))")
        s.everywhere("emptied", "", "read(d + '/f')")
        s.everywhere("emptied, held", "", "os.pread(fd, 10, 0)")
        s.everywhere("emptied: size", 0, "os.fstat(fd).st_size")
        for node in s.nodes:
            node("os.close(fd)")


@case(native=True)
def a_new_map_shows_what_was_written(s):
    for number in range(6):
        s.change(number, f"write(d + '/f', 'page {number}'.ljust({2 * PAGE}, '.'))")
        s.everywhere("the map", f"page {number}", f"mapped(d + '/f', {2 * PAGE}, 0, 6)")
        s.change(number + 1, f"pwrite(d + '/f', 'second', {PAGE})")
        s.everywhere("its second page", "second", f"mapped(d + '/f', {2 * PAGE}, {PAGE}, 6)")


@case
def a_write_through_a_map_is_read_by_all(s):
    s.nodes[0](f"write(d + '/f', '.' * {2 * PAGE})")
    for number in range(6):
        # The map's changes are the file's when msync has returned.
        s.nodes[number % 3](f"fd = os.open(d + '/f', os.O_RDWR)\nm = mmap.mmap(fd, {2 * PAGE})\n"
                            f"m[{number * 10}:{number * 10 + 6}] = b'map {number}!'\nm.flush()\nm.close()\n"
                            "os.close(fd)")
        s.everywhere("read", f"map {number}!", f"pread(d + '/f', 6, {number * 10})")
        s.everywhere("mapped", f"map {number}!", f"mapped(d + '/f', {2 * PAGE}, {number * 10}, 6)")
    s.everywhere("the rest", ".", "pread(d + '/f', 1, 6)")


@case(native=True)
def a_punched_hole_reads_as_zeros(s):
    for number, (offset, length) in enumerate(((0, PAGE), (PAGE, 2 * PAGE), (100, 50), (PAGE - 10, 20))):
        s.change(number, f"write(d + '/f', 'f' * {4 * PAGE})")
        s.everywhere("full", [["f", 4 * PAGE]], "runs(d + '/f')")
        s.change(number + 1, "fd = os.open(d + '/f', os.O_WRONLY)\n"
                             f"fallocate(fd, PUNCH_HOLE | KEEP_SIZE, {offset}, {length})\nos.close(fd)")
        wanted = ([["f", offset]] if offset else []) + [["\0", length], ["f", 4 * PAGE - offset - length]]
        s.everywhere(f"hole at {offset}", wanted, "runs(d + '/f')")
        s.everywhere("its size", 4 * PAGE, "os.stat(d + '/f').st_size")


@case(native=True)
def a_zeroed_range_reads_as_zeros(s):
    s.change(0, f"write(d + '/f', 'f' * {4 * PAGE})")
    s.everywhere("full", [["f", 4 * PAGE]], "runs(d + '/f')")
    s.change(1, f"fd = os.open(d + '/f', os.O_WRONLY)\nfallocate(fd, ZERO_RANGE, 10, {2 * PAGE})\nos.close(fd)")
    s.everywhere("zeroed", [["f", 10], ["\0", 2 * PAGE], ["f", 2 * PAGE - 10]], "runs(d + '/f')")


@case(native=True)
def allocation_changes_the_size_unless_told_to_keep_it(s):
    s.change(0, "write(d + '/f', 'short')")
    s.everywhere("before", 5, "os.stat(d + '/f').st_size")
    s.change(1, f"fd = os.open(d + '/f', os.O_WRONLY)\nfallocate(fd, 0, 0, {3 * PAGE})\nos.close(fd)")
    s.everywhere("allocated", 3 * PAGE, "os.stat(d + '/f').st_size")
    s.everywhere("and zero", [["s", 1], ["h", 1], ["o", 1], ["r", 1], ["t", 1], ["\0", 3 * PAGE - 5]],
                 "runs(d + '/f')")
    s.change(2, f"fd = os.open(d + '/f', os.O_WRONLY)\nfallocate(fd, KEEP_SIZE, 0, {9 * PAGE})\nos.close(fd)")
    s.everywhere("allocated beyond the end", 3 * PAGE, "os.stat(d + '/f').st_size")
    s.everywhere("blocks", True, f"os.stat(d + '/f').st_blocks * 512 >= {9 * PAGE}")


@case(native=True)
def a_copied_range_is_seen(s):
    s.nodes[0](f"write(d + '/from', 'c' * {2 * PAGE})\nwrite(d + '/to', 't' * {3 * PAGE})")
    s.everywhere("before", [["t", 3 * PAGE]], "runs(d + '/to')")
    s.change(1, "a, b = os.open(d + '/from', os.O_RDONLY), os.open(d + '/to', os.O_WRONLY)\n"
                f"assert os.copy_file_range(a, b, {PAGE}, 100, 500) == {PAGE}\nos.close(a)\nos.close(b)")
    s.everywhere("copied", [["t", 500], ["c", PAGE], ["t", 2 * PAGE - 500]], "runs(d + '/to')")


@case
def a_copied_range_has_what_another_node_wrote_last(s):
    a, b, c = s.nodes
    a("write(d + '/to', '')\nsource = os.open(d + '/from', os.O_RDWR | os.O_CREAT)\nos.write(source, b'old text')")
    b("x, y = os.open(d + '/from', os.O_RDONLY), os.open(d + '/to', os.O_WRONLY)\nos.pread(x, 8, 0)")
    for number in range(6):
        a(f"os.pwrite(source, b'version{number}', 0)")
        s.same("copied", 8, b("os.copy_file_range(x, y, 8, 0, 0)"))
        s.same("the copy", f"version{number}", c("read(d + '/to')"))


@case
def holes_are_found_where_they_are(s):
    a, b, c = s.nodes
    a(f"fd = os.open(d + '/f', os.O_RDWR | os.O_CREAT)\nos.ftruncate(fd, {64 * PAGE})\n"
      f"os.pwrite(fd, b'x' * {PAGE}, {16 * PAGE})")
    for node in (b, c):
        s.same("data", 16 * PAGE, node("fd = os.open(d + '/f', os.O_RDONLY)\nos.lseek(fd, 0, os.SEEK_DATA)"))
        s.same("hole", 17 * PAGE, node(f"os.lseek(fd, {16 * PAGE}, os.SEEK_HOLE)"))
    a(f"os.pwrite(fd, b'y' * {PAGE}, {32 * PAGE})")
    s.same("more data", 32 * PAGE, b(f"os.lseek(fd, {17 * PAGE}, os.SEEK_DATA)"))


@case
def preadv_and_pwritev_are_as_one(s):
    a, b, c = s.nodes
    a("fd = os.open(d + '/f', os.O_RDWR | os.O_CREAT)\nos.pwritev(fd, [b'one ', b'two ', b'three'], 0)")
    s.everywhere("written", "one two three", "read(d + '/f')")
    b("fd = os.open(d + '/f', os.O_RDWR)\nos.pwritev(fd, [b'ONE', b'_'], 0)")
    s.same("read", ["ONE_", "two t"], a("x, y = bytearray(4), bytearray(5)\nos.preadv(fd, [x, y], 0)\n"
                                        "[x.decode(), y.decode()]"))


@case
def synchronous_and_direct_writes_are_seen(s):
    for number, flag in enumerate(("os.O_SYNC", "os.O_DSYNC", "os.O_DIRECT")):
        writer = s.nodes[number]
        s.everywhere("before", "ENOENT" if number == 0 else [[str(number - 1), PAGE]], "runs(d + '/f')")
        writer(f"fd = os.open(d + '/f', os.O_WRONLY | os.O_CREAT | {flag})\nm = mmap.mmap(-1, {PAGE})\n"
               f"m[:] = b'{number}' * {PAGE}\nos.write(fd, m)\nos.close(fd)")
        s.everywhere(f"written with {flag}", [[str(number), PAGE]], "runs(d + '/f')")


@case
def a_direct_read_sees_a_buffered_write(s):
    s.nodes[0](f"write(d + '/f', '-' * {PAGE})")
    for node in s.nodes:
        node(f"fd = os.open(d + '/f', os.O_RDONLY | os.O_DIRECT)\nm = mmap.mmap(-1, {PAGE})")
    for number in range(6):
        s.nodes[number % 3](f"write(d + '/f', '{number}' * {PAGE})")
        s.everywhere("read directly", str(number) * 3, f"os.preadv(fd, [m], 0)\nm[:3]")


@case
def two_processes_of_one_node_and_one_of_another_agree(s):
    a, b = s.nodes[0], s.nodes[1]
    a2 = s.agent(1)
    for number in range(9):
        (a, a2, b)[number % 3](f"write(d + '/f', 'turn {number}')")
        for node in (a, a2, b):
            s.same("read", f"turn {number}", node("read(d + '/f')"))


@case
def a_closed_file_written_by_one_is_overwritten_by_another(s):
    """Write-behind that comes after its file's next writer would undo this one."""
    for number in range(12):
        first, second = s.nodes[number % 3], s.nodes[(number + 1) % 3]
        first(f"write(d + '/f', 'first ' * 3000)")
        second(f"write(d + '/f', 'second {number}')")
        s.everywhere("the later one", f"second {number}", "read(d + '/f')")


@case
def a_new_file_under_an_old_name_has_nothing_of_the_old(s):
    for number in range(9):
        s.nodes[number % 3](f"write(d + '/f', '{number}' * {1000 + 700 * (9 - number)})")
        s.everywhere("content", [[str(number), 1000 + 700 * (9 - number)]], "runs(d + '/f')")
        s.nodes[(number + 1) % 3]("os.unlink(d + '/f')")


@case
def a_file_made_on_one_node_and_filled_on_another(s):
    a, b, c = s.nodes
    for number in range(6):
        a(f"os.close(os.open(d + '/f{number}', os.O_CREAT | os.O_EXCL | os.O_WRONLY))")
        s.same("empty", "", c(f"read(d + '/f{number}')"))
        b(f"append(d + '/f{number}', 'filled')")
        s.everywhere("filled", "filled", f"read(d + '/f{number}')")


@case
def fsync_and_close_after_anothers_change_are_harmless(s):
    a, b, c = s.nodes
    a("fd = os.open(d + '/f', os.O_RDWR | os.O_CREAT)\nos.write(fd, b'from a')")
    b("write(d + '/f', 'from b')")
    s.same("fsync", None, a("os.fsync(fd)"))
    s.everywhere("after fsync", "from b", "read(d + '/f')")
    c("os.truncate(d + '/f', 1)")
    a("os.close(fd)")
    s.everywhere("after close", "f", "read(d + '/f')")


@case
def positions_are_each_descriptors_own(s):
    s.nodes[0]("write(d + '/f', 'abcdefghi')")
    for node in s.nodes:
        node("fd = os.open(d + '/f', os.O_RDWR)")
    for i in range(3):
        s.everywhere("read on", "abcdefghi"[i * 2:i * 2 + 2], "os.read(fd, 2)")
    s.nodes[1]("os.write(fd, b'XYZ')")
    s.everywhere("read on over what was written", "XYZ", "os.read(fd, 3)", nodes=[s.nodes[0], s.nodes[2]])
    s.same("the writer is behind it", 9, s.nodes[1]("os.lseek(fd, 0, os.SEEK_CUR)"))


@case
def sendfile_sends_what_was_written_last(s):
    a, b, c = s.nodes
    b("src = None")
    for number in range(4):
        a(f"write(d + '/f', 'send {number}')")
        s.same("sent", f"send {number}", b("fd = os.open(d + '/f', os.O_RDONLY)\nr, w = os.pipe()\n"
                                           "os.sendfile(w, fd, 0, 100)\nos.close(w)\nos.close(fd)\n"
                                           "text = os.read(r, 100).decode()\nos.close(r)\ntext"))
