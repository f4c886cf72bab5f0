"""C1 and C2 for attributes: what chmod, chown, utimes, extended attributes and ACLs have changed is seen by every later
stat anywhere, and what they permit or forbid holds for the next call on any node - also of unprivileged users, who are
checked by the kernel of their own node, and also on the way along a path."""
from suite import case

USER, GROUP, OTHER = 4201, 4202, 4203


@case(native=True)
def a_mode_is_seen_by_all(s):
    s.nodes[0]("write(d + '/f', '')")
    for number, mode in enumerate((0o640, 0o400, 0o777, 0o4755, 0o2711, 0o1700, 0)):
        s.change(number, f"os.chmod(d + '/f', {mode})")
        s.everywhere(oct(mode), mode, "os.stat(d + '/f').st_mode & 0o7777")


@case(native=True)
def an_owner_is_seen_by_all(s):
    s.nodes[0]("write(d + '/f', '')")
    for number in range(6):
        s.change(number, f"os.chown(d + '/f', {USER + number}, {GROUP + number})")
        s.everywhere("owner", [USER + number, GROUP + number], "st = os.stat(d + '/f')\n[st.st_uid, st.st_gid]")


@case(native=True)
def times_set_are_seen_by_all(s):
    s.nodes[0]("write(d + '/f', '')")
    for number in range(6):
        s.change(number, f"os.utime(d + '/f', ns=({number} * 10 ** 9 + 1, {number} * 10 ** 9 + 2))")
        s.everywhere("times", [number * 10 ** 9 + 1, number * 10 ** 9 + 2],
                     "st = os.stat(d + '/f')\n[st.st_atime_ns, st.st_mtime_ns]")


@case(native=True)
def extended_attributes_are_seen_by_all(s):
    s.nodes[0]("write(d + '/f', '')")
    for number in range(6):
        s.everywhere("none", "ENODATA", "os.getxattr(d + '/f', 'user.key')")
        s.change(number, f"os.setxattr(d + '/f', 'user.key', b'value {number}')")
        s.everywhere("set", f"value {number}", "os.getxattr(d + '/f', 'user.key')")
        s.everywhere("listed", ["user.key"], "os.listxattr(d + '/f')")
        s.change(number + 1, "os.setxattr(d + '/f', 'user.key', b'other', os.XATTR_REPLACE)")
        s.everywhere("replaced", "other", "os.getxattr(d + '/f', 'user.key')")
        s.change(number + 2, "os.removexattr(d + '/f', 'user.key')")
        s.everywhere("not listed", [], "os.listxattr(d + '/f')")


@case
def one_of_three_sets_an_attribute_first(s):
    s.nodes[0]("write(d + '/f', '')")
    for number in range(8):
        for node in s.nodes:
            node.start(f"os.setxattr(d + '/f', 'user.k{number}', b'{node.number}', os.XATTR_CREATE)\n'won'")
        answers = [node.answer() for node in s.nodes]
        s.same("winners", ["EEXIST", "EEXIST", "won"], sorted(answers))
        if "won" in answers:
            s.everywhere("whose", str(answers.index("won") + 1), f"os.getxattr(d + '/f', 'user.k{number}')")


@case
def attributes_of_a_held_file_are_those_of_its_name(s):
    s.nodes[0]("write(d + '/f', 'x')")
    for node in s.nodes:
        node("fd = os.open(d + '/f', os.O_RDWR)")
    changes = ["os.fchmod(fd, 0o640)", f"os.fchown(fd, {USER}, {GROUP})", "os.setxattr(fd, 'user.a', b'1')",
               "os.ftruncate(fd, 100)", "os.utime(fd, ns=(5, 6))", "os.link(d + '/f', d + '/g')"]
    for number, change in enumerate(changes):
        s.nodes[number % 3](change)
        answers = [node(f"attributes({what})") for node in s.nodes for what in ("fd", "d + '/f'")]
        s.same(f"after {change}", [answers[0]] * 6, answers)
    for node in s.nodes:
        node("os.close(fd)")


@case(native=True)
def a_taken_permission_is_missed_at_the_next_open(s):
    s.nodes[0](f"write(d + '/f', 'secret')\nos.chown(d + '/f', {USER}, {GROUP})\nos.chmod(d, 0o755)")
    for number in range(3):
        s.change(number, "os.chmod(d + '/f', 0o644)")
        s.everywhere("others may", "secret", f"as_user({OTHER}, \"read(d + '/f')\")")
        s.change(number + 1, "os.chmod(d + '/f', 0o640)")
        s.everywhere("others may not", "EACCES", f"as_user({OTHER}, \"read(d + '/f')\")")
        s.everywhere("the group may", "secret", f"as_user({OTHER}, \"read(d + '/f')\", {GROUP})")
        s.everywhere("a supplementary group may", "secret",
                     f"as_user({OTHER}, \"read(d + '/f')\", {OTHER}, [{GROUP}])")
        s.change(number + 2, "os.chmod(d + '/f', 0o200)")
        s.everywhere("the owner may not", "EACCES", f"as_user({USER}, \"read(d + '/f')\")")
        s.everywhere("root may", "secret", "read(d + '/f')")


@case(native=True)
def a_changed_owner_may_and_the_old_one_may_not(s):
    s.nodes[0]("write(d + '/f', 'secret')\nos.chmod(d + '/f', 0o600)\nos.chmod(d, 0o755)")
    for number in range(6):
        new, old = (USER, OTHER) if number % 2 == 0 else (OTHER, USER)
        s.change(number, f"os.chown(d + '/f', {new}, {new})")
        s.everywhere("the new", "secret", f"as_user({new}, \"read(d + '/f')\")")
        s.everywhere("the old", "EACCES", f"as_user({old}, \"read(d + '/f')\")")


@case(native=True)
def a_closed_directory_on_the_path_stops_users(s):
    s.nodes[0]("os.makedirs(d + '/a/b/c')\nwrite(d + '/a/b/c/f', 'deep')\nos.chmod(d, 0o755)")
    for number, place in enumerate(("a", "a/b", "a/b/c", "a/b", "a")):
        s.everywhere("open", "deep", f"as_user({USER}, \"read(d + '/a/b/c/f')\")")
        s.change(number, f"os.chmod(d + '/{place}', 0o700)")
        s.everywhere(f"{place} closed", "EACCES", f"as_user({USER}, \"read(d + '/a/b/c/f')\")")
        s.everywhere(f"{place} closed: stat", "EACCES", f"as_user({USER}, \"os.stat(d + '/a/b/c/f')\")")
        s.change(number + 1, f"os.chmod(d + '/{place}', 0o755)")
    s.everywhere("open again", "deep", f"as_user({USER}, \"read(d + '/a/b/c/f')\")")


@case
def a_directory_that_may_be_searched_but_not_listed(s):
    s.nodes[0]("os.mkdir(d + '/p')\nwrite(d + '/p/f', 'x')\nos.chmod(d, 0o755)")
    for number in range(3):
        s.nodes[number](f"os.chmod(d + '/p', 0o711)")
        s.everywhere("search", "x", f"as_user({USER}, \"read(d + '/p/f')\")")
        s.everywhere("list", "EACCES", f"as_user({USER}, \"names(d + '/p')\")")
        s.nodes[(number + 1) % 3]("os.chmod(d + '/p', 0o744)")
        s.everywhere("search", "EACCES", f"as_user({USER}, \"read(d + '/p/f')\")")
        s.everywhere("list", ["f"], f"as_user({USER}, \"names(d + '/p')\")")


@case
def a_directory_that_may_be_written_or_not(s):
    s.nodes[0]("os.mkdir(d + '/p')\nos.chmod(d, 0o755)")
    for number in range(3):
        s.nodes[number]("os.chmod(d + '/p', 0o777)")
        s.everywhere("create", 1, f"as_user({USER}, \"write(d + '/p/f', 'x')\")")
        s.nodes[(number + 1) % 3]("os.chmod(d + '/p', 0o755)")
        s.everywhere("create", "EACCES", f"as_user({USER}, \"write(d + '/p/g', 'x')\")")
        s.everywhere("remove", "EACCES", f"as_user({USER}, \"os.unlink(d + '/p/f')\")")
        s.everywhere("rename", "EACCES", f"as_user({USER}, \"os.rename(d + '/p/f', d + '/p/h')\")")
        s.nodes[(number + 2) % 3]("os.chmod(d + '/p', 0o1777)")
        s.everywhere("remove another's from a sticky one", "EACCES",
                     f"as_user({OTHER}, \"os.unlink(d + '/p/f')\").replace('EPERM', 'EACCES')")
        s.nodes[number](f"os.unlink(d + '/p/f')")


@case
def a_descriptor_keeps_what_it_was_opened_for(s):
    a, b, c = s.nodes
    a(f"write(d + '/f', 'text')\nos.chmod(d, 0o755)\nos.chmod(d + '/f', 0o666)")
    b("fd = os.open(d + '/f', os.O_RDWR)")
    a("os.chmod(d + '/f', 0)")
    s.same("a new open", "EACCES", b(f"as_user({USER}, \"read(d + '/f')\")"))
    s.same("reading on", "text", b("os.setegid(%d)\nos.seteuid(%d)\ntry:\n  t = os.pread(fd, 10, 0)\nfinally:\n"
                                   "  os.seteuid(0)\n  os.setegid(0)\nt" % (USER, USER)))
    b("os.close(fd)")


@case(native=True)
def an_acl_permits_and_forbids_at_once(s):
    s.nodes[0]("write(d + '/f', 'acl')\nos.chmod(d + '/f', 0o600)\nos.chmod(d, 0o755)")
    for number in range(3):
        s.everywhere("before", "EACCES", f"as_user({USER}, \"read(d + '/f')\")")
        s.change(number, f"os.setxattr(d + '/f', 'system.posix_acl_access', acl(6, {{{USER}: 4}}, 0, 4, 0))")
        s.everywhere("the named user", "acl", f"as_user({USER}, \"read(d + '/f')\")")
        s.everywhere("another", "EACCES", f"as_user({OTHER}, \"read(d + '/f')\")")
        s.everywhere("the mask is the mode's group", 0o640, "os.stat(d + '/f').st_mode & 0o777")
        s.change(number + 1, "os.chmod(d + '/f', 0o600)")
        s.everywhere("masked by chmod", "EACCES", f"as_user({USER}, \"read(d + '/f')\")")
        s.change(number + 2, "os.removexattr(d + '/f', 'system.posix_acl_access')")
        s.everywhere("removed", "ENODATA", "os.getxattr(d + '/f', 'system.posix_acl_access')")


@case
def a_default_acl_is_inherited_by_what_another_node_makes(s):
    a, b, c = s.nodes
    a(f"os.mkdir(d + '/p')\nos.setxattr(d + '/p', 'system.posix_acl_default', acl(7, {{{USER}: 6}}, 5, 7, 0))")
    b("write(d + '/p/f', 'inherited', mode=0o666)\nos.mkdir(d + '/p/sub')")
    s.everywhere("the named user", "inherited", f"as_user({USER}, \"read(d + '/p/f')\")")
    s.everywhere("the subdirectory has it too", True,
                 "os.getxattr(d + '/p/sub', 'system.posix_acl_default') == "
                 "os.getxattr(d + '/p', 'system.posix_acl_default')")
    c("os.removexattr(d + '/p', 'system.posix_acl_default')")
    a("write(d + '/p/g', 'plain', mode=0o600)")
    s.everywhere("not any more", "EACCES", f"as_user({USER}, \"read(d + '/p/g')\")")


@case
def a_write_takes_the_set_id_bits_for_all(s):
    s.nodes[0](f"write(d + '/f', 'x')\nos.chmod(d, 0o755)")
    for number in range(3):
        s.nodes[number]("os.chmod(d + '/f', 0o6777)")
        s.everywhere("set", 0o6777, "os.stat(d + '/f').st_mode & 0o7777")
        s.nodes[(number + 1) % 3](f"as_user({USER}, \"append(d + '/f', 'y')\")")
        s.everywhere("taken", 0o777, "os.stat(d + '/f').st_mode & 0o7777")


@case
def chown_takes_the_set_id_bits_for_all(s):
    s.nodes[0]("write(d + '/f', 'x')")
    for number in range(3):
        s.nodes[number]("os.chmod(d + '/f', 0o6755)")
        s.everywhere("set", 0o6755, "os.stat(d + '/f').st_mode & 0o7777")
        s.nodes[(number + 1) % 3](f"os.chown(d + '/f', {USER + number}, {GROUP})")
        s.everywhere("taken", 0o755, "os.stat(d + '/f').st_mode & 0o7777")


@case
def a_set_group_directory_gives_its_group(s):
    s.nodes[0](f"os.mkdir(d + '/p')")
    for number in range(3):
        s.nodes[number](f"os.chown(d + '/p', 0, {GROUP + number})\nos.chmod(d + '/p', 0o2777)")
        maker = s.nodes[(number + 1) % 3]
        maker(f"write(d + '/p/f{number}', '')\nos.mkdir(d + '/p/s{number}')")
        s.everywhere("groups", [GROUP + number] * 2,
                     f"[os.stat(d + '/p/f{number}').st_gid, os.stat(d + '/p/s{number}').st_gid]")
        s.everywhere("handed down", True, f"bool(os.stat(d + '/p/s{number}').st_mode & 0o2000)")


@case(native=True)
def sizes_and_blocks_agree(s):
    s.nodes[0]("write(d + '/f', '')")
    for number, size in enumerate((1, 5000, 123456, 10, 0)):
        s.change(number, f"write(d + '/f', 'b' * {size})")
        s.everywhere("size", size, "os.stat(d + '/f').st_size")
        s.everywhere("blocks", size > 0, "os.stat(d + '/f').st_blocks > 0")


@case
def a_writers_unflushed_size_is_seen_by_stat(s):
    a, b, c = s.nodes
    a("fd = os.open(d + '/f', os.O_WRONLY | os.O_CREAT)")
    total = 0
    for number in range(10):
        a(f"os.write(fd, b'x' * {number * 700 + 1})")
        total += number * 700 + 1
        s.same("size", [total, total], [b("os.stat(d + '/f').st_size"), c("os.stat(d + '/f').st_size")])
    a("os.close(fd)")


@case
def immutable_and_append_only_are_respected_everywhere(s):
    """Set natively where the file system has them: the owner decides about every change."""
    native = s.native_writer()
    native("write(d + '/f', 'fixed')")
    s.everywhere("before", "fixed", "read(d + '/f')")
    if native("shell(f'chattr +i {d}/f')")[0] != 0:
        return
    s.everywhere("write", "EPERM", "write(d + '/f', 'x')")
    s.everywhere("unlink", "EPERM", "os.unlink(d + '/f')")
    native("shell(f'chattr -i {d}/f')")
    s.nodes[1]("write(d + '/f', 'free')")
    s.everywhere("after", "free", "read(d + '/f')")
