"""C2, directories: trees that are made, moved and removed, and listings of small and of large directories."""
from suite import case


@case(native=True)
def directories_come_and_go_for_all(s):
    for turn in range(3):
        s.everywhere("before", "ENOENT", "names(d + '/dir')")
        s.change(turn, "os.mkdir(d + '/dir')")
        s.everywhere("mkdir", [], "names(d + '/dir')")
        s.change(turn + 1, "write(d + '/dir/in', 'inner')")
        s.everywhere("create inside", "inner", "read(d + '/dir/in')")
        s.everywhere("rmdir of a full one", "ENOTEMPTY", "os.rmdir(d + '/dir')")
        s.change(turn, "os.rename(d + '/dir', d + '/moved')")
        s.everywhere("inner file after the move", "inner", "read(d + '/moved/in')")
        s.everywhere("inner file by the old path", "ENOENT", "read(d + '/dir/in')")
        s.change(turn + 1, "os.unlink(d + '/moved/in')")
        s.change(turn, "os.rmdir(d + '/moved')")
        s.everywhere("rmdir", "ENOENT", "names(d + '/moved')")


@case(native=True)
def a_listing_follows_every_change(s):
    present = set()
    for number in range(15):
        s.change(number, f"write(d + '/n{number}', '')")
        present.add(f"n{number}")
        if number % 3 == 2:
            s.change(number, f"os.unlink(d + '/n{number - 1}')")
            present.discard(f"n{number - 1}")
        if number % 5 == 4:
            s.change(number, f"os.rename(d + '/n{number}', d + '/r{number}')")
            present.discard(f"n{number}")
            present.add(f"r{number}")
        s.everywhere(f"change {number}", sorted(present), "names(d)")


@case(native=True)
def an_open_directory_read_again_from_its_beginning_is_up_to_date(s):
    for node in s.nodes:
        node("dfd = os.open(d, os.O_RDONLY | os.O_DIRECTORY)\nnames(dfd)")
    for number in range(3):
        s.change(number, f"write(d + '/n{number}', '')")
        # listdir of a descriptor duplicates it and rewinds.
        s.everywhere(f"change {number}", [f"n{i}" for i in range(number + 1)], "names(dfd)")
    for node in s.nodes:
        node("os.close(dfd)")


@case(native=True)
def a_deep_path_changes_at_every_level(s):
    s.nodes[0]("os.makedirs(d + '/a/b/c/e')\nwrite(d + '/a/b/c/e/f', 'deep')")
    s.everywhere("before", "deep", "read(d + '/a/b/c/e/f')")
    for number, (old, new) in enumerate((("a/b/c/e", "a/b/c/E"), ("a/b/c", "a/b/C"), ("a/b", "a/B"), ("a", "A"))):
        s.change(number, f"os.rename(d + '/{old}', d + '/{new}')")
        s.everywhere(f"{old} by its old path", False, f"exists(d + '/{old}')")
    s.everywhere("after", "deep", "read(d + '/A/B/C/E/f')")
    s.everywhere("the old path", "ENOENT", "read(d + '/a/b/c/e/f')")


@case
def a_working_directory_that_moves_goes_along(s):
    a, b, c = s.nodes
    a("os.makedirs(d + '/x/y')\nwrite(d + '/x/y/f', 'here')")
    b("os.chdir(d + '/x/y')\nread('f')")
    c("os.rename(d + '/x', d + '/z')")
    s.same("a relative path", "here", b("read('f')"))
    s.same("its parent", ["y"], b("names('..')"))
    c("write(d + '/z/y/g', 'new')")
    s.same("a new one", "new", b("read('g')"))
    b("os.chdir('/')")


@case
def a_moved_directory_has_its_new_parent(s):
    a, b, c = s.nodes
    a("os.makedirs(d + '/p/sub')\nos.mkdir(d + '/q')\nwrite(d + '/p/mark', 'p')\nwrite(d + '/q/mark', 'q')")
    b("dfd = os.open(d + '/p/sub', os.O_RDONLY | os.O_DIRECTORY)\nNone")
    s.same("its parent", ["mark", "sub"], b("names(os.open('..', os.O_RDONLY, dir_fd=dfd))"))
    c("os.rename(d + '/p/sub', d + '/q/sub')")
    s.everywhere("links of the old parent", 2, "os.stat(d + '/p').st_nlink")
    s.everywhere("links of the new parent", 3, "os.stat(d + '/q').st_nlink")
    s.everywhere("its new parent by path", "q", "read(d + '/q/sub/../mark')")


@case
def a_directory_replaced_by_rename_is_the_new_one(s):
    for number in range(3):
        a, b = s.nodes[number % 3], s.nodes[(number + 1) % 3]
        a("os.makedirs(d + '/dir', exist_ok=True)")
        s.everywhere("old, empty", [], "names(d + '/dir')")
        b("os.mkdir(d + '/new')\nwrite(d + '/new/f', 'new')\nos.rename(d + '/new', d + '/dir')")
        s.everywhere("new", ["f"], "names(d + '/dir')")
        a("os.unlink(d + '/dir/f')")


@case
def directories_are_not_replaced_where_they_must_not(s):
    a, b, c = s.nodes
    a("os.mkdir(d + '/full')\nwrite(d + '/f', '')\nos.mkdir(d + '/dir')")
    b("write(d + '/full/in', '')")
    s.everywhere("over a full one", "ENOTEMPTY", "os.rename(d + '/dir', d + '/full')")
    s.everywhere("over a file", "ENOTDIR", "os.rename(d + '/dir', d + '/f')")
    s.everywhere("a file over it", "EISDIR", "os.rename(d + '/f', d + '/dir')")
    s.everywhere("into itself", "EINVAL", "os.rename(d + '/full', d + '/full/sub')")
    c("os.unlink(d + '/full/in')")
    s.same("over the empty one", None, a("os.rename(d + '/dir', d + '/full')"))
    s.everywhere("one of them", ["f", "full"], "names(d)")


@case
def a_tree_made_by_one_and_removed_by_another(s):
    a, b, c = s.nodes
    for number in range(3):
        maker, remover = s.nodes[number], s.nodes[(number + 1) % 3]
        maker("for i in range(5):\n  os.makedirs(d + f'/t/{i}/x')\n  write(d + f'/t/{i}/x/f', str(i))")
        s.everywhere("whole", [[str(i), ["x"], [], ["f"]][3] for i in range(5)],
                     "[names(d + f'/t/{i}/x') for i in range(5)]")
        s.same("rm -r", [0, ""], remover("shell(f'rm -r {d}/t')"))
        s.everywhere("gone", [], "names(d)")


@case
def the_links_of_a_directory_count_its_subdirectories(s):
    for number in range(5):
        s.everywhere("links", 2 + number, "os.stat(d).st_nlink")
        s.nodes[number % 3](f"os.mkdir(d + '/{number}')")
    for number in range(5):
        s.nodes[(number + 1) % 3](f"os.rmdir(d + '/{number}')")
        s.everywhere("links", 6 - number, "os.stat(d).st_nlink")


@case(native=True, owners=(2,))
def a_large_directory_is_listed_whole_after_changes(s):
    count = 1200
    s.change(0, f"for i in range({count}): os.close(os.open(d + f'/file-with-a-longer-name-{{i:05d}}', "
                "os.O_CREAT | os.O_WRONLY))")
    s.everywhere("all", count, "len(set(names(d)))")
    s.change(1, f"for i in range(0, {count}, 2): os.unlink(d + f'/file-with-a-longer-name-{{i:05d}}')")
    s.everywhere("half", [f"file-with-a-longer-name-{i:05d}" for i in range(1, count, 2)], "names(d)")
    s.change(2, "write(d + '/one-more', '')")
    s.everywhere("one more", count // 2 + 1, "len(set(names(d)))")
    s.everywhere("found by name", [False, True], "[exists(d + '/file-with-a-longer-name-00000'), "
                                                 "exists(d + '/file-with-a-longer-name-00001')]")


@case(owners=(3,))
def two_nodes_fill_and_empty_one_large_directory(s):
    a, b, c = s.nodes
    for node in (a, b):
        node.start(f"for i in range(800): os.close(os.open(d + f'/{node.number}-{{i}}', os.O_CREAT | os.O_WRONLY))")
    for node in (a, b):
        node.answer()
    s.everywhere("all", 1600, "len(set(names(d)))")
    # Each removes what the other has made.
    for node in (a, b):
        node.start(f"for i in range(800): os.unlink(d + f'/{3 - node.number}-{{i}}')")
    # Who lists meanwhile sees each name at most once.
    s.same("doubled names", 0, c("double = 0\nfor i in range(10):\n  n = os.listdir(d)\n  double += len(n) - len(set(n))\n"
                                 "double"))
    for node in (a, b):
        node.answer()
    s.everywhere("none", [], "names(d)")


@case(owners=(1,))
def names_that_stay_are_in_every_listing(s):
    """What is there all the time must be listed exactly once, whatever comes and goes beside it."""
    a, b, c = s.nodes
    a("for i in range(300): write(d + f'/stays-{i:03d}', '')")
    for node in (a, b):
        node.start(f"for i in range(150):\n  write(d + f'/{node.number}-{{i}}', '')\n  os.unlink(d + f'/{node.number}-{{i}}')")
    s.same("listings", [True] * 12, c(
        "ok = []\nfor i in range(12):\n  n = [x for x in os.listdir(d) if x.startswith('stays')]\n"
        "  ok.append(sorted(n) == [f'stays-{i:03d}' for i in range(300)])\nok"))
    for node in (a, b):
        node.answer()


@case
def files_made_in_a_directory_that_is_being_removed(s):
    """Either the directory is gone and the creation failed, or the file is there and rmdir failed."""
    a, b, c = s.nodes
    for number in range(12):
        a(f"os.mkdir(d + '/x{number}')")
        s.everywhere("there", [], f"names(d + '/x{number}')")
        a.start(f"os.rmdir(d + '/x{number}')\n'removed'")
        b.start(f"write(d + '/x{number}/f', '')\n'made'")
        answers = [a.answer(), b.answer()]
        s.same("one of them", True, answers in (["removed", "ENOENT"], ["ENOTEMPTY", "made"]))
        s.same("and it is so", answers[1] == "made", c(f"exists(d + '/x{number}/f')"))


@case
def directories_renamed_into_each_other_at_once(s):
    """mv a b/ on one node and mv b a/ on another: a loop would be unreachable."""
    a, b, c = s.nodes
    for number in range(8):
        a(f"os.makedirs(d + '/{number}/a')\nos.makedirs(d + '/{number}/b')")
        a.start(f"os.rename(d + '/{number}/a', d + '/{number}/b/a')\n'done'")
        b.start(f"os.rename(d + '/{number}/b', d + '/{number}/a/b')\n'done'")
        answers = [a.answer(), b.answer()]
        s.same("exactly one", 1, answers.count("done"))
        s.same("the loser's error", True, ("EINVAL" in answers) or ("ENOENT" in answers))
        s.same("reachable", 2, c(f"sum(len(x[1]) for x in os.walk(d + '/{number}'))"))
