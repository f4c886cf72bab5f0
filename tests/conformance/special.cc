// Fifos, sockets, devices; and objects that are open but have no name any more.

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <vector>

#include "observe.h"

namespace conformance {

CASE(fifo, between_processes) {
  Must(mkfifo("p", 0644) == 0, "mkfifo");
  t.Attributes("made", "p");
  t.Ok("again", mkfifo("p", 0644));
  pid_t pid = fork();
  Must(pid >= 0, "fork");
  if (pid == 0) {
    ScopedFd out(open("p", O_WRONLY));
    _exit(write(out.get(), "through the pipe", 16) == 16 ? 0 : 1);
  }
  ScopedFd in = t.Open("open", "p", O_RDONLY);
  char text[32] = {};
  t.Value("read", read(in.get(), text, sizeof text));
  t.Say("text", Printable(text));
  t.Value("writer", WaitExit(pid));
  t.Value("end", read(in.get(), text, sizeof text));
  t.Value("seek", lseek(in.get(), 0, SEEK_SET));
}

CASE(fifo, non_blocking) {
  Must(mkfifo("p", 0644) == 0, "mkfifo");
  t.Open("writer_without_reader", "p", O_WRONLY | O_NONBLOCK);
  ScopedFd in = t.Open("reader", "p", O_RDONLY | O_NONBLOCK);
  char c;
  t.Value("read_without_writer", read(in.get(), &c, 1));
  ScopedFd out = t.Open("writer", "p", O_WRONLY | O_NONBLOCK);
  t.Value("read_empty", read(in.get(), &c, 1));
  t.Value("write", write(out.get(), "x", 1));
  t.Value("read", read(in.get(), &c, 1));
  t.Open("create_existing", "p", O_RDONLY | O_CREAT | O_NONBLOCK);
  t.Open("excl_existing", "p", O_RDONLY | O_CREAT | O_EXCL | O_NONBLOCK);
  t.Open("directory", "p", O_RDONLY | O_DIRECTORY | O_NONBLOCK);
}

CASE(fifo, two_names_one_pipe) {
  Must(mkfifo("p", 0644) == 0 && link("p", "q") == 0, "setup");
  ScopedFd a = t.Open("a", "p", O_RDWR | O_NONBLOCK), b = t.Open("b", "q", O_RDWR | O_NONBLOCK);
  t.Value("write", write(a.get(), "x", 1));
  char c = 0;
  t.Value("read_by_other_name", read(b.get(), &c, 1));
  Must(unlink("p") == 0 && rename("q", "r") == 0, "rename");
  t.Value("write_renamed", write(a.get(), "y", 1));
  ScopedFd d = t.Open("renamed", "r", O_RDONLY | O_NONBLOCK);
  t.Value("read_renamed", read(d.get(), &c, 1));
}

CASE(fifo, permissions) {
  Must(mkfifo("p", 0200) == 0, "mkfifo");
  t.Open("read", "p", O_RDONLY | O_NONBLOCK);
  t.Open("both", "p", O_RDWR | O_NONBLOCK);
  Must(chmod("p", 0600) == 0, "chmod");
  t.Attributes("after_chmod", "p");
  t.Ok("utimes", utimensat(AT_FDCWD, "p", nullptr, 0));
}

CASE(socket, bind_and_connect) {
  int server = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {AF_UNIX, "sock"};
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  t.Ok("bind", bind(server, raw, sizeof address));
  t.Attributes("made", "sock");
  t.Ok("listen", listen(server, 1));
  int client = socket(AF_UNIX, SOCK_STREAM, 0);
  t.Ok("connect", connect(client, raw, sizeof address));
  int peer = accept(server, nullptr, nullptr);
  t.Value("send", write(client, "hi", 2));
  char text[8] = {};
  t.Value("receive", read(peer, text, sizeof text));
  t.Open("open", "sock", O_RDONLY);
  int second = socket(AF_UNIX, SOCK_STREAM, 0);
  t.Ok("bind_again", bind(second, raw, sizeof address));
  Must(rename("sock", "moved") == 0, "rename");
  strcpy(address.sun_path, "moved");
  int other = socket(AF_UNIX, SOCK_STREAM, 0);
  t.Ok("connect_renamed", connect(other, raw, sizeof address));
  Must(unlink("moved") == 0, "unlink");
  int late = socket(AF_UNIX, SOCK_STREAM, 0);
  t.Ok("connect_unlinked", connect(late, raw, sizeof address));
  WriteFile("f", "x");
  strcpy(address.sun_path, "f");
  t.Ok("connect_to_file", connect(late, raw, sizeof address));
}

CASE(mknod, kinds) {
  t.Ok("regular", mknod("f", S_IFREG | 0640, 0));
  t.Attributes("regular_made", "f");
  t.Ok("zero_type", mknod("z", 0644, 0));
  t.Attributes("zero_made", "z");
  t.Ok("fifo", mknod("p", S_IFIFO | 0640, 0));
  t.Ok("socket", mknod("s", S_IFSOCK | 0640, 0));
  t.Ok("directory", mknod("d", S_IFDIR | 0755, 0));
  t.Ok("symlink", mknod("l", S_IFLNK | 0777, 0));
  t.Ok("existing", mknod("f", S_IFREG | 0644, 0));
  t.Ok("character", mknod("c", S_IFCHR | 0644, makedev(1, 3)));
  t.Ok("block", mknod("b", S_IFBLK | 0644, makedev(7, 77)));
  t.Attributes("character_made", "c");
  t.Attributes("block_made", "b");
  t.Listing("names", ".");
}

ROOT_CASE(mknod, device_numbers) {
  const dev_t numbers[] = {makedev(0, 0), makedev(1, 3), makedev(255, 255), makedev(256, 1),
                           makedev(4095, 1048575)};
  for (dev_t number : numbers) {
    std::string name = "c" + std::to_string(major(number)) + "-" + std::to_string(minor(number));
    t.Ok(name, mknod(name.c_str(), S_IFCHR | 0600, number));
    t.Attributes(name + "_made", name);
  }
}

ROOT_CASE(mknod, device_of_this_machine) {
  Must(mknod("null", S_IFCHR | 0666, makedev(1, 3)) == 0, "mknod");
  ScopedFd fd = t.Open("open", "null", O_RDWR);
  t.Value("write", write(fd.get(), "x", 1));
  char c;
  t.Value("read", read(fd.get(), &c, 1));
}

CASE(orphan, file_stays_usable) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  Must(write(fd.get(), "0123456789", 10) == 10, "write");
  t.Ok("unlink", unlink("f"));
  t.AttributesOf("no_links", fd.get());
  t.Listing("no_leftover", ".");
  t.Value("append", pwrite(fd.get(), "more", 4, 10));
  t.Say("text", Printable(ReadAll(fd.get())));
  t.Ok("truncate", ftruncate(fd.get(), 5));
  t.AttributesOf("cut", fd.get());
  t.Ok("chmod", fchmod(fd.get(), 0600));
  t.Ok("chown", fchown(fd.get(), getuid(), getgid()));
  t.Ok("futimens", futimens(fd.get(), nullptr));
  t.AttributesOf("after_changes", fd.get());
  std::string self = "/proc/self/fd/" + std::to_string(fd.get());
  ScopedFd again = t.Open("reopen_by_proc", self, O_RDONLY);
  t.Say("reopened_text", Printable(again ? ReadAll(again.get()) : ""));
  WriteFile("f", "a new one");
  t.Say("still_old", Printable(ReadAll(fd.get())));
  t.Content("new", "f");
}

CASE(orphan, directory_not_empty_by_open_files) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  ScopedFd a = t.Open("a", "d/a", O_RDWR | O_CREAT), b = t.Open("b", "d/b", O_RDWR | O_CREAT);
  Must(unlink("d/a") == 0 && unlink("d/b") == 0, "unlink");
  t.Listing("empty", "d");
  t.Ok("rmdir", rmdir("d"));
  t.Value("write", write(a.get(), "x", 1));
  t.Say("text", Printable(ReadAll(a.get())));
}

CASE(orphan, last_close_by_another_process) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  Must(write(fd.get(), "shared", 6) == 6 && unlink("f") == 0, "setup");
  int pipes[2];
  Must(pipe(pipes) == 0, "pipe");
  pid_t pid = fork();
  Must(pid >= 0, "fork");
  if (pid == 0) {
    char c;
    (void)!read(pipes[0], &c, 1);  // until the parent has closed its copy
    _exit(ReadAll(fd.get()) == "shared" ? 0 : 1);
  }
  fd.reset();
  Must(write(pipes[1], "x", 1) == 1, "write");
  t.Value("child_still_reads", WaitExit(pid));
}

CASE(orphan, many) {
  std::vector<ScopedFd> fds;
  for (int i = 0; i < 100; ++i) {
    fds.emplace_back(open("f", O_RDWR | O_CREAT | O_EXCL, 0644));
    std::string text = std::to_string(i);
    Must(fds.back().valid() && write(fds.back().get(), text.data(), text.size()) > 0 &&
             unlink("f") == 0,
         "setup");
  }
  t.Listing("none", ".");
  bool right = true;
  for (int i = 0; i < 100; ++i) right = right && ReadAll(fds[i].get()) == std::to_string(i);
  t.Bool("each_its_own", right);
}

CASE(orphan, replaced_by_rename_while_mapped_by_name) {
  for (int i = 0; i < 20; ++i) {
    WriteFile("new", "version " + std::to_string(i));
    ScopedFd old(open("f", O_RDONLY));
    Must(rename("new", "f") == 0, "rename");
    if (i > 0 && ReadAll(old.get()) != "version " + std::to_string(i - 1)) t.Value("wrong_at", i);
  }
  t.Content("last", "f");
}

CASE(orphan, symlink_by_path_descriptor) {
  Must(symlink("target", "s") == 0, "symlink");
  ScopedFd fd = t.Open("open", "s", O_PATH | O_NOFOLLOW);
  Must(unlink("s") == 0, "unlink");
  char text[16] = {};
  t.Value("readlink", readlinkat(fd.get(), "", text, sizeof text));
  t.AttributesOf("fstat", fd.get());
}

}  // namespace conformance
