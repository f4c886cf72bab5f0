#include "migration/syscall_table_requests.h"

#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/prctl.h>
#include <linux/random.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace omfs::migration {
namespace {

constexpr auto kLocal = SyscallClass::kLocal;
constexpr auto kDfsa = SyscallClass::kDfsa;
constexpr auto kDeputy = SyscallClass::kDeputy;
constexpr auto kBoth = SyscallClass::kBoth;

constexpr auto kValue = ArgKind::kValue;
constexpr auto kIn = ArgKind::kIn;
constexpr auto kOut = ArgKind::kOut;
constexpr auto kInOut = ArgKind::kInOut;

constexpr uint16_t kTermio =
    18;  // struct termio; <termio.h> and <asm/termbits.h> exclude each other
constexpr uint16_t kIfreq = 40;  // struct ifreq, flat for the requests below
constexpr uint16_t kFlock = 32;  // struct flock with 64-bit offsets

template <size_t N>
constexpr std::array<RequestSpec, N> Sorted(std::array<RequestSpec, N> rows) {
  std::sort(rows.begin(), rows.end(),
            [](const RequestSpec& a, const RequestSpec& b) { return a.request < b.request; });
  return rows;
}

template <size_t N>
constexpr bool Unique(const std::array<RequestSpec, N>& rows) {
  for (size_t i = 1; i < N; ++i)
    if (rows[i - 1].request >= rows[i].request) return false;
  return true;
}

#define REQUEST(name, ...) \
  RequestSpec { static_cast<uint32_t>(name), #name, __VA_ARGS__ }

constexpr auto kIoctls = Sorted(std::to_array<RequestSpec>({
    // Terminals (drivers/tty/tty_ioctl.c, tty_io.c, pty.c).
    REQUEST(TCGETS, kDfsa, kOut, 36),
    REQUEST(TCSETS, kDfsa, kIn, 36),
    REQUEST(TCSETSW, kDfsa, kIn, 36),
    REQUEST(TCSETSF, kDfsa, kIn, 36),
    REQUEST(TCGETS2, kDfsa, kOut, 44),
    REQUEST(TCSETS2, kDfsa, kIn, 44),
    REQUEST(TCSETSW2, kDfsa, kIn, 44),
    REQUEST(TCSETSF2, kDfsa, kIn, 44),
    REQUEST(TCGETA, kDfsa, kOut, kTermio),
    REQUEST(TCSETA, kDfsa, kIn, kTermio),
    REQUEST(TCSETAW, kDfsa, kIn, kTermio),
    REQUEST(TCSETAF, kDfsa, kIn, kTermio),
    REQUEST(TCSBRK, kDfsa, kValue, 0),
    REQUEST(TCSBRKP, kDfsa, kValue, 0),
    REQUEST(TCXONC, kDfsa, kValue, 0),
    REQUEST(TCFLSH, kDfsa, kValue, 0),
    REQUEST(TIOCEXCL, kDfsa, kValue, 0),
    REQUEST(TIOCNXCL, kDfsa, kValue, 0),
    REQUEST(TIOCGEXCL, kDfsa, kOut, 4),
    REQUEST(TIOCSCTTY, kDfsa, kValue, 0),
    REQUEST(TIOCNOTTY, kDfsa, kValue, 0),
    REQUEST(TIOCGPGRP, kDfsa, kOut, 4),
    REQUEST(TIOCSPGRP, kDfsa, kIn, 4),
    REQUEST(TIOCGSID, kDfsa, kOut, 4),
    REQUEST(TIOCOUTQ, kDfsa, kOut, 4),
    REQUEST(TIOCSTI, kDfsa, kIn, 1),
    REQUEST(TIOCGWINSZ, kDfsa, kOut, 8),
    REQUEST(TIOCSWINSZ, kDfsa, kIn, 8),
    REQUEST(TIOCMGET, kDfsa, kOut, 4),
    REQUEST(TIOCMBIS, kDfsa, kIn, 4),
    REQUEST(TIOCMBIC, kDfsa, kIn, 4),
    REQUEST(TIOCMSET, kDfsa, kIn, 4),
    REQUEST(TIOCGSOFTCAR, kDfsa, kOut, 4),
    REQUEST(TIOCSSOFTCAR, kDfsa, kIn, 4),
    REQUEST(TIOCPKT, kDfsa, kIn, 4),
    REQUEST(TIOCGPKT, kDfsa, kOut, 4),
    REQUEST(TIOCSETD, kDfsa, kIn, 4),
    REQUEST(TIOCGETD, kDfsa, kOut, 4),
    REQUEST(TIOCSBRK, kDfsa, kValue, 0),
    REQUEST(TIOCCBRK, kDfsa, kValue, 0),
    REQUEST(TIOCGPTN, kDfsa, kOut, 4),
    REQUEST(TIOCSPTLCK, kDfsa, kIn, 4),
    REQUEST(TIOCGPTLCK, kDfsa, kOut, 4),
    REQUEST(TIOCGDEV, kDfsa, kOut, 4),
    REQUEST(TIOCSIG, kDfsa, kValue, 0),
    REQUEST(TIOCGPTPEER, kDfsa, kValue, 0, true),
    // Any descriptor (fs/ioctl.c). Close-on-exec is kept with the number, so on both sides.
    REQUEST(FIOCLEX, kBoth, kValue, 0),
    REQUEST(FIONCLEX, kBoth, kValue, 0),
    REQUEST(FIONBIO, kDfsa, kIn, 4),
    REQUEST(FIOASYNC, kDfsa, kIn, 4),
    REQUEST(FIOQSIZE, kDfsa, kOut, 8),
    REQUEST(FIONREAD, kDfsa, kOut, 4),
    REQUEST(FIGETBSZ, kDfsa, kOut, 4),
    REQUEST(FICLONE, kBoth, ArgKind::kFd, 0),
    REQUEST(FS_IOC_GETFLAGS, kDfsa, kOut, 4),  // an int in spite of the `long` in its number
    REQUEST(FS_IOC_SETFLAGS, kDfsa, kIn, 4),
    REQUEST(FS_IOC_GETVERSION, kDfsa, kOut, 4),
    REQUEST(FS_IOC_FSGETXATTR, kDfsa, kOut, sizeof(struct fsxattr)),
    REQUEST(FS_IOC_FSSETXATTR, kDfsa, kIn, sizeof(struct fsxattr)),
    REQUEST(FS_IOC_GETFSLABEL, kDfsa, kOut, FSLABEL_MAX),
    // Sockets (net/socket.c, net/core/dev_ioctl.c).
    REQUEST(SIOCATMARK, kDfsa, kOut, 4),
    REQUEST(SIOCGPGRP, kDfsa, kOut, 4),
    REQUEST(SIOCSPGRP, kDfsa, kIn, 4),
    REQUEST(FIOGETOWN, kDfsa, kOut, 4),
    REQUEST(FIOSETOWN, kDfsa, kIn, 4),
    REQUEST(SIOCGIFNAME, kDfsa, kInOut, kIfreq),
    REQUEST(SIOCGIFFLAGS, kDfsa, kInOut, kIfreq),
    REQUEST(SIOCGIFADDR, kDfsa, kInOut, kIfreq),
    REQUEST(SIOCGIFDSTADDR, kDfsa, kInOut, kIfreq),
    REQUEST(SIOCGIFBRDADDR, kDfsa, kInOut, kIfreq),
    REQUEST(SIOCGIFNETMASK, kDfsa, kInOut, kIfreq),
    REQUEST(SIOCGIFMETRIC, kDfsa, kInOut, kIfreq),
    REQUEST(SIOCGIFMTU, kDfsa, kInOut, kIfreq),
    REQUEST(SIOCGIFHWADDR, kDfsa, kInOut, kIfreq),
    REQUEST(SIOCGIFINDEX, kDfsa, kInOut, kIfreq),
    REQUEST(SIOCGIFTXQLEN, kDfsa, kInOut, kIfreq),
    // Block devices (block/ioctl.c) and random numbers.
    REQUEST(BLKROGET, kDfsa, kOut, 4),
    REQUEST(BLKGETSIZE, kDfsa, kOut, 8),
    REQUEST(BLKGETSIZE64, kDfsa, kOut, 8),
    REQUEST(BLKSSZGET, kDfsa, kOut, 4),
    REQUEST(BLKBSZGET, kDfsa, kOut, 4),
    REQUEST(BLKPBSZGET, kDfsa, kOut, 4),
    REQUEST(BLKIOMIN, kDfsa, kOut, 4),
    REQUEST(BLKIOOPT, kDfsa, kOut, 4),
    REQUEST(BLKFLSBUF, kDfsa, kValue, 0),
    REQUEST(RNDGETENTCNT, kDfsa, kOut, 4),
}));
static_assert(Unique(kIoctls));

// Commands of later kernels than this header's are given by number (include/uapi/linux/fcntl.h).
constexpr auto kFcntls = Sorted(std::to_array<RequestSpec>({
    REQUEST(F_DUPFD, kBoth, kValue, 0, true),
    REQUEST(F_DUPFD_CLOEXEC, kBoth, kValue, 0, true),
    REQUEST(F_GETFD, kBoth, kValue, 0),
    REQUEST(F_SETFD, kBoth, kValue, 0),
    REQUEST(F_GETFL, kDfsa, kValue, 0),
    REQUEST(F_SETFL, kDfsa, kValue, 0),
    REQUEST(F_GETLK, kDfsa, kInOut, kFlock),
    REQUEST(F_SETLK, kDfsa, kIn, kFlock),
    REQUEST(F_SETLKW, kDfsa, kIn, kFlock),
    REQUEST(F_OFD_GETLK, kDfsa, kInOut, kFlock),
    REQUEST(F_OFD_SETLK, kDfsa, kIn, kFlock),
    REQUEST(F_OFD_SETLKW, kDfsa, kIn, kFlock),
    // Owners, leases and directory notes send signals. On a descriptor at home they are forwarded
    // and the signals reach the guest through the deputy; on a file here they would go to the
    // guest's kernel: recall.
    REQUEST(F_SETOWN, kBoth, kValue, 0),
    REQUEST(F_GETOWN, kBoth, kValue, 0),
    REQUEST(F_SETOWN_EX, kBoth, kIn, 8),
    REQUEST(F_GETOWN_EX, kBoth, kOut, 8),
    REQUEST(F_SETSIG, kBoth, kValue, 0),
    REQUEST(F_GETSIG, kBoth, kValue, 0),
    REQUEST(F_SETLEASE, kBoth, kValue, 0),
    REQUEST(F_GETLEASE, kBoth, kValue, 0),
    REQUEST(F_NOTIFY, kBoth, kValue, 0),
    REQUEST(F_SETPIPE_SZ, kDfsa, kValue, 0),
    REQUEST(F_GETPIPE_SZ, kDfsa, kValue, 0),
    REQUEST(F_ADD_SEALS, kDfsa, kValue, 0),
    REQUEST(F_GET_SEALS, kDfsa, kValue, 0),
    REQUEST(F_GET_RW_HINT, kDfsa, kOut, 8),
    REQUEST(F_SET_RW_HINT, kDfsa, kIn, 8),
    REQUEST(F_GET_FILE_RW_HINT, kDfsa, kOut, 8),
    REQUEST(F_SET_FILE_RW_HINT, kDfsa, kIn, 8),
    RequestSpec{1028, "F_CREATED_QUERY", kDfsa, kValue, 0},
}));
static_assert(Unique(kFcntls));

// Options not listed are recalled: those that change the processor's or the memory's behaviour
// (speculation, shadow stacks, THP, memory tagging), the capability sets, and PR_SET_MM,
// PR_SET_SECCOMP.
constexpr auto kPrctls = Sorted(std::to_array<RequestSpec>({
    REQUEST(PR_SET_PDEATHSIG, kDeputy, kValue, 0),
    REQUEST(PR_GET_PDEATHSIG, kDeputy, kOut, 4),
    REQUEST(PR_GET_DUMPABLE, kDeputy, kValue, 0),
    REQUEST(PR_GET_KEEPCAPS, kDeputy, kValue, 0),
    REQUEST(PR_SET_NAME, kBoth, ArgKind::kString, 16),
    REQUEST(PR_GET_NAME, kDeputy, kOut, 16),
    REQUEST(PR_GET_SECCOMP, kDeputy, kValue, 0),
    REQUEST(PR_CAPBSET_READ, kDeputy, kValue, 0),
    REQUEST(PR_GET_SECUREBITS, kDeputy, kValue, 0),
    REQUEST(PR_GET_TIMERSLACK, kDeputy, kValue, 0),
    REQUEST(PR_SET_CHILD_SUBREAPER, kDeputy, kValue, 0),
    REQUEST(PR_GET_CHILD_SUBREAPER, kDeputy, kOut, 4),
    REQUEST(PR_SET_NO_NEW_PRIVS, kDeputy, kValue, 0),
    REQUEST(PR_GET_NO_NEW_PRIVS, kDeputy, kValue, 0),
    REQUEST(PR_SET_PTRACER, kDeputy, kValue, 0),
    REQUEST(PR_SET_VMA, kLocal, kValue, 0),
}));
static_assert(Unique(kPrctls));
#undef REQUEST

// Options whose value is an int or a flat structure in both directions. Left out: those that give
// descriptors (SO_PEERPIDFD), hold pointers (filters, TCP_ZEROCOPY_RECEIVE, netfilter's tables,
// TCP_MD5SIG's keys are flat but large), count in other units than bytes (SO_GET_FILTER), or change
// what travels (SO_ZEROCOPY).
constexpr SocketOption kSocketOptions[] = {
    {SOL_SOCKET, SO_DEBUG, SO_BSDCOMPAT},  // 1..14: the classic options
    {SOL_SOCKET, SO_REUSEPORT,
     SO_SNDTIMEO},  // 15..21: REUSEPORT, PASSCRED, PEERCRED, low-water marks, timeouts
    {SOL_SOCKET, SO_BINDTODEVICE, SO_BINDTODEVICE},
    {SOL_SOCKET, SO_PEERNAME,
     SO_RCVBUFFORCE},  // 28..33: PEERNAME, TIMESTAMP, ACCEPTCONN, PEERSEC, SND/RCVBUFFORCE
    {SOL_SOCKET, SO_PASSSEC,
     SO_RXQ_OVFL},  // 34..40: PASSSEC, TIMESTAMPNS, MARK, ..., PROTOCOL, DOMAIN
    {SOL_SOCKET, SO_PEEK_OFF, SO_NOFCS},                    // 42..43
    {SOL_SOCKET, SO_SELECT_ERR_QUEUE, SO_MAX_PACING_RATE},  // 45..47: also BUSY_POLL
    {SOL_SOCKET, SO_INCOMING_CPU, SO_INCOMING_CPU},
    {SOL_SOCKET, SO_COOKIE, SO_COOKIE},
    {SOL_SOCKET, SO_PEERGROUPS, SO_PEERGROUPS},
    {IPPROTO_IP, IP_TOS, IP_TTL},
    {IPPROTO_IP, IP_OPTIONS, IP_OPTIONS},
    {IPPROTO_IP, IP_PKTINFO, IP_PKTINFO},
    {IPPROTO_IP, IP_MTU_DISCOVER, IP_FREEBIND},  // 10..15: also RECVERR, RECVTTL, RECVTOS, MTU
    {IPPROTO_IP, IP_PASSSEC, IP_BIND_ADDRESS_NO_PORT},  // 18..24: also TRANSPARENT, MINTTL, ...
    {IPPROTO_IP, IP_MULTICAST_IF, IP_DROP_MEMBERSHIP},
    {IPPROTO_IP, IP_MULTICAST_ALL, IP_UNICAST_IF},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, IPV6_LEAVE_GROUP},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_V6ONLY},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, IPV6_RECVPKTINFO},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, IPV6_TCLASS},
    {IPPROTO_TCP, TCP_NODELAY, TCP_CONGESTION},  // 1..13: also the keep-alive options and TCP_INFO
    {IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, TCP_USER_TIMEOUT},
    {IPPROTO_TCP, TCP_FASTOPEN, TCP_NOTSENT_LOWAT},
    {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_CONNECT},
    {IPPROTO_TCP, TCP_INQ, TCP_INQ},
    {IPPROTO_UDP, 1, 1},  // UDP_CORK
};

const RequestSpec* Find(std::span<const RequestSpec> rows, uint64_t request) {
  // The kernel takes these numbers as 32 bits wide.
  const auto wanted = static_cast<uint32_t>(request);
  auto it = std::lower_bound(rows.begin(), rows.end(), wanted,
                             [](const RequestSpec& r, uint32_t v) { return r.request < v; });
  return it != rows.end() && it->request == wanted ? &*it : nullptr;
}

}  // namespace

std::span<const RequestSpec> IoctlRequests() { return kIoctls; }
std::span<const RequestSpec> FcntlCommands() { return kFcntls; }
std::span<const RequestSpec> PrctlOptions() { return kPrctls; }
std::span<const SocketOption> FlatSocketOptions() { return kSocketOptions; }

const RequestSpec* FindIoctl(uint64_t request) { return Find(kIoctls, request); }
const RequestSpec* FindFcntl(uint64_t command) { return Find(kFcntls, command); }
const RequestSpec* FindPrctl(uint64_t option) { return Find(kPrctls, option); }

bool IsFlatSocketOption(uint64_t level, uint64_t option) {
  const auto l = static_cast<int>(level);
  const auto o = static_cast<int>(option);
  return std::any_of(
      std::begin(kSocketOptions), std::end(kSocketOptions),
      [&](const SocketOption& s) { return s.level == l && s.first <= o && o <= s.last; });
}

}  // namespace omfs::migration
