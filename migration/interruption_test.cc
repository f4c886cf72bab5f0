#include "migration/interruption.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include "migration/traced_task.h"

namespace omfs::migration {
namespace {

TEST(EndOfUnbegunCall, ACallThatNoSignalEndsIsMadeAfterTheHandler) {
  for (const long nr : {SYS_stat, SYS_openat, SYS_getpid, SYS_pread64, SYS_close, SYS_unlink}) {
    EXPECT_EQ(EndOfUnbegunCall(nr, {}), kRestartNoIntr) << nr;
  }
}

TEST(EndOfUnbegunCall, AWaitThatIsNeverRestartedEnds) {
  for (const long nr : {SYS_pause, SYS_poll, SYS_select, SYS_pselect6, SYS_ppoll, SYS_epoll_wait, SYS_epoll_pwait}) {
    EXPECT_EQ(EndOfUnbegunCall(nr, {}), kRestartNoHand) << nr;
  }
}

TEST(EndOfUnbegunCall, AWaitWithASignalMaskOfItsOwnIsEndedOnlyBySignalsThatTheMaskLetsIn) {
  EXPECT_EQ(EndOfUnbegunCall(SYS_ppoll, {0, 0, 0, 0x1000}), kRestartNoIntr);
  EXPECT_EQ(EndOfUnbegunCall(SYS_pselect6, {0, 0, 0, 0, 0, 0x1000}), kRestartNoIntr);
  EXPECT_EQ(EndOfUnbegunCall(SYS_epoll_pwait, {0, 0, 0, 0, 0x1000}), kRestartNoIntr);
}

TEST(EndOfUnbegunCall, ASleepThatWouldHaveToSayWhatRemainsIsSlept) {
  EXPECT_EQ(EndOfUnbegunCall(SYS_nanosleep, {0x1000, 0x1000}), kRestartNoIntr);
}

}  // namespace
}  // namespace omfs::migration
