"""C5, magic names resolve for the process that asks, also when it has moved; C6, a descriptor that processes on different nodes share
by fork has one offset. (What moves and how is tested in tests/migration; here only what /mfs shows.)"""
from suite import case


def mark_nodes(s):
    """A file `who` in each node's root that says whose it is."""
    for node in s.nodes:
        s.nodes[0](f"write('/mfs/{node.number}/who', '{node.number}')")


@case(owners=(1,))
def here_is_the_node_where_a_process_runs(s):
    mark_nodes(s)
    for node in s.nodes:
        s.same("here", str(node.number), node("read('/mfs/here/who')"))
        for other in s.nodes:
            s.same(f"here, started on {node.number} and moved to {other.number}", [0, str(other.number)],
                   node(f"shell('mosrun -n {other.number} cat /mfs/here/who')"))


@case(owners=(1,))
def home_is_the_node_where_a_process_was_created(s):
    mark_nodes(s)
    for node in s.nodes:
        s.same("home", str(node.number), node("read('/mfs/home/who')"))
        for other in s.nodes:
            s.same(f"home, moved to {other.number}", [0, str(node.number)],
                   node(f"shell('mosrun -n {other.number} cat /mfs/home/who')"))


@case(owners=(1,))
def lastexec_of_a_process_that_has_not_moved(s):
    mark_nodes(s)
    for node in s.nodes:
        s.same("lastexec", str(node.number), node("read('/mfs/lastexec/who')"))
        s.same("of its child", [0, str(node.number)], node("shell('cat /mfs/lastexec/who')"))


@case(owners=(1,))
def selected_is_each_process_own_and_its_descendants(s):
    mark_nodes(s)
    for node in s.nodes:
        second = s.agent(node.number)
        node("write('/mfs/.selected', '2', os.O_WRONLY)")
        second("write('/mfs/.selected', '3', os.O_WRONLY)")
        s.same("each its own", ["2", "3"], [node("read('/mfs/selected/who')"), second("read('/mfs/selected/who')")])
        s.same("a descendant", [0, "2"], node("shell('cat /mfs/selected/who')"))
        node("write('/mfs/.selected', '1', os.O_WRONLY)")
        s.same("chosen anew", "1", node("read('/mfs/selected/who')"))
        s.same("the other's stays", "3", second("read('/mfs/selected/who')"))


@case(owners=(1,))
def magic_makes_files_where_the_process_is(s):
    for node in s.nodes:
        name = f"magic-{node.number}"
        node(f"write('/mfs/magic/{name}', 'by {node.number}')")
        s.everywhere("where it is", f"by {node.number}", f"read('/mfs/{node.number}/{name}')")
        s.same("its maker finds it through magic", f"by {node.number}", node(f"read('/mfs/magic/{name}')"))
        s.nodes[0](f"os.unlink('/mfs/{node.number}/{name}')")


@case(owners=(1,))
def files_made_here_are_where_here_was(s):
    for node in s.nodes:
        node(f"write('/mfs/here/made', '{node.number}')")
        s.everywhere("made", str(node.number), f"read('/mfs/{node.number}/made')")
        for other in s.nodes:
            s.same("copied by a moved process", [0, ""],
                   node(f"shell('mosrun -n {other.number} cp /mfs/{node.number}/made /mfs/here/copy')"))
            s.everywhere("the copy", str(node.number), f"read('/mfs/{other.number}/copy')")
            s.nodes[0](f"os.unlink('/mfs/{other.number}/copy')")
        s.nodes[0](f"os.unlink('/mfs/{node.number}/made')")


@case(owners=(1,))
def the_root_lists_the_same_on_all_nodes(s):
    s.everywhere("names", ["1", "2", "3", "here", "home", "lastexec", "magic", "node1", "node2", "node3", "selected"],
                 "names('/mfs')")
    for number in (1, 2, 3):
        s.everywhere("by name", str(number), f"os.readlink('/mfs/node{number}').strip('/').split('/')[-1]")


@case
def a_moved_process_reads_what_was_written_last_and_is_read_at_once(s):
    for number in range(3):
        a, b = s.nodes[number], s.nodes[(number + 1) % 3]
        b(f"write(d + '/f', 'version {number}')")
        s.same("read", [0, f"version {number}"], a(f"shell(f'mosrun -n {b.number} cat {{d}}/f')"))
        s.same("written", [0, ""], a(f"shell(f'mosrun -n {b.number} cp {{d}}/f {{d}}/g')"))
        s.everywhere("its copy", f"version {number}", "read(d + '/g')")


@case
def readers_on_different_nodes_share_an_offset(s):
    s.nodes[0]("write(d + '/f', 'abcdefghijklmnop')")
    for node in s.nodes:
        s.same("in turn", [0, "abcdefghijklmnop"], node(
            "shell(f'{{ mosrun -n 2 dd bs=1 count=4; dd bs=1 count=4; mosrun -n 3 dd bs=1 count=4; "
            "mosrun -n 1 dd bs=1 count=4; }} 2>/dev/null <{d}/f')"))


@case
def writers_on_different_nodes_share_an_offset(s):
    for node in s.nodes:
        s.same("in turn", [0, ""], node(
            "shell(f'{{ mosrun -n 2 /bin/echo one; echo two; mosrun -n 3 /bin/echo three; /bin/echo four; }} >{d}/f')"))
        s.everywhere("one after the other", "one\ntwo\nthree\nfour\n", "read(d + '/f')")
