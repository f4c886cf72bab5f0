#include "omfs/base/config.h"

#include <gtest/gtest.h>

namespace omfs {
namespace {

TEST(Config, ReadsKeysAndKeepsDefaults) {
  auto c = ParseConfig("node = 2\nexport = /srv # data\n", "f");
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->node.value, 2);
  EXPECT_EQ(c->export_path, "/srv");
  EXPECT_EQ(c->data_port, kDefaultDataPort);
}

TEST(Config, PassthroughForOwnFilesIsAChoice) {
  auto c = ParseConfig("node = 2\n", "f");
  ASSERT_TRUE(c.ok());
  EXPECT_FALSE(c->passthrough);
  EXPECT_FALSE(c->local_bind);
  c = ParseConfig("node = 2\npassthrough = yes\nlocal = bind\n", "f");
  ASSERT_TRUE(c.ok());
  EXPECT_TRUE(c->passthrough);
  EXPECT_TRUE(c->local_bind);
  EXPECT_EQ(std::string(ParseConfig("node = 2\nlocal = nfs", "f").status().message()), "f:2: \"nfs\" is no value for local");
}

TEST(Config, NamesFileLineAndValueOfAnError) {
  auto c = ParseConfig("node = 2\ndata_port = 99999\n", "f");
  ASSERT_FALSE(c.ok());
  EXPECT_EQ(std::string(c.status().message()), "f:2: \"99999\" is no value for data_port");
  EXPECT_EQ(std::string(ParseConfig("nod = 2", "f").status().message()), "f:1: unknown key \"nod\"");
  EXPECT_FALSE(ParseConfig("", "f").ok());
}

TEST(NodeMap, ReadsPortsAndRefusesDuplicates) {
  auto m = ParseNodeMap("1 alpha 10.0.0.1\n2 beta 10.0.0.2 5000 5001\n", "m");
  ASSERT_TRUE(m.ok());
  EXPECT_EQ((*m)[1].control_port, 5001);
  EXPECT_FALSE(ParseNodeMap("1 a x\n1 b y\n", "m").ok());
  EXPECT_FALSE(ParseNodeMap("1 a x\n2 a y\n", "m").ok());
  EXPECT_FALSE(ParseNodeMap("0 a x\n", "m").ok());
}

}  // namespace
}  // namespace omfs
