// Every other forwarded call with pointers, the whole way; see marshal_harness.h.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/tcp.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include "migration/marshal_harness.h"

namespace omfs::migration {
namespace {

TEST_F(MarshalTest, WaitsForDescriptors) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  struct Polled {
    pollfd fds[3];
  };
  const Polled polled{{{ends[0], POLLIN, 7}, {-1, POLLIN, 7}, {ends[1], POLLOUT, 7}}};
  Same<Polled>(
      SYS_poll, [](auto* p) { return Args(p, 3, 0); }, polled);
  struct Ppolled {
    pollfd fds[3];
    timespec ts;
  };
  const Ppolled ppolled{{{ends[0], POLLIN, 0}, {-1, POLLIN, 0}, {ends[0], POLLIN, 0}}, {0, 0}};
  Same<Ppolled>(
      SYS_ppoll, [](auto* p) { return Args(p->fds, 3, &p->ts, nullptr, 8); }, ppolled);
  struct Sets {
    fd_set r, w, e;
    timeval tv;
  };
  Sets sets{};
  FD_SET(ends[0], &sets.r);
  FD_SET(ends[1], &sets.w);
  Same<Sets>(
      SYS_select, [&](auto* s) { return Args(ends[1] + 1, &s->r, &s->w, &s->e, &s->tv); }, sets);
  Same<Sets>(
      SYS_select, [&](auto* s) { return Args(-1, &s->r, nullptr, nullptr, &s->tv); }, sets);
  Same<Sets>(
      SYS_select, [&](auto* s) { return Args(1024, &s->r, &s->w, nullptr, nullptr); }, sets);
  uint64_t no_mask[2] = {0, 8};
  Same<Sets>(
      SYS_pselect6,
      [&](auto* s) { return Args(ends[1] + 1, &s->r, &s->w, &s->e, &s->tv, no_mask); }, sets);
  uint64_t mask = 1, with_mask[2] = {reinterpret_cast<uint64_t>(&mask), 8};
  EXPECT_NE(RecallReason(SYS_pselect6, Args(1, 0, 0, 0, 0, with_mask)), "");
  EXPECT_NE(RecallReason(SYS_ppoll, Args(0, 0, 0, &mask, 8)), "");

  OwnMemory memory;
  auto g = Gather(kSyscallTable[SYS_poll], Args(&polled, 3, 0), memory);
  EXPECT_THAT(DescriptorsOf(std::get<Gathered>(*g).call), ::testing::ElementsAre(ends[0], ends[1]));
  auto s = Gather(kSyscallTable[SYS_select], Args(ends[1] + 1, &sets.r, &sets.w, 0, 0), memory);
  EXPECT_THAT(DescriptorsOf(std::get<Gathered>(*s).call), ::testing::ElementsAre(ends[0], ends[1]));
  close(ends[0]);
  close(ends[1]);
}

TEST_F(MarshalTest, TalksThroughSockets) {
  const int listener = Forward(SYS_socket, Args(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_GE(listener, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int one = 1;
  EXPECT_EQ(Forward(SYS_setsockopt, Args(listener, SOL_SOCKET, SO_REUSEADDR, &one, 4)), 0);
  EXPECT_EQ(Forward(SYS_bind, Args(listener, &address, sizeof address)), 0);
  EXPECT_EQ(Forward(SYS_bind, Args(listener, &address, 1000)), -EINVAL);
  EXPECT_EQ(Forward(SYS_listen, Args(listener, 4)), 0);
  struct Name {
    Filled<16> address;
    uint32_t size;
  };
  for (int size : {16, 5, 0, 128, -1}) {
    Name before;
    before.size = size;
    Same<Name>(
        SYS_getsockname, [&](auto* n) { return Args(listener, &n->address, &n->size); }, before);
  }
  socklen_t size = sizeof address;
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const int client = Forward(SYS_socket, Args(AF_INET, SOCK_STREAM, 0));
  EXPECT_EQ(Forward(SYS_connect, Args(client, &address, sizeof address)), 0);
  Name peer;
  peer.size = 16;
  const int accepted =
      Forward(SYS_accept4, Args(listener, &peer.address, &peer.size, SOCK_CLOEXEC));
  EXPECT_GE(accepted, 0);
  EXPECT_EQ(peer.size, 16u);
  const int second = Forward(SYS_socket, Args(AF_INET, SOCK_STREAM, 0));
  EXPECT_EQ(Forward(SYS_connect, Args(second, &address, sizeof address)), 0);
  const int bare = Forward(SYS_accept, Args(listener, nullptr, nullptr));
  EXPECT_GE(bare, 0);
  Same<Name>(SYS_getpeername, [&](auto* n) {
    n->size = 16;
    return Args(client, &n->address, &n->size);
  });
  struct Option {
    Filled<256> value;
    uint32_t size;
  };
  for (auto [level, name] : {std::pair{SOL_SOCKET, SO_SNDBUF},
                             {SOL_SOCKET, SO_LINGER},
                             {SOL_SOCKET, SO_RCVTIMEO},
                             {IPPROTO_TCP, TCP_CONGESTION},
                             {IPPROTO_TCP, TCP_NODELAY}}) {
    for (uint32_t size : {0u, 2u, 200u}) {
      Option before;
      before.size = size;
      Same<Option>(
          SYS_getsockopt,
          [&, level = level, name = name](auto* o) {
            return Args(client, level, name, &o->value, &o->size);
          },
          before);
    }
  }
  EXPECT_NE(RecallReason(SYS_setsockopt, Args(client, SOL_SOCKET, SO_ATTACH_FILTER, &one, 4)), "");
  EXPECT_NE(
      RecallReason(SYS_getsockopt, Args(client, SOL_SOCKET, 77 /* SO_PEERPIDFD */, &one, &size)),
      "");
  EXPECT_EQ(Forward(SYS_shutdown, Args(second, SHUT_RDWR)), 0);

  EXPECT_EQ(Forward(SYS_sendto, Args(client, "over", 4, 0, nullptr, 0)), 4);
  char text[16] = "...............";
  EXPECT_EQ(Forward(SYS_recvfrom, Args(accepted, text, 15, 0, nullptr, nullptr)), 4);
  EXPECT_STREQ(text, "over...........");
  EXPECT_NE(RecallReason(SYS_sendto, Args(client, "x", 1, 0x4000000, 0, 0)), "");
  EXPECT_NE(RecallReason(SYS_sendto, Args(client, "x", 2 << 20, 0, 0, 0)), "");
  for (int f : {listener, client, accepted, second, bare}) close(f);
}

TEST_F(MarshalTest, SendsDatagramsAndMessages) {
  int pair[2];
  ASSERT_EQ(Forward(SYS_socketpair, Args(AF_UNIX, SOCK_DGRAM, 0, pair)), 0);
  char a[] = "mes", b[] = "sage";
  iovec out[] = {{a, 3}, {b, 4}};
  msghdr send{};
  send.msg_iov = out;
  send.msg_iovlen = 2;
  EXPECT_EQ(Forward(SYS_sendmsg, Args(pair[0], &send, 0)), 7);
  char x[3] = {}, y[3] = {};
  iovec in[] = {{x, 2}, {y, 2}};
  msghdr receive{};
  receive.msg_iov = in;
  receive.msg_iovlen = 2;
  EXPECT_EQ(Forward(SYS_recvmsg, Args(pair[1], &receive, 0)), 4);
  EXPECT_STREQ(x, "me");
  EXPECT_STREQ(y, "ss");
  EXPECT_EQ(receive.msg_flags & MSG_TRUNC, MSG_TRUNC);
  char room[64];
  receive.msg_control = room;
  receive.msg_controllen = sizeof room;
  EXPECT_NE(RecallReason(SYS_recvmsg, Args(pair[1], &receive, 0)), "");

  // With addresses.
  ScopedFd udp(socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in self{};
  self.sin_family = AF_INET;
  self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof self;
  ASSERT_EQ(bind(udp.get(), reinterpret_cast<sockaddr*>(&self), size), 0);
  ASSERT_EQ(getsockname(udp.get(), reinterpret_cast<sockaddr*>(&self), &size), 0);
  EXPECT_EQ(Forward(SYS_sendto, Args(udp.get(), "dgram", 5, 0, &self, sizeof self)), 5);
  char text[16] = {};
  sockaddr_in from{};
  size = sizeof from;
  EXPECT_EQ(Forward(SYS_recvfrom, Args(udp.get(), text, 3, MSG_TRUNC, &from, &size)),
            5);  // longer than asked
  EXPECT_STREQ(text, "dgr");
  EXPECT_EQ(size, sizeof from);
  EXPECT_EQ(from.sin_port, self.sin_port);
  send.msg_name = &self;
  send.msg_namelen = sizeof self;
  EXPECT_EQ(Forward(SYS_sendmsg, Args(udp.get(), &send, 0)), 7);
  sockaddr_storage name{};
  msghdr named{};
  named.msg_name = &name;
  named.msg_namelen = sizeof name;
  named.msg_iov = in;
  named.msg_iovlen = 1;
  in[0] = {text, 15};
  EXPECT_EQ(Forward(SYS_recvmsg, Args(udp.get(), &named, 0)), 7);
  EXPECT_STREQ(text, "message");
  EXPECT_EQ(named.msg_namelen, sizeof self);
  EXPECT_EQ(std::memcmp(&name, &self, 8), 0);
  close(pair[0]);
  close(pair[1]);
}

TEST_F(MarshalTest, AsksAboutProcessAndSystem) {
  Same<utsname>(SYS_uname, [](auto* u) { return Args(u); });
  Same<rlimit>(SYS_getrlimit, [](auto* r) { return Args(RLIMIT_NOFILE, r); });
  Same<rlimit>(SYS_prlimit64, [](auto* r) { return Args(0, RLIMIT_STACK, nullptr, r); });
  rlimit limit{1, 1};
  EXPECT_NE(RecallReason(SYS_prlimit64, Args(0, RLIMIT_CORE, &limit, nullptr)), "");
  struct Ids {
    uint32_t a, b, c;
  };
  Same<Ids>(SYS_getresuid, [](auto* i) { return Args(&i->a, &i->b, &i->c); });
  Same<Ids>(SYS_getresgid, [](auto* i) { return Args(&i->a, &i->b, &i->c); });
  Same<Filled<256>>(SYS_getgroups, [](auto* g) { return Args(64, g); });
  Same<Filled<256>>(SYS_getgroups, [](auto* g) { return Args(0, g); });
  Same<Filled<256>>(SYS_getgroups, [](auto* g) { return Args(-1, g); });
  Same<Filled<256>>(SYS_sched_getaffinity, [](auto* g) { return Args(0, 256, g); });
  Same<Filled<8>>(SYS_sched_getparam, [](auto* g) { return Args(0, g); });
  Same<Filled<64>>(SYS_sched_getattr, [](auto* g) { return Args(0, g, 56, 0); });
  Same<Filled<16>>(SYS_sched_rr_get_interval, [](auto* g) { return Args(0, g); });
  Same<Filled<128>>(SYS_getcwd, [](auto* g) { return Args(g, 128); });
  Same<Filled<128>>(SYS_getcwd, [](auto* g) { return Args(g, 1); });
  struct Caps {
    uint32_t version;
    int pid;
    Filled<24> data;
  };
  Same<Caps>(SYS_capget, [](auto* c) {
    c->version = 0x20080522;
    return Args(c, &c->data);
  });
  Same<Caps>(SYS_capget, [](auto* c) {
    c->version = 1;
    return Args(c, nullptr);
  });
  Same<Filled<32>>(SYS_prctl, [](auto* n) { return Args(PR_GET_NAME, n); });
  EXPECT_EQ(Forward(SYS_prctl, Args(PR_SET_NAME, "marshal")), 0);
  SameResult(SYS_prctl, Args(PR_GET_DUMPABLE));
  EXPECT_NE(RecallReason(SYS_prctl, Args(PR_SET_MM, 1)), "");
  // These change between two calls: only the result is compared.
  struct sysinfo info {};
  EXPECT_EQ(Forward(SYS_sysinfo, Args(&info)), 0);
  EXPECT_GT(info.totalram, 0u);
  rusage usage{};
  EXPECT_EQ(Forward(SYS_getrusage, Args(RUSAGE_SELF, &usage)), 0);
  EXPECT_GT(usage.ru_maxrss, 0);
  tms t{};
  EXPECT_GT(Forward(SYS_times, Args(&t)), 0);
  timex x{};
  EXPECT_GE(Forward(SYS_adjtimex, Args(&x)), 0);
  timex clock{};
  EXPECT_GE(Forward(SYS_clock_adjtime, Args(CLOCK_REALTIME, &clock)), 0);
  timespec cpu{};
  EXPECT_EQ(Forward(SYS_clock_gettime, Args(CLOCK_PROCESS_CPUTIME_ID, &cpu)), 0);
  for (int nr : {SYS_getuid, SYS_getgid, SYS_geteuid, SYS_getegid, SYS_getppid, SYS_getpgrp})
    SameResult(nr, Args());
  SameResult(SYS_getpgid, Args(0));
  SameResult(SYS_getsid, Args(0));
  SameResult(SYS_getpriority, Args(PRIO_PROCESS, 0));
  SameResult(SYS_ioprio_get, Args(1, 0));
  SameResult(SYS_sched_getscheduler, Args(0));
  SameResult(SYS_personality, Args(0xffffffff));
  SameResult(SYS_settimeofday, Args(16, 16));
  SameResult(SYS_clock_settime, Args(CLOCK_MONOTONIC, &cpu));
}

TEST_F(MarshalTest, WaitsForChildren) {
  auto exited = [] {
    const pid_t child = fork();
    if (child == 0) _exit(7);
    siginfo_t info;
    waitid(P_PID, child, &info, WEXITED | WNOWAIT);
    return child;
  };
  int status = -1;
  rusage usage;
  std::memset(&usage, 0x5a, sizeof usage);
  const pid_t first = exited();
  EXPECT_EQ(Forward(SYS_wait4, Args(first, &status, 0, &usage)), first);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(usage.ru_nswap, 0);
  const pid_t second = exited();
  Same<Filled<128>>(SYS_waitid,
                    [&](auto* i) { return Args(P_PID, second, i, WEXITED | WNOWAIT, nullptr); });
  siginfo_t info;
  EXPECT_EQ(Forward(SYS_waitid, Args(P_PID, second, &info, WEXITED, &usage)), 0);
  EXPECT_EQ(info.si_status, 7);

  // Nobody to report: status stays as it is, siginfo is cleared.
  int hold[2];
  ASSERT_EQ(pipe(hold), 0);
  const pid_t third = fork();
  if (third == 0) {
    char c;
    close(hold[1]);
    _exit(static_cast<int>(read(hold[0], &c, 1)));
  }
  Same<int>(
      SYS_wait4, [&](auto* s) { return Args(third, s, WNOHANG, nullptr); }, 0x77);
  Same<Filled<128>>(SYS_waitid,
                    [&](auto* i) { return Args(P_PID, third, i, WEXITED | WNOHANG, nullptr); });
  close(hold[1]);
  EXPECT_EQ(waitpid(third, &status, 0), third);
  close(hold[0]);
  Same<int>(
      SYS_wait4, [&](auto* s) { return Args(-1, s, 0, nullptr); }, 0x77);  // ECHILD
}

TEST_F(MarshalTest, SetsTimersAndCounters) {
  itimerval timer{{0, 0}, {1000, 0}}, old{};
  EXPECT_EQ(Forward(SYS_setitimer, Args(ITIMER_REAL, &timer, &old)), 0);
  EXPECT_EQ(Forward(SYS_getitimer, Args(ITIMER_REAL, &old)), 0);
  EXPECT_GE(old.it_value.tv_sec, 900);
  EXPECT_NE(RecallReason(SYS_setitimer, Args(ITIMER_PROF, &timer, &old)), "");
  EXPECT_GT(Forward(SYS_alarm, Args(0)), 0);
  const timespec moment{0, 1000}, none_such{0, -1};
  EXPECT_EQ(Forward(SYS_nanosleep, Args(&moment, nullptr)), 0);
  EXPECT_EQ(Forward(SYS_nanosleep, Args(&none_such, nullptr)), -EINVAL);
  EXPECT_EQ(Forward(SYS_clock_nanosleep, Args(CLOCK_MONOTONIC, 0, &moment, nullptr)), 0);
  EXPECT_NE(RecallReason(SYS_clock_nanosleep, Args(CLOCK_PROCESS_CPUTIME_ID, 0, &moment, nullptr)), "");
  sigevent none{};
  none.sigev_notify = SIGEV_NONE;
  int id = -1;
  EXPECT_EQ(Forward(SYS_timer_create, Args(CLOCK_MONOTONIC, &none, &id)), 0);
  EXPECT_GE(id, 0);
  EXPECT_NE(RecallReason(SYS_timer_create, Args(CLOCK_PROCESS_CPUTIME_ID, &none, &id)), "");
  itimerspec spec{{0, 0}, {1000, 0}}, now{};
  EXPECT_EQ(Forward(SYS_timer_settime, Args(id, 0, &spec, nullptr)), 0);
  EXPECT_EQ(Forward(SYS_timer_gettime, Args(id, &now)), 0);
  EXPECT_GE(now.it_value.tv_sec, 900);
  EXPECT_EQ(Forward(SYS_timer_getoverrun, Args(id)), 0);
  EXPECT_EQ(Forward(SYS_timer_delete, Args(id)), 0);
  const int timer_fd = Forward(SYS_timerfd_create, Args(CLOCK_MONOTONIC, 0));
  EXPECT_EQ(Forward(SYS_timerfd_settime, Args(timer_fd, 0, &spec, nullptr)), 0);
  now = {};
  EXPECT_EQ(Forward(SYS_timerfd_gettime, Args(timer_fd, &now)), 0);
  EXPECT_GE(now.it_value.tv_sec, 900);
  close(timer_fd);
  const int counter = Forward(SYS_eventfd2, Args(5, 0));
  uint64_t value = 0;
  EXPECT_EQ(Forward(SYS_read, Args(counter, &value, 8)), 8);
  EXPECT_EQ(value, 5u);
  close(counter);
  close(Forward(SYS_eventfd, Args(5)));
}

TEST_F(MarshalTest, WatchesQueuesAndSignals) {
  const int watch = Forward(SYS_inotify_init1, Args(0));
  EXPECT_GE(watch, 0);
  const int id = Forward(SYS_inotify_add_watch, Args(watch, dir_.c_str(), IN_CREATE));
  EXPECT_GE(id, 1);
  EXPECT_EQ(Forward(SYS_inotify_rm_watch, Args(watch, id)), 0);
  close(watch);
  close(Forward(SYS_inotify_init, Args()));
  const int memory = Forward(SYS_memfd_create, Args("name", 0));
  EXPECT_GE(memory, 0);
  close(memory);

  const std::string name = "omfs-marshal-" + std::to_string(getpid());
  mq_attr attr{};
  attr.mq_maxmsg = 2;
  attr.mq_msgsize = 64;
  const int queue = Forward(SYS_mq_open, Args(name.c_str(), O_RDWR | O_CREAT, 0600, &attr));
  const bool have = queue >= 0;  // a kernel may be built without queues
  Same<mq_attr>(SYS_mq_getsetattr, [&](auto* a) { return Args(queue, nullptr, a); });
  const int64_t sent = Forward(SYS_mq_timedsend, Args(queue, "text", 4, 3, nullptr));
  Filled<64> text;
  unsigned priority = 0;
  const int64_t received = Forward(SYS_mq_timedreceive, Args(queue, &text, 64, &priority, nullptr));
  if (have) {
    EXPECT_EQ(sent, 0);
    EXPECT_EQ(received, 4);
    EXPECT_EQ(std::memcmp(&text, "text", 4), 0);
    EXPECT_EQ(text.bytes[4], 0x5a);
    EXPECT_EQ(priority, 3u);
    close(queue);
  }
  SameResult(SYS_mq_unlink, Args("omfs-no-such-queue"));
  Forward(SYS_mq_unlink, Args(name.c_str()));

  SameResult(SYS_kill, Args(getpid(), 0));
  SameResult(SYS_tgkill, Args(getpid(), gettid(), 0));
  SameResult(SYS_tkill, Args(gettid(), 0));
  siginfo_t info{};
  info.si_code = SI_QUEUE;
  SameResult(SYS_rt_sigqueueinfo, Args(getpid(), 0, &info));
  SameResult(SYS_rt_tgsigqueueinfo, Args(getpid(), gettid(), 0, &info));
  const int self = Forward(SYS_pidfd_open, Args(getpid(), 0));
  EXPECT_GE(self, 0);
  SameResult(SYS_pidfd_send_signal, Args(self, 0, nullptr, 0));
  close(self);
}

// Calls of class Both whose handlers forward them.
TEST_F(MarshalTest, ForwardsThePartsOfHandWrittenCalls) {
  const int duplicate = Forward(SYS_dup, Args(fd_.get()));
  EXPECT_GE(duplicate, 0);
  EXPECT_EQ(Forward(SYS_dup2, Args(fd_.get(), duplicate)), duplicate);
  EXPECT_EQ(Forward(SYS_dup3, Args(fd_.get(), duplicate, O_CLOEXEC)), duplicate);
  EXPECT_EQ(Forward(SYS_close, Args(duplicate)), 0);
  EXPECT_EQ(Forward(SYS_close_range, Args(900, 800, 0)), -EINVAL);
  const mode_t mask = Forward(SYS_umask, Args(022));
  Forward(SYS_umask, Args(mask));
  const ScopedFd here(open(".", O_PATH));
  EXPECT_EQ(Forward(SYS_chdir, Args(dir_.c_str())), 0);
  EXPECT_EQ(Forward(SYS_fchdir, Args(here.get())), 0);
  for (int nr : {SYS_setreuid, SYS_setregid}) SameResult(nr, Args(-1, -1));
  for (int nr : {SYS_setresuid, SYS_setresgid}) SameResult(nr, Args(-1, -1, -1));
  for (int nr : {SYS_setuid, SYS_setgid, SYS_setfsuid, SYS_setfsgid}) SameResult(nr, Args(-1));
  EXPECT_EQ(Forward(SYS_setgroups, Args(70000, 16)), geteuid() == 0 ? -EINVAL : -EPERM);
  SameResult(SYS_setpgid, Args(-1, 0));
  struct Action {
    uint64_t words[4];
  };
  Same<Action>(SYS_rt_sigaction, [](auto* a) { return Args(SIGUSR1, nullptr, a, 8); });
  SameResult(SYS_msync, Args(1, 0, MS_ASYNC));
}

}  // namespace
}  // namespace omfs::migration
