#include "dfsa/path_rules.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace omfs::dfsa {
namespace {

class PathRulesTest : public testing::Test {
 protected:
  PathRulesTest() : rules_("/mfs", NodeId(2), NodeId(1)) {
    char dir[] = "/tmp/omfs-path-rules-XXXXXX";
    root_ = mkdtemp(dir);
    std::filesystem::create_directories(root_ + "/d/e");
    std::ofstream(root_ + "/d/file") << "x";
    symlink("file", (root_ + "/d/inside").c_str());
    symlink("/etc/passwd", (root_ + "/d/absolute").c_str());
    symlink("../../../etc", (root_ + "/d/climbs").c_str());
    symlink("nowhere", (root_ + "/d/dangling").c_str());
    rules_.AddNode(NodeId(2), ScopedFd(open(root_.c_str(), O_PATH | O_DIRECTORY)));
  }
  ~PathRulesTest() override { std::filesystem::remove_all(root_); }

  PathRules rules_;
  std::string root_;
};

TEST_F(PathRulesTest, TheTextNamesANodeOrNothing) {
  EXPECT_EQ(rules_.Parse("/mfs/2/a/b").rest, "a/b");
  EXPECT_EQ(rules_.Parse("//mfs/./2//a").rest, "a");
  EXPECT_EQ(rules_.Parse("/mfs/3").node, NodeId(3));
  EXPECT_EQ(rules_.Parse("/mfs/here/x").node, NodeId(2));
  EXPECT_EQ(rules_.Parse("/mfs/home/x").node, NodeId(1));
  for (const char* home : {"/", "/mfs", "/mfs/", "/mfsx/2", "/mfs/../mfs/2/a", "/mfs/02/a", "/mfs/2x", "mfs/2", "",
                           "/mfs/99999999/a", "/etc/mfs/2", "/mfs/magic/a"}) {
    EXPECT_FALSE(rules_.Parse(home).node.valid()) << home;
  }
}

TEST_F(PathRulesTest, WhatStaysInTheTreeRunsHere) {
  for (const char* path : {"/mfs/2", "/mfs/2/", "/mfs/2/d/file", "/mfs/2/d/inside", "/mfs/2/d/e/../file",
                           "/mfs/2/d/new", "/mfs/2/missing/new", "/mfs/2/d/file/x"}) {
    EXPECT_TRUE(rules_.RunsHere(path, true)) << path;
  }
}

TEST_F(PathRulesTest, WhatLeavesTheTreeIsTheHomes) {
  for (const char* path : {"/mfs/2/..", "/mfs/2/d/../../x", "/mfs/2/d/absolute", "/mfs/2/d/climbs/passwd",
                           "/mfs/2/d/dangling", "/mfs/3/x", "/etc/passwd"}) {
    EXPECT_FALSE(rules_.RunsHere(path, true)) << path;
  }
}

TEST_F(PathRulesTest, ALinkItselfIsInTheTreeWhereverItPoints) {
  for (const char* path : {"/mfs/2/d/absolute", "/mfs/2/d/climbs", "/mfs/2/d/dangling"}) {
    EXPECT_TRUE(rules_.RunsHere(path, false)) << path;
  }
}

}  // namespace
}  // namespace omfs::dfsa
