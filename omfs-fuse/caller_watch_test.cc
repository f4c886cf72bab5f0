// What /proc says of a caller, and what follows from it.
#include "omfs-fuse/caller_watch.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "omfs-fuse/proc_file.h"

namespace omfs {
namespace {

constexpr uint64_t Bit(int signal) { return uint64_t{1} << (signal - 1); }

std::string Status(const char* own, const char* shared, const char* tracer = "0") {
  return std::string("Name:\tcat\nState:\tD (disk sleep)\nTracerPid:\t") + tracer + "\nThreads:\t1\nSigQ:\t0/31\nSigPnd:\t" + own +
         "\nShdPnd:\t" + shared + "\nSigBlk:\t0000000000000200\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000002000\nCapInh:\t0\n";
}

TEST(CallerWatch, ReadsTheMasks) {
  const auto s = ParseSignals(Status("0000000000000100", "0000000000000002"));
  ASSERT_TRUE(s);
  EXPECT_EQ(s->pending, 0x102u);
  EXPECT_EQ(s->blocked, Bit(SIGUSR1));
  EXPECT_EQ(s->ignored, Bit(SIGPIPE));
  EXPECT_EQ(s->caught, Bit(SIGALRM));
  EXPECT_FALSE(s->traced);
}

TEST(CallerWatch, IsNotFooledByOtherText) {
  EXPECT_FALSE(ParseSignals(""));
  EXPECT_FALSE(ParseSignals("SigPnd:\t0\n"));
  EXPECT_FALSE(ParseSignals(Status("zz", "0")));
  EXPECT_FALSE(ParseSignals(Status("", "0")));
  EXPECT_FALSE(ParseSignals(Status("11112222333344445", "0"))) << "more than 64 bits";
  EXPECT_FALSE(ParseSignals(Status("0 0", "0")));
  const std::string named = "Name:\tSigPnd: 100\n" + Status("0", "0");
  ASSERT_TRUE(ParseSignals(named));
  EXPECT_EQ(ParseSignals(named)->pending, 0u) << "a program may be called anything";
}

CallerSignals Pending(uint64_t pending) {
  CallerSignals s;
  s.pending = pending;
  return s;
}

TEST(CallerWatch, KnowsWhoDies) {
  EXPECT_FALSE(AboutToDie(Pending(0)));
  EXPECT_TRUE(AboutToDie(Pending(Bit(SIGKILL))));
  EXPECT_TRUE(AboutToDie(Pending(Bit(SIGSEGV))));
  EXPECT_TRUE(AboutToDie(Pending(Bit(40)))) << "a real-time signal";
  for (const int harmless : {SIGCHLD, SIGURG, SIGWINCH, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU}) {
    EXPECT_FALSE(AboutToDie(Pending(Bit(harmless)))) << harmless;
  }
}

TEST(CallerWatch, AHandlerABlockOrATracerMakesASignalHarmlessButNotSigkill) {
  for (const auto field : {&CallerSignals::blocked, &CallerSignals::ignored, &CallerSignals::caught}) {
    CallerSignals s = Pending(Bit(SIGTERM));
    s.*field = ~uint64_t{0};
    EXPECT_FALSE(AboutToDie(s));
    s.pending |= Bit(SIGKILL);
    EXPECT_TRUE(AboutToDie(s));
  }
  CallerSignals s = Pending(Bit(SIGTERM));
  s.traced = true;
  EXPECT_FALSE(AboutToDie(s));
}

TEST(CallerWatch, ReadsWhetherAThreadIsOnItsWayOut) {
  EXPECT_EQ(ParseExiting("7 (cat) S 1 7 7 0 -1 4194304 0"), false);
  EXPECT_EQ(ParseExiting("7 (cat) S 1 7 7 0 -1 4194308 0"), true);
  EXPECT_EQ(ParseExiting("7 (a) S 1 7 7 0 -1 4 (b) S 1 7 7 0 -1 0 0"), false) << "the name ends with the last )";
  for (const char* nonsense : {"", "7", "7 (cat)", "7 (cat) S 1 7 7 0 -1", "7 (cat) S 1 7 7 0 -1 x 0", "7 (cat)S 1 7 7 0 -1 4 0"}) {
    EXPECT_FALSE(ParseExiting(nonsense)) << nonsense;
  }
}

TEST(CallerWatch, OfAThreadThatIsNotThereNothingIsKnown) {
  EXPECT_FALSE(CallerIsDying(0));
  EXPECT_FALSE(CallerIsExiting(0));
  EXPECT_FALSE(CallerIsDying(getpid()));
  EXPECT_FALSE(CallerIsExiting(getpid()));
}

TEST(CallerWatch, SeesWhatIsPendingForAStoppedProcess) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGUSR1, [](int) {});
    raise(SIGSTOP);
    for (;;) pause();
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  kill(child, SIGUSR1);
  EXPECT_FALSE(CallerIsDying(child)) << "handled";
  kill(child, SIGQUIT);
  EXPECT_TRUE(CallerIsDying(child)) << "pending as itself, as it dumps core";
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
}

// Many texts near to what the kernel writes: nothing but a value or none may come of it.
TEST(CallerWatch, SurvivesAnything) {
  uint64_t random = 88172645463325252u;
  const auto next = [&] { return random ^= random << 13, random ^= random >> 7, random ^= random << 17; };
  const std::string status = Status("0000000000000100", "0"), stat = "7 (a) b) S 1 7 7 0 -1 4194308 0";
  for (int i = 0; i < 200'000; ++i) {
    std::string text = i % 2 ? status : stat;
    for (uint64_t edits = 1 + next() % 4; edits > 0; --edits) {
      const size_t at = next() % (text.size() + 1);
      if (next() % 3 == 0) text.resize(at);
      if (at < text.size()) text[at] = "\n\t :)-0f\xff"[next() % 9];
      if (text.empty()) text = ")";
    }
    const auto signals = ParseSignals(text);
    if (signals) AboutToDie(*signals);
    ParseExiting(text);
  }
}

}  // namespace
}  // namespace omfs
