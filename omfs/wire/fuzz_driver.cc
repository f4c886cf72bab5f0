// Runs a fuzz target where libFuzzer is not there: replays the files named on the command line, and
// makes a number of deterministic random inputs and mutations of well-formed messages.
//
//   omfs_wire_fuzz [--seeds] [--mutations N] [FILE...]
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "omfs/wire/header.h"
#include "omfs/wire/request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;

template <typename Fixed>
Input Message(uint16_t op, std::string_view first = {}, std::string_view second = {}) {
  omfs::MetaWriter meta;
  omfs::EncodeRequest<Fixed>(op, {1000, 1000, 022, {4, 24, 27}}, Fixed{}, &meta, first, second);
  omfs::Header h;
  h.op = op;
  h.meta_len = static_cast<uint32_t>(meta.size());
  Input out(OMFS_HDR_SIZE + meta.size());
  h.Pack(omfs::PackedHeader(reinterpret_cast<std::byte*>(out.data()), OMFS_HDR_SIZE));
  memcpy(out.data() + OMFS_HDR_SIZE, meta.bytes().data(), meta.size());
  return out;
}

std::vector<Input> Seeds() {
  return {
      Message<omfs_hello_req>(OMFS_OP_HELLO, "/srv"),
      Message<omfs_lookup_req>(OMFS_OP_LOOKUP, "name"),
      Message<omfs_setattr_req>(OMFS_OP_SETATTR),
      Message<omfs_symlink_req>(OMFS_OP_SYMLINK, "link", "../target"),
      Message<omfs_rename_req>(OMFS_OP_RENAME, "old", "new"),
      Message<omfs_create_req>(OMFS_OP_CREATE, "file"),
      Message<omfs_xattr_req>(OMFS_OP_SETXATTR, "user.name"),
      Message<omfs_write_req>(OMFS_OP_WRITE),
      Message<omfs_lock_req>(OMFS_OP_SETLK),
      Message<omfs_cancel_req>(OMFS_OP_CANCEL),
      Message<omfs_reclaimed_req>(OMFS_OP_RECLAIMED),
  };
}

void Mutate(Input* in, std::mt19937_64* random) {
  const int edits = 1 + static_cast<int>((*random)() % 4);
  for (int i = 0; i < edits; ++i) {
    const uint64_t r = (*random)();
    const size_t at = in->empty() ? 0 : (r >> 8) % in->size();
    switch (r % 5) {
      case 0:
        if (!in->empty()) (*in)[at] ^= static_cast<uint8_t>(1U << ((r >> 3) % 8));
        break;
      case 1:
        if (!in->empty()) (*in)[at] = static_cast<uint8_t>(r >> 40);
        break;
      case 2:
        in->resize(at);
        break;
      case 3:
        in->insert(in->begin() + static_cast<ptrdiff_t>(at), 1 + (r >> 40) % 16,
                   static_cast<uint8_t>(r >> 48));
        break;
      case 4:  // a length field with an extreme value
        for (size_t k = at; k < in->size() && k < at + 4; ++k) (*in)[k] = 0xff;
        break;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  long mutations = 0;
  std::vector<Input> corpus;
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--seeds") == 0) {
      for (Input& s : Seeds()) corpus.push_back(std::move(s));
    } else if (strcmp(argv[i], "--mutations") == 0 && i + 1 < argc) {
      mutations = strtol(argv[++i], nullptr, 10);
    } else {
      std::ifstream file(argv[i], std::ios::binary);
      if (!file) {
        fprintf(stderr, "cannot read %s\n", argv[i]);
        return 2;
      }
      corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  for (const Input& in : corpus) LLVMFuzzerTestOneInput(in.data(), in.size());
  if (corpus.empty()) corpus.emplace_back();
  std::mt19937_64 random(1);
  for (long i = 0; i < mutations; ++i) {
    Input in = corpus[random() % corpus.size()];
    Mutate(&in, &random);
    LLVMFuzzerTestOneInput(in.data(), in.size());
  }
  printf("%zu inputs, %ld mutations\n", corpus.size(), mutations);
  return 0;
}
