"""C2, names: a completed create, unlink, rename, link, symlink, mkdir or rmdir is seen by every later lookup and
listing anywhere, also by those who have asked for the name before and were told that there is none."""
from suite import case


@case(native=True)
def names_come_and_go_for_all(s):
    for number in range(3):
        s.everywhere("before it is made", "ENOENT", "os.stat(d + '/name').st_size")
        s.change(number, "write(d + '/name', 'made')")
        s.everywhere("made", "made", "read(d + '/name')")
        s.everywhere("made: listing", ["name"], "names(d)")
        s.change(number, "os.rename(d + '/name', d + '/other')")
        s.everywhere("renamed: old name", "ENOENT", "read(d + '/name')")
        s.everywhere("renamed: new name", "made", "read(d + '/other')")
        s.everywhere("renamed: listing", ["other"], "names(d)")
        s.change(number + 1, "os.unlink(d + '/other')")
        s.everywhere("unlinked", "ENOENT", "read(d + '/other')")
        s.everywhere("unlinked: listing", [], "names(d)")


@case(native=True, variants={
    "file": ("write(d + '/x', '')",), "directory": ("os.mkdir(d + '/x')",),
    "symlink": ("os.symlink('nowhere', d + '/x')",), "fifo": ("os.mkfifo(d + '/x')",),
    "link": ("write(d + '/../src-' + os.path.basename(d), '')\n"
             "os.rename(d + '/../src-' + os.path.basename(d), d + '/x')",)})
def a_name_that_was_asked_for_often_appears_at_once(s, make):
    for number in range(4):
        s.everywhere("not there", [False] * 20, "[exists(d + '/x') for i in range(20)]")
        s.change(number, make)
        s.everywhere("there", True, "exists(d + '/x')")
        s.change(number + 1, "os.rmdir(d + '/x') if os.path.isdir(d + '/x') and not os.path.islink(d + '/x') "
                             "else os.unlink(d + '/x')")
        s.everywhere("not there again", False, "exists(d + '/x')")


@case(native=True)
def opening_with_o_creat_finds_what_another_made(s):
    for number in range(3):
        name = f"/f{number}"
        s.everywhere("not there", "ENOENT", f"read(d + {name!r})")
        s.change(number, f"write(d + {name!r}, 'first')")
        s.everywhere("exclusive creation", "EEXIST", f"os.open(d + {name!r}, os.O_CREAT | os.O_EXCL)")
        s.everywhere("opening it", "first", f"fd = os.open(d + {name!r}, os.O_CREAT | os.O_RDWR)\n"
                                            "text = os.read(fd, 10).decode()\nos.close(fd)\ntext")


@case(native=True)
def a_removed_name_is_free_again(s):
    for number in range(3):
        s.change(number, "write(d + '/f', 'x')")
        s.everywhere("there", True, "exists(d + '/f')")
        s.change(number + 1, "os.unlink(d + '/f')")
        s.everywhere("gone", False, "exists(d + '/f')")
        s.change(number + 2, "os.mkdir(d + '/f')")
        s.everywhere("a directory now", [], "names(d + '/f')")
        s.change(number, "os.rmdir(d + '/f')")
        s.everywhere("gone again", False, "exists(d + '/f')")


@case(native=True)
def a_replaced_file_is_the_new_one_for_all(s):
    for number in range(3):
        s.change(number, f"write(d + '/live.new', 'version {number}')\nos.rename(d + '/live.new', d + '/live')")
        s.everywhere("replaced", f"version {number}", "read(d + '/live')")
        s.everywhere("listing", ["live"], "names(d)")


@case
def a_file_saved_as_editors_do_is_the_new_one(s):
    for number in range(3):
        s.nodes[number % 3](f"write(d + '/f', 'text {number}') if not exists(d + '/f') else None\n"
                            f"write(d + '/.f.swp', 'text {number}')\n"
                            "os.rename(d + '/f', d + '/f~') if exists(d + '/f') else None\n"
                            "os.rename(d + '/.f.swp', d + '/f')")
        s.everywhere("content", f"text {number}", "read(d + '/f')")
        s.everywhere("names", ["f", "f~"], "names(d)")


@case(native=True)
def an_exchange_is_seen_by_all(s):
    s.nodes[0]("write(d + '/a', 'A')\nwrite(d + '/b', 'B')")
    for number in range(3):
        s.change(number, "renameat2(d + '/a', d + '/b', RENAME_EXCHANGE)")
        wanted = ["B", "A"] if number % 2 == 0 else ["A", "B"]
        s.everywhere("exchanged", wanted, "[read(d + '/a'), read(d + '/b')]")


@case
def a_file_and_a_directory_exchange_their_names(s):
    s.nodes[0]("write(d + '/f', 'file')\nos.mkdir(d + '/dir')\nwrite(d + '/dir/in', 'inner')")
    s.everywhere("before", ["file", "inner"], "[read(d + '/f'), read(d + '/dir/in')]")
    s.nodes[1]("renameat2(d + '/f', d + '/dir', RENAME_EXCHANGE)")
    s.everywhere("after", ["file", "inner"], "[read(d + '/dir'), read(d + '/f/in')]")
    s.nodes[2]("renameat2(d + '/f', d + '/dir', RENAME_EXCHANGE)")
    s.everywhere("back", ["file", "inner"], "[read(d + '/f'), read(d + '/dir/in')]")


@case
def a_rename_that_must_not_replace_does_not(s):
    a, b, c = s.nodes
    s.everywhere("free", False, "exists(d + '/new')")
    a("write(d + '/old', 'old')")
    b("write(d + '/new', 'new')")
    s.everywhere("refused", "EEXIST", "renameat2(d + '/old', d + '/new', RENAME_NOREPLACE)")
    c("os.unlink(d + '/new')")
    s.same("allowed now", None, a("renameat2(d + '/old', d + '/new', RENAME_NOREPLACE)"))
    s.everywhere("renamed", [["new"], "old"], "[names(d), read(d + '/new')]")


@case(native=True)
def a_rename_between_directories_is_seen_in_both(s):
    s.nodes[0]("os.mkdir(d + '/p')\nos.mkdir(d + '/q')\nwrite(d + '/p/f', 'text')")
    for number in range(3):
        here, there = ("p", "q") if number % 2 == 0 else ("q", "p")
        s.everywhere("before", [["f"], []], f"[names(d + '/{here}'), names(d + '/{there}')]")
        s.everywhere("before", "ENOENT", f"read(d + '/{there}/f')")
        s.change(number, f"os.rename(d + '/{here}/f', d + '/{there}/f')")
        s.everywhere("after", [[], ["f"]], f"[names(d + '/{here}'), names(d + '/{there}')]")
        s.everywhere("the new path", "text", f"read(d + '/{there}/f')")
        s.everywhere("the old path", "ENOENT", f"read(d + '/{here}/f')")


@case(native=True)
def links_are_seen_and_counted_by_all(s):
    s.nodes[0]("write(d + '/f', 'text')")
    for number in range(3):
        s.everywhere("before", "ENOENT", f"read(d + '/link{number}')")
        s.change(number, f"os.link(d + '/f', d + '/link{number}')")
        s.everywhere("the link", "text", f"read(d + '/link{number}')")
        s.everywhere("links", number + 2, "os.stat(d + '/f').st_nlink")
        s.everywhere("one inode", True, f"os.path.samefile(d + '/f', d + '/link{number}')")
    for number in range(3):
        s.change(number, f"os.unlink(d + '/link{number}')")
        s.everywhere("links", 3 - number, "os.stat(d + '/f').st_nlink")


@case(native=True)
def what_is_written_by_one_name_is_read_by_the_other(s):
    s.nodes[0]("write(d + '/f', 'text')\nos.link(d + '/f', d + '/g')")
    for number in range(3):
        name = "fg"[number % 2]
        s.change(number, f"write(d + '/{name}', 'by {name} {number}')")
        s.everywhere("read by both", [f"by {name} {number}"] * 2, "[read(d + '/f'), read(d + '/g')]")


@case(native=True)
def symlinks_change_for_all(s):
    s.nodes[0]("write(d + '/one', 'one')\nwrite(d + '/two', 'two')")
    for number in range(3):
        target = ("one", "two")[number % 2]
        s.change(number, f"os.symlink('{target}', d + '/new')\nos.rename(d + '/new', d + '/link')")
        s.everywhere("the link", target, "os.readlink(d + '/link')")
        s.everywhere("through it", target, "read(d + '/link')")


@case(native=True)
def symlinks_made_and_removed_again(s):
    for number in range(3):
        target = "t" * (number * 30 + 1)
        s.everywhere("none", "ENOENT", "os.readlink(d + '/link')")
        s.change(number, f"os.symlink('{target}', d + '/link')")
        s.everywhere("the link", target, "os.readlink(d + '/link')")
        s.everywhere("its size", len(target), "os.lstat(d + '/link').st_size")
        s.change(number + 1, "os.unlink(d + '/link')")


@case
def a_path_through_a_changed_symlink_leads_to_the_new_place(s):
    s.nodes[0]("os.mkdir(d + '/a')\nos.mkdir(d + '/b')\nwrite(d + '/a/f', 'in a')\nwrite(d + '/b/f', 'in b')")
    for number in range(3):
        s.nodes[number % 3](f"os.symlink('{'ab'[number % 2]}', d + '/n')\nos.rename(d + '/n', d + '/cur')")
        s.everywhere("through", f"in {'ab'[number % 2]}", "read(d + '/cur/f')")


@case
def special_files_are_seen_by_all(s):
    a, b, c = s.nodes
    a("os.mkfifo(d + '/fifo', 0o640)")
    b("os.mknod(d + '/socket', 0o140600)")
    c("os.mknod(d + '/device', 0o020600, os.makedev(1, 3))")
    s.everywhere("types", [0o010640, 0o140600, 0o020600],
                 "[os.lstat(d + '/' + n).st_mode for n in ('fifo', 'socket', 'device')]")
    s.everywhere("the device", [1, 3], "r = os.lstat(d + '/device').st_rdev\n[os.major(r), os.minor(r)]")
    b("os.unlink(d + '/fifo')")
    s.everywhere("removed", ["device", "socket"], "names(d)")


@case
def long_and_odd_names_are_the_same_everywhere(s):
    odd = ["n" * 255, "with space", "\u00e4\u00f6\u00fc\u4e2d", "-dash", "new\nline", ".hidden", "a'b\"c\\"]
    for number, name in enumerate(odd):
        s.everywhere("not yet", False, f"exists(d + '/' + {name!r})")
        s.nodes[number % 3](f"write(d + '/' + {name!r}, 'x')")
        s.everywhere("there", True, f"exists(d + '/' + {name!r})")
    s.everywhere("all", sorted(odd), "names(d)")
    s.everywhere("too long", "ENAMETOOLONG", "write(d + '/' + 'n' * 256, '')")


@case
def names_differ_in_case(s):
    s.nodes[0]("write(d + '/Name', 'N')")
    s.everywhere("the other is not there", "ENOENT", "read(d + '/name')")
    s.nodes[1]("write(d + '/name', 'n')")
    s.everywhere("both", ["N", "n"], "[read(d + '/Name'), read(d + '/name')]")


@case
def a_name_relative_to_an_open_directory_is_seen(s):
    s.nodes[0]("os.mkdir(d + '/dir')")
    for node in s.nodes:
        node("dfd = os.open(d + '/dir', os.O_RDONLY | os.O_DIRECTORY)")
    for number in range(3):
        s.everywhere("not there", "ENOENT", f"os.stat('f{number}', dir_fd=dfd).st_size")
        s.nodes[number % 3](f"os.close(os.open('f{number}', os.O_CREAT | os.O_WRONLY, dir_fd=dfd))")
        s.everywhere("there", 0, f"os.stat('f{number}', dir_fd=dfd).st_size")
    s.nodes[0]("os.rename(d + '/dir', d + '/moved')")
    s.nodes[1]("os.mkdir(d + '/dir')")
    s.everywhere("the directory went along", [f"f{i}" for i in range(3)], "names(dfd)")
    s.nodes[2]("os.unlink('f0', dir_fd=dfd)")
    s.everywhere("in the moved one", [f"f{i}" for i in range(1, 3)], "names(d + '/moved')")
    for node in s.nodes:
        node("os.close(dfd)")


@case
def one_of_three_exclusive_creators_wins(s):
    for number in range(12):
        for node in s.nodes:
            node.start(f"os.close(os.open(d + '/race{number}', os.O_CREAT | os.O_EXCL | os.O_WRONLY))\n'won'")
        answers = sorted(node.answer() for node in s.nodes)
        if not s.same("a race", ["EEXIST", "EEXIST", "won"], answers):
            break


@case(variants={
    "mkdir": ("os.mkdir(d + '/x{n}')", "EEXIST", ""),
    "symlink": ("os.symlink('x', d + '/x{n}')", "EEXIST", ""),
    "mkfifo": ("os.mkfifo(d + '/x{n}')", "EEXIST", ""),
    "link": ("os.link(d + '/src', d + '/x{n}')", "EEXIST", ""),
    "unlink": ("os.unlink(d + '/x{n}')", "ENOENT", "write(d + '/x{n}', '')"),
    "rmdir": ("os.rmdir(d + '/x{n}')", "ENOENT", "os.mkdir(d + '/x{n}')"),
    # Each to a name of its own: with one, a node that looks up both names around another's rename finds one object
    # under both, and renaming a file onto itself is no error.
    "rename": ("os.rename(d + '/x{n}', d + '/y{n}-{k}')", "ENOENT", "write(d + '/x{n}', '')"),
    "rename_noreplace": ("write(d + '/s{k}', '')\nrenameat2(d + '/s{k}', d + '/x{n}', RENAME_NOREPLACE)",
                         "EEXIST", ""),
})
def one_of_three_wins(s, code, loser, before):
    s.nodes[0]("write(d + '/src', '')")
    for number in range(8):
        s.nodes[number % 3](before.format(n=number) or "None")
        for node in s.nodes:
            node.start(code.format(n=number, k=node.number) + "\n'won'")
        answers = sorted(node.answer() for node in s.nodes)
        if not s.same("a race", [loser, loser, "won"], answers):
            break


@case
def a_name_that_is_exchanged_all_the_time_is_always_there(s):
    s.nodes[0]("write(d + '/a', 'A')\nwrite(d + '/b', 'B')")
    s.nodes[1].start("for i in range(100): renameat2(d + '/a', d + '/b', RENAME_EXCHANGE)")
    s.same("missing or wrong", 0, s.nodes[2](
        "bad = 0\nfor i in range(100):\n  bad += read(d + '/a') not in 'AB'\nbad"))
    s.nodes[1].answer()


@case
def nothing_moves_between_owners(s):
    f, other = s.path("here"), f"/mfs/{s.owner % 3 + 1}/there"
    s.nodes[0](f"write({f!r}, 'x')")
    s.everywhere("rename", "EXDEV", f"os.rename({f!r}, {other!r})")
    s.everywhere("link", "EXDEV", f"os.link({f!r}, {other!r})")
    s.everywhere("still here", "x", f"read({f!r})")
    s.everywhere("not there", "ENOENT", f"read({other!r})")
