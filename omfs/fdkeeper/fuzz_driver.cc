// Runs the fuzz target where libFuzzer is not there: well-formed messages, and mutations of them.
//   omfs_fdkeeper_fuzz [MUTATIONS]
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "omfs/fdkeeper/message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  const long mutations = argc > 1 ? strtol(argv[1], nullptr, 10) : 10000;
  std::mt19937_64 random(1);
  for (long i = 0; i < mutations; ++i) {
    omfs::fdkeeper::Message message;
    message.op = static_cast<omfs::fdkeeper::Op>(1 + random() % 5);
    message.key[random() % message.key.size()] = static_cast<uint8_t>(random());
    const auto packed = omfs::fdkeeper::Pack(message);
    std::vector<uint8_t> in(packed.size());
    memcpy(in.data(), packed.data(), in.size());
    for (uint64_t edits = random() % 4; edits > 0; --edits) {
      // Mostly the fields in front of the key, or nothing is ever refused.
      const size_t at = random() % (random() % 2 == 0 ? 16 : in.size());
      if (at < in.size()) in[at] = static_cast<uint8_t>(random());
      if (random() % 3 == 0) in.resize(random() % 100);
      if (in.empty()) in.push_back(0);
    }
    LLVMFuzzerTestOneInput(in.data(), in.size());
  }
  printf("%ld messages\n", mutations);
  return 0;
}
