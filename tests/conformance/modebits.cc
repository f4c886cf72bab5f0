// Set-id and sticky bits: who may set them, what clears them, what directories pass on; umask.

#include <errno.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "observe.h"

namespace conformance {

namespace {

// What clears the set-id bits, done by `who` on a fresh 06777 file for each.
void Clearing(Case& t, const std::string& name, const Identity& who) {
  struct Step {
    const char* name;
    std::function<void(const std::string&)> act;
  };
  auto with = [&](const std::string& path, int flags, auto body) {
    ScopedFd fd(open(path.c_str(), flags));
    if (!fd) return t.Say("open", ErrnoName(errno));
    body(fd.get());
  };
  const Step steps[] = {
      {"write", [&](auto& p) { with(p, O_WRONLY, [](int fd) { (void)!write(fd, "y", 1); }); }},
      {"write_0", [&](auto& p) { with(p, O_WRONLY, [](int fd) { (void)!write(fd, "y", 0); }); }},
      {"pwrite", [&](auto& p) { with(p, O_WRONLY, [](int fd) { (void)!pwrite(fd, "y", 1, 5); }); }},
      {"truncate", [&](auto& p) { (void)!truncate(p.c_str(), 0); }},
      {"truncate_same", [&](auto& p) { (void)!truncate(p.c_str(), 4); }},
      {"ftruncate", [&](auto& p) { with(p, O_WRONLY, [](int fd) { (void)!ftruncate(fd, 2); }); }},
      {"open_trunc", [&](auto& p) { with(p, O_WRONLY | O_TRUNC, [](int) {}); }},
      {"fallocate", [&](auto& p) { with(p, O_WRONLY, [](int fd) { fallocate(fd, 0, 0, 100); }); }},
      {"read",
       [&](auto& p) {
         with(p, O_RDONLY, [](int fd) {
           char c;
           (void)!read(fd, &c, 1);
         });
       }},
      {"open_write", [&](auto& p) { with(p, O_RDWR, [](int) {}); }},
      {"utimes", [&](auto& p) { utimensat(AT_FDCWD, p.c_str(), nullptr, 0); }},
      {"link", [&](auto& p) { (void)!link(p.c_str(), (p + "-l").c_str()); }},
      {"rename",
       [&](auto& p) {
         rename(p.c_str(), (p + "-r").c_str());
         rename((p + "-r").c_str(), p.c_str());
       }},
      {"copy_range",
       [&](auto& p) {
         ScopedFd source(open("source", O_RDONLY));
         with(p, O_WRONLY,
              [&](int fd) { copy_file_range(source.get(), nullptr, fd, nullptr, 3, 0); });
       }},
      {"mmap_write",
       [&](auto& p) {
         with(p, O_RDWR, [](int fd) {
           void* m = mmap(nullptr, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
           if (m == MAP_FAILED) return;
           *static_cast<char*>(m) = 'm';
           msync(m, 4, MS_SYNC);
           munmap(m, 4);
         });
       }},
  };
  for (const Step& step : steps) {
    for (mode_t mode : {06777, 02767, 04777, 01777}) {
      std::string path = name + "-" + step.name + ModeText(mode);
      WriteFile(path, "0123");
      Must(chown(path.c_str(), kAlice.uid, kAlice.gid) == 0 && chmod(path.c_str(), mode) == 0,
           "setup");
      t.As(step.name, who, [&] { step.act(path); });
      struct stat st;
      Must(stat(path.c_str(), &st) == 0, "stat");
      t.Say(name + "_" + step.name + "_" + ModeText(mode), ModeText(st.st_mode));
    }
  }
}

void PrepareClearing() {
  Must(chmod(".", 0777) == 0, "chmod");
  WriteFile("source", "source");
}

}  // namespace

ROOT_CASE(modebits, cleared_by_owner) {
  PrepareClearing();
  Clearing(t, "owner", kAlice);
}
ROOT_CASE(modebits, cleared_by_other) {
  PrepareClearing();
  Clearing(t, "other", kBob);
}
ROOT_CASE(modebits, cleared_by_group) {
  PrepareClearing();
  Clearing(t, "group", kBobInAlicesGroup);
}
ROOT_CASE(modebits, kept_for_root) {
  PrepareClearing();
  Clearing(t, "root", {0, 0, {}});
}

CASE(modebits, chmod_own) {
  WriteFile("f", "x");
  Must(mkdir("d", 0755) == 0, "mkdir");
  for (mode_t mode : {0, 0777, 01777, 02777, 04777, 02767, 06000, 07777, 0644}) {
    t.Ok("file" + ModeText(mode), chmod("f", mode));
    t.Attributes("file_after" + ModeText(mode), "f");
    t.Ok("dir" + ModeText(mode), chmod("d", mode));
    t.Attributes("dir_after" + ModeText(mode), "d");
  }
  Must(chmod("f", 0644) == 0, "chmod");
  ScopedFd fd = t.Open("open", "f", O_RDONLY);
  t.Ok("fchmod", fchmod(fd.get(), 04711));
  t.Attributes("after_fchmod", "f");
  t.Ok("beyond_bits", chmod("f", 0170644));
  t.Attributes("beyond_bits_after", "f");
  t.Ok("missing", chmod("no", 0644));
  t.Ok("below_file", chmod("f/x", 0644));
}

CASE(modebits, write_by_self) {
  // As root the bits stay, as the owner they go.
  for (mode_t mode : {04755, 02755, 06777, 02745}) {
    WriteFile("f", "x");
    Must(chmod("f", mode) == 0, "chmod");
    ScopedFd fd(open("f", O_WRONLY));
    Must(write(fd.get(), "y", 1) == 1, "write");
    t.Attributes("write" + ModeText(mode), "f");
    Must(fchmod(fd.get(), mode) == 0, "chmod");
    t.AttributesOf("set_again" + ModeText(mode), fd.get());
    Must(ftruncate(fd.get(), 0) == 0, "truncate");
    t.AttributesOf("truncate" + ModeText(mode), fd.get());
    Must(fchmod(fd.get(), mode) == 0 && chown("f", static_cast<uid_t>(-1), getgid()) == 0, "chown");
    t.AttributesOf("chown" + ModeText(mode), fd.get());
    Must(fchmod(fd.get(), mode) == 0 &&
             chown("f", static_cast<uid_t>(-1), static_cast<gid_t>(-1)) == 0,
         "chown");
    t.AttributesOf("chown_nothing" + ModeText(mode), fd.get());
  }
}

ROOT_CASE(modebits, setgid_needs_the_group) {
  Must(chmod(".", 0777) == 0, "chmod");
  for (gid_t gid : {4201, 4301, 4999}) {
    for (bool directory : {false, true}) {
      std::string path = (directory ? "d" : "f") + std::to_string(gid);
      if (directory)
        Must(mkdir(path.c_str(), 0755) == 0, "mkdir");
      else
        WriteFile(path, "x");
      Must(chown(path.c_str(), kAlice.uid, gid) == 0, "chown");
      t.As("alice", kAlice, [&] { t.Ok(path + "_chmod", chmod(path.c_str(), 02755)); });
      t.Attributes(path + "_without_groups", path);
      Must(chmod(path.c_str(), 0755) == 0, "chmod");
      t.As("alice", kAliceWithGroups,
           [&] { t.Ok(path + "_chmod_groups", chmod(path.c_str(), 02755)); });
      t.Attributes(path + "_with_groups", path);
    }
  }
}

ROOT_CASE(modebits, setgid_directory_passes_on) {
  Must(mkdir("d", 0777) == 0 && chown("d", 0, kTeam) == 0 && chmod("d", 02777) == 0, "setup");
  t.As("bob", kBob, [&] {
    t.Open("file", "d/f", O_WRONLY | O_CREAT, 0666);
    t.Open("file_setgid", "d/fs", O_WRONLY | O_CREAT, 02775);
    t.Open("file_setgid_noexec", "d/fn", O_WRONLY | O_CREAT, 02664);
    t.Ok("dir", mkdir("d/d", 0755));
    t.Ok("dir_deeper", mkdir("d/d/d", 0700));
    t.Ok("symlink", symlink("x", "d/s"));
    t.Ok("fifo", mkfifo("d/p", 0644));
    t.Ok("tmpfile", open("d", O_WRONLY | O_TMPFILE, 02775));
  });
  t.As("team", kAliceWithGroups, [&] {
    t.Open("member_file", "d/mf", O_WRONLY | O_CREAT, 02775);
    t.Ok("member_dir", mkdir("d/md", 0755));
    t.Ok("out", rename("d/md", "d/md2"));
  });
  for (const char* name : {"f", "fs", "fn", "d", "d/d", "s", "p", "mf", "md2"}) {
    t.Attributes(std::string("made_") + name, std::string("d/") + name);
  }
}

ROOT_CASE(modebits, chown_clears) {
  Must(chmod(".", 0777) == 0, "chmod");
  for (mode_t mode : {06777, 06711, 02644, 04600, 02710, 06070}) {
    for (bool directory : {false, true}) {
      std::string path = (directory ? "d" : "f") + ModeText(mode);
      if (directory)
        Must(mkdir(path.c_str(), 0755) == 0, "mkdir");
      else
        WriteFile(path, "x");
      Must(chmod(path.c_str(), mode) == 0, "chmod");
      t.Ok(path + "_root", chown(path.c_str(), kAlice.uid, kAlice.gid));
      t.Attributes(path + "_after_root", path);
      Must(chmod(path.c_str(), mode) == 0, "chmod");
      t.As("alice", kAliceWithGroups,
           [&] { t.Ok(path + "_owner", chown(path.c_str(), -1, kTeam)); });
      t.Attributes(path + "_after_owner", path);
      Must(chmod(path.c_str(), mode) == 0, "chmod");
      t.Ok(path + "_same", chown(path.c_str(), kAlice.uid, kTeam));
      t.Attributes(path + "_after_same", path);
    }
  }
}

CASE(modebits, umask_of_every_maker) {
  for (mode_t mask : {0, 027, 0777}) {
    umask(mask);
    std::string end = ModeText(mask);
    t.Open("file" + end, "f" + end, O_WRONLY | O_CREAT, 0777);
    t.Ok("dir" + end, mkdir(("d" + end).c_str(), 01777));
    t.Ok("fifo" + end, mkfifo(("p" + end).c_str(), 0666));
    t.Ok("socket" + end, mknod(("s" + end).c_str(), S_IFSOCK | 0777, 0));
    t.Ok("mknod_file" + end, mknod(("m" + end).c_str(), S_IFREG | 0666, 0));
    t.Ok("symlink" + end, symlink("x", ("l" + end).c_str()));
    umask(022);
    for (const char* name : {"f", "d", "p", "s", "m", "l"}) t.Attributes(name + end, name + end);
  }
}

ROOT_CASE(modebits, sticky_on_file) {
  Must(chmod(".", 0777) == 0, "chmod");
  WriteFile("f", "x");
  Must(chown("f", kAlice.uid, kAlice.gid) == 0, "chown");
  t.As("alice", kAlice, [&] { t.Ok("owner_sets", chmod("f", 01644)); });
  t.Attributes("after_owner", "f");
  t.Ok("root_sets", chmod("f", 01644));
  t.Attributes("after_root", "f");
}

ROOT_CASE(modebits, chmod_by_others) {
  WriteFile("f", "x", 0666);
  t.As("bob", kBob, [&] { t.Ok("file", chmod("f", 0777)); });
  Must(chown("f", 0, kBob.gid) == 0, "chown");
  t.As("bob", kBob, [&] { t.Ok("group_member", chmod("f", 0777)); });
  t.Attributes("unchanged", "f");
  ScopedFd fd = t.Open("open", "f", O_RDWR);
  t.As("bob", kBob, [&] { t.Ok("fchmod", fchmod(fd.get(), 0777)); });
  t.As("bob", kBob, [&] { t.Ok("fchown", fchown(fd.get(), kBob.uid, -1)); });
  t.As("bob", kBob, [&] { t.Value("write", write(fd.get(), "y", 1)); });
}

ROOT_CASE(modebits, setuid_program_runs) {
  // The set-user-id bit of a program on this file system takes effect (unless mounted nosuid, on
  // both alike).
  Must(chmod(".", 0755) == 0, "chmod");
  ScopedFd in(open("/usr/bin/id", O_RDONLY));
  Must(in.valid(), "open id");
  ScopedFd out(open("id", O_WRONLY | O_CREAT, 0755));
  while (sendfile(out.get(), in.get(), nullptr, 1 << 20) > 0) {
  }
  out.reset();
  Must(chown("id", kBob.uid, kBob.gid) == 0 && chmod("id", 04755) == 0, "setup");
  int pipes[2];
  Must(pipe(pipes) == 0, "pipe");
  t.As("alice", kAlice, [&] {
    dup2(pipes[1], 1);
    execl("./id", "id", "-u", nullptr);
    _exit(errno);
  });
  close(pipes[1]);
  char text[32] = {};
  (void)!read(pipes[0], text, sizeof text - 1);
  t.Say("runs_as", Printable(text));
}

}  // namespace conformance
