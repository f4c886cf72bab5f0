"""C4, links: what is open anywhere stays usable, with its right number of links, until the last close, and no leftover name
is ever seen."""
from suite import case

ENDS = {
    "unlinked": "os.unlink(d + '/f')",
    "replaced": "write(d + '/new', 'new')\nos.rename(d + '/new', d + '/f')",
}
LEFT = {"unlinked": [], "replaced": ["f"]}


@case(native=True, variants={f"{how}_{mode}": (how, flags) for how in ENDS for mode, flags in
                             (("held_for_reading", "os.O_RDONLY"), ("held_for_writing", "os.O_RDWR"))})
def an_open_file(s, how, flags):
    for number in range(3):
        holder, remover, third = (s.nodes[(number + i) % 3] for i in range(3))
        third("write(d + '/f', 'kept')")
        holder(f"fd = os.open(d + '/f', {flags})")
        third("fd = os.open(d + '/f', os.O_RDONLY)")
        s.same("links while it has a name", 1, holder("os.fstat(fd).st_nlink"))
        (s.native_writer() if s.natively else remover)(ENDS[how])
        s.everywhere("links", 0, "os.fstat(fd).st_nlink", nodes=[holder, third])
        s.same("still read", ["kept", "kept"], [holder("os.pread(fd, 10, 0)"), third("os.pread(fd, 10, 0)")])
        if flags == "os.O_RDWR":
            holder("os.pwrite(fd, b'KEPT and more', 0)")
            s.same("still written", "KEPT and more", third("os.pread(fd, 20, 0)"))
            holder("os.ftruncate(fd, 4)\nos.fchmod(fd, 0o600)")
            s.same("still cut", "KEPT", third("os.pread(fd, 20, 0)"))
            s.same("its mode", 0o600, third("os.fstat(fd).st_mode & 0o777"))
        s.everywhere("no leftover name", LEFT[how], "names(d)")
        text = holder("os.pread(fd, 20, 0)")
        holder("os.close(fd)")
        s.same("read after the first close", text, third("os.pread(fd, 20, 0)"))
        third("os.close(fd)")
        remover("exists(d + '/f') and os.unlink(d + '/f')")


@case
def a_file_unlinked_by_its_holder_is_still_shared(s):
    for number in range(3):
        a, b = s.nodes[number], s.nodes[(number + 1) % 3]
        a("fd = os.open(d + '/f', os.O_RDWR | os.O_CREAT)\nos.write(fd, b'mine')")
        b("fd = os.open(d + '/f', os.O_RDWR)")
        a("os.unlink(d + '/f')")
        b("os.pwrite(fd, b'ours', 0)")
        s.same("read", "ours", a("os.pread(fd, 10, 0)"))
        a("os.close(fd)")
        b("os.pwrite(fd, b'last', 0)")
        s.same("read", "last", b("os.pread(fd, 10, 0)"))
        b("os.close(fd)")
        s.everywhere("nothing left", [], "names(d)")


@case
def a_new_file_of_the_name_is_another_one(s):
    a, b, c = s.nodes
    a("fd = os.open(d + '/f', os.O_RDWR | os.O_CREAT)\nos.write(fd, b'old')")
    for number in range(5):
        b("os.unlink(d + '/f')")
        c(f"write(d + '/f', 'new {number}')")
        a("os.pwrite(fd, b'OLD', 0)")
        s.everywhere("the new one", f"new {number}", "read(d + '/f')")
        s.same("the old one", "OLD", a("os.pread(fd, 10, 0)"))
        s.same("two inodes", False, a("os.fstat(fd).st_ino == os.stat(d + '/f').st_ino"))
    a("os.close(fd)")


@case
def links_are_counted_down_to_none_for_a_holder(s):
    a, b, c = s.nodes
    a("write(d + '/f', 'x')\nos.link(d + '/f', d + '/g')\nos.link(d + '/f', d + '/h')")
    for node in s.nodes:
        node("fd = os.open(d + '/g', os.O_RDONLY)")
    for left, name, node in ((2, "f", b), (1, "h", c), (0, "g", a)):
        node(f"os.unlink(d + '/{name}')")
        s.everywhere("links", left, "os.fstat(fd).st_nlink")
    s.everywhere("still read", "x", "os.pread(fd, 5, 0)")
    for node in s.nodes:
        node("os.close(fd)")


@case
def one_of_two_links_replaced(s):
    a, b, c = s.nodes
    a("write(d + '/f', 'old')\nos.link(d + '/f', d + '/g')")
    b("fd = os.open(d + '/f', os.O_RDONLY)")
    c("write(d + '/n', 'new')\nos.rename(d + '/n', d + '/f')")
    s.same("links", 1, b("os.fstat(fd).st_nlink"))
    s.everywhere("both", ["new", "old"], "[read(d + '/f'), read(d + '/g')]")
    b("os.close(fd)")


@case
def a_map_of_an_unlinked_file_stays(s):
    a, b, c = s.nodes
    a("write(d + '/f', 'm' * 8192)")
    b("fd = os.open(d + '/f', os.O_RDWR)\nm = mmap.mmap(fd, 8192)\nos.close(fd)")
    c("os.unlink(d + '/f')")
    s.same("first page", "mmm", b("m[:3]"))
    s.same("second page", "mmm", b("m[5000:5003]"))
    b("m[0:3] = b'MMM'\nm.flush()")
    s.same("written", "MMMm", b("m[:4]"))
    b("m.close()")
    s.everywhere("nothing left", [], "names(d)")


@case
def a_removed_directory_stays_open(s):
    for number in range(3):
        a, b, c = (s.nodes[(number + i) % 3] for i in range(3))
        a("os.mkdir(d + '/dir')")
        for node in (b, a):
            node("fd = os.open(d + '/dir', os.O_RDONLY | os.O_DIRECTORY)")
        c("os.rmdir(d + '/dir')")
        for node in (b, a):
            s.same("create in it", "ENOENT", node("os.open('new', os.O_CREAT | os.O_WRONLY, dir_fd=fd)"))
            s.same("mkdir in it", "ENOENT", node("os.mkdir('new', dir_fd=fd)"))
            s.same("list it", [], node("names(fd)"))
            s.same("links", 0, node("os.fstat(fd).st_nlink"))
            node("os.close(fd)")


@case
def a_directory_made_again_under_the_name_is_another(s):
    a, b, c = s.nodes
    a("os.mkdir(d + '/dir')")
    b("fd = os.open(d + '/dir', os.O_RDONLY | os.O_DIRECTORY)")
    c("os.rmdir(d + '/dir')\nos.mkdir(d + '/dir')")
    a("write(d + '/dir/f', 'in the new one')")
    s.same("the old one", [], b("names(fd)"))
    s.same("the new one", ["f"], b("names(d + '/dir')"))
    s.same("no way into the old one", "ENOENT", b("os.open('f', os.O_RDONLY, dir_fd=fd)"))
    b("os.close(fd)")


@case
def a_nameless_file_is_nobodys_until_it_is_linked(s):
    for number in range(3):
        a, b = s.nodes[number], s.nodes[(number + 1) % 3]
        a("fd = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o644)")
        if a("None") == "EOPNOTSUPP":
            return
        s.same("links", 0, a("os.fstat(fd).st_nlink"))
        a("os.write(fd, b'nameless')")
        s.everywhere("no name", [], "names(d)")
        a("link_descriptor(fd, d + '/named')")
        s.everywhere("linked", "nameless", "read(d + '/named')")
        s.everywhere("links", 1, "os.stat(d + '/named').st_nlink")
        b("append(d + '/named', '!')")
        s.same("the same file", "nameless!", a("os.pread(fd, 20, 0)"))
        b("os.unlink(d + '/named')")
        s.same("links", 0, a("os.fstat(fd).st_nlink"))
        s.same("still read", "nameless!", a("os.pread(fd, 20, 0)"))
        a("os.close(fd)")
        s.everywhere("nothing left", [], "names(d)")


@case
def space_of_unlinked_files_comes_back_at_the_last_close(s):
    """The owner's file system must not keep what nobody has open any more."""
    a, b, c = s.nodes
    native = s.native_writer()
    mib = 1 << 20
    a(f"fd = os.open(d + '/f', os.O_RDWR | os.O_CREAT)\nfallocate(fd, 0, 0, {64 * mib})")
    b("fd = os.open(d + '/f', os.O_RDONLY)")
    inode = native("os.stat(d + '/f').st_ino")
    held = ("len([1 for p in os.listdir('/proc') if p.isdigit() for f in "
            "(os.listdir(f'/proc/{p}/fd') if os.path.isdir(f'/proc/{p}/fd') else []) "
            f"if os.path.exists(f'/proc/{{p}}/fd/{{f}}') and os.stat(f'/proc/{{p}}/fd/{{f}}').st_ino == {inode} "
            "and os.stat(f'/proc/{p}/fd/{f}').st_dev == os.stat(d).st_dev])")
    c("os.unlink(d + '/f')")
    s.same("held by the owner's daemon", True, native(held) > 0)
    a("os.close(fd)")
    b("os.close(fd)")
    from cluster import until
    s.same("not held any more", True, until(60, lambda: native(held) == 0) is not None)


@case
def many_open_unlinked_files_keep_their_own_content(s):
    a, b, c = s.nodes
    a("fds = []\nfor i in range(100):\n  fds.append(os.open(d + f'/f{i}', os.O_RDWR | os.O_CREAT))\n"
      "  os.write(fds[i], b'content %d' % i)")
    b("fds = [os.open(d + f'/f{i}', os.O_RDONLY) for i in range(100)]\nNone")
    c("for i in range(100): os.unlink(d + f'/f{i}')")
    # Inode numbers that came free would be taken by these.
    c("for i in range(100): write(d + f'/g{i}', 'another')")
    for node in (a, b):
        s.same("contents", [f"content {i}" for i in range(100)], node("[os.pread(f, 20, 0).decode() for f in fds]"))
        node("for f in fds: os.close(f)")


@case
def renaming_a_file_that_is_open_changes_nothing_for_its_holders(s):
    s.nodes[0]("os.mkdir(d + '/sub')\nwrite(d + '/f', 'text')")
    for node in s.nodes:
        node("fd = os.open(d + '/f', os.O_RDWR)")
    for number, (old, new) in enumerate((("f", "g"), ("g", "sub/h"), ("sub/h", "f"))):
        s.nodes[number](f"os.rename(d + '/{old}', d + '/{new}')")
        s.nodes[(number + 1) % 3](f"os.pwrite(fd, b'text{number}', 0)")
        s.everywhere("by descriptor", f"text{number}", "os.pread(fd, 10, 0)")
        s.everywhere("by its new name", f"text{number}", f"read(d + '/{new}')")
    for node in s.nodes:
        node("os.close(fd)")


@case
def an_unlinked_files_extended_attributes_and_times_stay(s):
    a, b, c = s.nodes
    a("fd = os.open(d + '/f', os.O_RDWR | os.O_CREAT)\nos.setxattr(fd, 'user.k', b'v')")
    b("fd = os.open(d + '/f', os.O_RDONLY)")
    c("os.unlink(d + '/f')")
    s.same("attribute", "v", b("os.getxattr(fd, 'user.k')"))
    a("os.setxattr(fd, 'user.k', b'w')\nos.utime(fd, ns=(11, 12))")
    s.same("attribute", "w", b("os.getxattr(fd, 'user.k')"))
    s.same("times", 12, b("times(fd)[0]"))
    for node in (a, b):
        node("os.close(fd)")


@case
def a_killed_holders_unlinked_file_is_let_go(s):
    a, b, c = s.nodes
    native = s.native_writer()
    pid = b("write(d + '/f', 'x')\nchild(\"fd = os.open(d + '/f', os.O_RDWR)\\nNone\")")
    a("fd = os.open(d + '/f', os.O_RDONLY)")
    c("os.unlink(d + '/f')")
    b(f"end({pid})")
    s.same("the other holder", "x", a("os.pread(fd, 5, 0)"))
    s.same("links", 0, a("os.fstat(fd).st_nlink"))
    a("os.close(fd)")
    s.same("no leftover, natively", [], native("names(d)"))
