"""C1, data, with nodes at it at the same time: appends are atomic, writes are whole, nothing is lost."""
from suite import case

PAGE = 4096


def all_at_once(s, code):
    """Runs code(node) on all nodes together and waits for it."""
    for node in s.nodes:
        node.start(code(node))
    return [node.answer() for node in s.nodes]


@case(variants={"of_few_bytes": (8, 120), "of_a_line": (64, 100), "over_pages": (5000, 40), "of_many_pages": (70000, 8)})
def appends_of_three_nodes_lose_nothing(s, size, count):
    s.nodes[0]("write(d + '/log', '')")
    all_at_once(s, lambda node: f"fd = os.open(d + '/log', os.O_WRONLY | os.O_APPEND)\n"
                                f"for i in range({count}): os.write(fd, b'{node.number}' * {size - 1} + b'\\n')\n"
                                "os.close(fd)")
    records = s.nodes[0]("read(d + '/log')").splitlines()
    s.same("records", 3 * count, len(records))
    for node in s.nodes:
        s.same(f"whole records of node {node.number}", count, records.count(str(node.number) * (size - 1)))
    s.everywhere("size", 3 * count * size, "os.stat(d + '/log').st_size")


@case
def appends_keep_each_nodes_order(s):
    s.nodes[0]("write(d + '/log', '')")
    all_at_once(s, lambda node: f"for i in range(60): append(d + '/log', f'{node.number} {{i}}\\n')")
    lines = s.nodes[1]("read(d + '/log')").splitlines()
    for node in s.nodes:
        mine = [int(line.split()[1]) for line in lines if line.startswith(f"{node.number} ")]
        s.same(f"order of node {node.number}", list(range(60)), mine)


@case
def appends_and_truncations_do_not_tear_records(s):
    a, b, c = s.nodes
    a("write(d + '/log', '')")
    for node in (a, b):
        node.start("fd = os.open(d + '/log', os.O_WRONLY | os.O_APPEND)\n"
                   f"for i in range(100): os.write(fd, b'{node.number}' * 31 + b'\\n')\nos.close(fd)")
    c("for i in range(10): os.truncate(d + '/log', 0)\nNone")
    for node in (a, b):
        node.answer()
    lines = c("read(d + '/log')").splitlines()
    s.same("torn records", [], [x for x in lines if x not in ("1" * 31, "2" * 31)])


@case
def reads_see_one_whole_write_or_the_other(s):
    s.nodes[0](f"write(d + '/f', 'a' * {PAGE})")
    s.nodes[1].start("fd = os.open(d + '/f', os.O_WRONLY)\n"
                     f"for i in range(200): os.pwrite(fd, (b'a', b'b')[i % 2] * {PAGE}, 0)\nos.close(fd)")
    s.same("mixed reads", 0, s.nodes[2](
        "fd = os.open(d + '/f', os.O_RDONLY)\nmixed = 0\n"
        f"for i in range(200): mixed += len(set(os.pread(fd, {PAGE}, 0))) != 1\nos.close(fd)\nmixed"))
    s.nodes[1].answer()


@case
def what_is_read_never_goes_back(s):
    s.nodes[0]("write(d + '/f', '00000000')")
    s.nodes[0].start("fd = os.open(d + '/f', os.O_WRONLY)\n"
                     "for i in range(400): os.pwrite(fd, b'%08d' % i, 0)\nos.close(fd)")
    for node in s.nodes[1:]:
        node.start("fd = os.open(d + '/f', os.O_RDONLY)\nseen = [int(os.pread(fd, 8, 0)) for i in range(400)]\n"
                   "os.close(fd)\nseen == sorted(seen)")
    s.nodes[0].answer()
    for node in s.nodes[1:]:
        s.same(f"in order on node {node.number}", True, node.answer())


@case
def three_nodes_fill_their_shares_of_one_file(s):
    """Interleaved blocks that do not meet at pages: nobody's may be lost under another's page."""
    block, count = 1000, 60
    s.nodes[0]("write(d + '/f', '')")
    all_at_once(s, lambda node: "fd = os.open(d + '/f', os.O_WRONLY)\n"
                                f"for i in range({node.number - 1}, {3 * count}, 3): "
                                f"os.pwrite(fd, b'{node.number}' * {block}, i * {block})\nos.close(fd)")
    s.everywhere("all blocks", [[str(i % 3 + 1), block] for i in range(3 * count)], "runs(d + '/f')")


@case
def three_nodes_fill_one_page_byte_by_byte(s):
    s.nodes[0]("write(d + '/f', '')")
    all_at_once(s, lambda node: "fd = os.open(d + '/f', os.O_RDWR)\n"
                                f"for i in range({node.number - 1}, 300, 3): os.pwrite(fd, b'{node.number}', i)\n"
                                "os.close(fd)")
    s.everywhere("all bytes", "123" * 100, "read(d + '/f')")


@case
def a_locked_counter_counts_all(s):
    s.nodes[0]("write(d + '/counter', '0')")
    all_at_once(s, lambda node: """
for i in range(40):
    fd = os.open(d + '/counter', os.O_RDWR)
    flock(fd, fcntl.LOCK_EX)
    n = int(os.pread(fd, 20, 0))
    os.pwrite(fd, str(n + 1).encode(), 0)
    os.close(fd)
""")
    s.everywhere("the sum", "120", "read(d + '/counter')")


@case
def a_counter_under_a_posix_lock_counts_all(s):
    s.nodes[0]("write(d + '/counter', '0')")
    all_at_once(s, lambda node: """
fd = os.open(d + '/counter', os.O_RDWR)
for i in range(40):
    lock(fd, fcntl.F_WRLCK, wait=True)
    n = int(os.pread(fd, 20, 0))
    os.pwrite(fd, str(n + 1).encode(), 0)
    lock(fd, fcntl.F_UNLCK)
os.close(fd)
""")
    s.everywhere("the sum", "120", "read(d + '/counter')")


@case
def a_counter_under_a_lock_file_counts_all(s):
    s.nodes[0]("write(d + '/counter', '0')")
    all_at_once(s, lambda node: """
for i in range(15):
    while True:
        try:
            os.close(os.open(d + '/lock', os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            time.sleep(0.002)
    n = int(read(d + '/counter'))
    write(d + '/counter', str(n + 1))
    os.unlink(d + '/lock')
""")
    s.everywhere("the sum", "45", "read(d + '/counter')")


@case
def the_ends_of_a_growing_file_are_never_undone(s):
    """The size that a reader sees goes only up while the writers append."""
    a, b, c = s.nodes
    a("write(d + '/f', '')")
    for node in (a, b):
        node.start("for i in range(80): append(d + '/f', 'x' * 100)")
    s.same("sizes in order", True, c("seen = [os.stat(d + '/f').st_size for i in range(200)]\nseen == sorted(seen)"))
    for node in (a, b):
        node.answer()
    s.everywhere("size", 16000, "os.stat(d + '/f').st_size")


@case
def readers_of_whole_files_replaced_by_rename_see_whole_files(s):
    s.nodes[0]("write(d + '/f', '0' * 3000)")
    s.nodes[1].start("for i in range(60):\n  write(d + '/new', str(i % 10) * 3000)\n  os.rename(d + '/new', d + '/f')")
    for node in (s.nodes[0], s.nodes[2]):
        s.same("torn or missing", 0, node("bad = 0\nfor i in range(60):\n  t = read(d + '/f')\n"
                                          "  bad += len(t) != 3000 or len(set(t)) != 1\nbad"))
    s.nodes[1].answer()


@case
def a_message_passed_through_files_arrives_with_what_was_before_it(s):
    """Causality: who sees the flag sees the data that was written before it, in another file."""
    a, b, c = s.nodes
    for number in range(10):
        a.start(f"write(d + '/data', 'payload {number}' * 500)\nwrite(d + '/flag{number}', '')")
        for node in (b, c):
            s.same("after the flag", 0, node(f"while not exists(d + '/flag{number}'): pass\n"
                                             f"int(read(d + '/data') != 'payload {number}' * 500)"))
        a.answer()


@case
def a_token_goes_round(s):
    """Each node waits for its turn in one small file, over and over: the worst case for exclusive caching."""
    s.nodes[0]("write(d + '/turn', '0')")
    all_at_once(s, lambda node: f"""
fd = os.open(d + '/turn', os.O_RDWR)
for i in range({node.number - 1}, 60, 3):
    while os.pread(fd, 10, 0) != b'%d' % i: pass
    os.pwrite(fd, b'%d' % (i + 1), 0)
os.close(fd)
""")
    s.everywhere("turns", "60", "read(d + '/turn')")
