"""C8: changes made on the owner outside /mfs are noticed, and what is changed through /mfs is there natively at once. (Most cases of
the other groups also run with a native writer.)"""
from suite import case


@case
def what_is_done_through_mfs_is_there_natively_at_once(s):
    native = s.native_writer()
    for number in range(6):
        node = s.nodes[number % 3]
        node(f"write(d + '/f', 'version {number}')")
        s.same("content", f"version {number}", native("read(d + '/f')"))
        node(f"append(d + '/f', ' and more')")
        s.same("appended", f"version {number} and more", native("read(d + '/f')"))
        node(f"os.rename(d + '/f', d + '/g')")
        s.same("name", ["g"], native("names(d)"))
        node(f"os.chmod(d + '/g', 0o6{number}0)")
        s.same("mode", int(f"0o6{number}0", 8), native("os.stat(d + '/g').st_mode & 0o7777"))
        node("os.unlink(d + '/g')")
        s.same("gone", [], native("names(d)"))


@case
def a_native_reader_with_a_held_descriptor_sees_remote_writes(s):
    native = s.native_writer()
    native("write(d + '/f', 'start')\nfd = os.open(d + '/f', os.O_RDONLY)\nm = mmap.mmap(fd, 5, prot=mmap.PROT_READ)")
    for number in range(6):
        s.nodes[number % 3](f"pwrite(d + '/f', '{number:05d}', 0)")
        s.same("read", f"{number:05d}", native("os.pread(fd, 5, 0)"))
        s.same("mapped", f"{number:05d}", native("m[:]"))


@case
def a_native_appender_and_remote_ones_lose_nothing(s):
    native = s.native_writer()
    native("write(d + '/log', '')")
    everyone = s.nodes + [native]
    for i, who in enumerate(everyone):
        who.start("fd = os.open(d + '/log', os.O_WRONLY | os.O_APPEND)\n"
                  f"for i in range(50): os.write(fd, b'{i}' * 31 + b'\\n')\nos.close(fd)")
    for who in everyone:
        who.answer()
    lines = native("read(d + '/log')").splitlines()
    for i in range(len(everyone)):
        s.same(f"records of {i}", 50, lines.count(str(i) * 31))
    s.natively = True
    s.everywhere("seen by all", 200 * 32, "os.stat(d + '/log').st_size")


@case
def native_and_remote_creators_race(s):
    native = s.native_writer()
    for number in range(10):
        everyone = s.nodes + [native]
        for who in everyone:
            who.start(f"os.close(os.open(d + '/race{number}', os.O_CREAT | os.O_EXCL | os.O_WRONLY))\n'won'")
        s.same("one wins", ["EEXIST"] * 3 + ["won"], sorted(who.answer() for who in everyone))


@case
def a_native_removal_under_a_held_descriptor(s):
    native = s.native_writer()
    native("write(d + '/f', 'kept')")
    for node in s.nodes:
        node("fd = os.open(d + '/f', os.O_RDWR)")
    s.nodes[s.owner % 3]("os.pwrite(fd, b'KEPT', 0)")
    s.same("a remote write is there natively", "KEPT", native("read(d + '/f')"))
    native("os.unlink(d + '/f')")
    s.natively = True
    s.everywhere("gone", False, "exists(d + '/f')")
    s.everywhere("links", 0, "os.fstat(fd).st_nlink")
    s.everywhere("content", "KEPT", "os.pread(fd, 10, 0)")
    for node in s.nodes:
        node("os.close(fd)")


@case
def a_native_tree_copied_in_and_removed(s):
    native = s.native_writer()
    native("for i in range(20):\n  os.makedirs(d + f'/t/{i}')\n  write(d + f'/t/{i}/f', str(i) * 100)")
    s.natively = True
    s.everywhere("all of it", [str(i) * 100 for i in range(20)], "[read(d + f'/t/{i}/f') for i in range(20)]")
    native("shell(f'rm -r {d}/t')")
    s.everywhere("none of it", [], "names(d)")


@case
def a_native_lock_holds_against_remote_ones(s):
    native = s.native_writer()
    native("fd = os.open(d + '/lock', os.O_RDWR | os.O_CREAT)\nlock(fd, fcntl.F_WRLCK)")
    for node in s.nodes:
        s.same("refused", "EAGAIN", node("fd = os.open(d + '/lock', os.O_RDWR)\nlock(fd, fcntl.F_WRLCK)"))
    native("lock(fd, fcntl.F_UNLCK)")
    s.same("free", "ok", s.nodes[0]("lock(fd, fcntl.F_WRLCK)"))
    s.same("and the other way", "EAGAIN", native("lock(fd, fcntl.F_WRLCK)"))


@case
def a_native_change_of_permissions_stops_users(s):
    native = s.native_writer()
    native("os.makedirs(d + '/p')\nwrite(d + '/p/f', 'secret')\nos.chmod(d, 0o755)")
    s.natively = True
    s.everywhere("open", "secret", "as_user(4201, \"read(d + '/p/f')\")")
    native("os.chmod(d + '/p', 0o700)")
    s.everywhere("closed", "EACCES", "as_user(4201, \"read(d + '/p/f')\")")


@case
def a_native_writer_that_holds_the_file_open(s):
    """Each of its writes is seen, although it never opens or closes anything that could be noticed."""
    native = s.native_writer()
    native("fd = os.open(d + '/f', os.O_RDWR | os.O_CREAT)\nm = None")
    s.natively = True
    for number in range(6):
        native(f"os.pwrite(fd, b'{number:05d}', 0)")
        s.everywhere("written", f"{number:05d}", "read(d + '/f')")
    native("m = mmap.mmap(fd, 5)")
    for number in range(6, 9):
        native(f"m[:] = b'{number:05d}'")
        s.everywhere("written through a map", f"{number:05d}", "read(d + '/f')")
