// Fuzz target of the parsers of forwarded calls and results.
//
// Whatever bytes come: a call that is accepted can be placed inside the area with every pointer
// pointing into it, is serialised to the same bytes again, and collecting any result from any area
// gives a result that the parser accepts.
//
// With libFuzzer (OMFS_LIBFUZZER defined) only LLVMFuzzerTestOneInput is here. Without, a driver
// runs it over the files given, or over a corpus of real calls and a fixed number of deterministic
// mutations of them.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "migration/marshal.h"
#include "migration/marshal_layout.h"

namespace omfs::migration {
namespace {

constexpr uint64_t kBase = 0x7000'0000'0000;

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "omfs-marshal-fuzz: %s\n", what);
  std::abort();
}

std::vector<uint8_t>& Area() {
  static std::vector<uint8_t> area(kDataAreaSize);
  return area;
}

void TryCall(std::span<const uint8_t> bytes) {
  auto call = ParseCall(bytes);
  if (!call.ok()) return;
  const std::vector<uint8_t> again = Serialise(*call);
  Require(
      again.size() == bytes.size() && std::memcmp(again.data(), bytes.data(), again.size()) == 0,
      "a call changes by serialising it again");
  auto placed = Place(*call, kBase, Area());
  Require(placed.ok(), "an accepted call does not fit the area");
  for (const CallPart& part : call->parts) {
    const uint64_t word = placed->words[part.arg];
    Require(word >= kBase && word + (part.shape == CallPart::Shape::kFlat ? part.capacity : 0) <=
                                 kBase + kDataAreaSize,
            "a pointer leaves the area");
  }
  DescriptorsOf(*call);
  for (int64_t rax : {int64_t{0}, int64_t{1}, int64_t{-14}, int64_t{1} << 40, INT64_MIN}) {
    const ForwardResult result = Collect(*call, *placed, rax, Area());
    Require(ParseResult(Serialise(result)).ok(), "a collected result is refused");
  }
}

void TryResult(std::span<const uint8_t> bytes) {
  auto result = ParseResult(bytes);
  if (!result.ok()) return;
  const std::vector<uint8_t> again = Serialise(*result);
  Require(
      again.size() == bytes.size() && std::memcmp(again.data(), bytes.data(), again.size()) == 0,
      "a result changes by serialising it again");
}

}  // namespace
}  // namespace omfs::migration

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  omfs::migration::TryCall({data, size});
  omfs::migration::TryResult({data, size});
  return 0;
}

#ifndef OMFS_LIBFUZZER
namespace omfs::migration {
namespace {

// The guest's memory: any address below 2^47 is there and holds bytes made from the address.
class PatternMemory : public GuestMemory {
 public:
  Errno Read(uint64_t address, std::span<uint8_t> to) override {
    if (address >> 47 != 0) return Errno(EFAULT);
    for (size_t i = 0; i < to.size(); ++i) to[i] = Byte(address + i);
    return Errno();
  }
  Errno Write(uint64_t address, std::span<const uint8_t>) override {
    return address >> 47 != 0 ? Errno(EFAULT) : Errno();
  }

 private:
  // Small numbers where structures have lengths, a NUL every 64 bytes.
  static uint8_t Byte(uint64_t a) {
    return a % 8 == 0 && a % 64 != 0 ? static_cast<uint8_t>(a >> 3) : 0;
  }
};

// One call of every row that can be forwarded, with small lengths, and its result.
std::vector<std::vector<uint8_t>> Corpus() {
  std::vector<std::vector<uint8_t>> corpus;
  PatternMemory memory;
  for (const SyscallSpec& spec : kSyscallTable) {
    if (!spec.assigned() || !spec.forwardable()) continue;
    SyscallArgs args{};
    for (size_t i = 0; i < args.size(); ++i) {
      const bool pointer = IsPointer(spec.args[i].kind);
      args[i] = pointer ? 0x10000 + i * 0x1000 + 8 : (spec.args[i].kind == ArgKind::kValue ? 3 : 5);
    }
    if (spec.name == "ioctl") args[1] = 0x5401;
    if (spec.name == "fcntl") args[1] = 6;
    if (spec.name == "prctl") args[0] = 15;
    if (spec.name == "getsockopt" || spec.name == "setsockopt") args[1] = 1;
    auto gathered = Gather(spec, args, memory);
    if (!gathered.ok() || !std::holds_alternative<Gathered>(*gathered)) continue;
    const ForwardCall& call = std::get<Gathered>(*gathered).call;
    corpus.push_back(Serialise(call));
    auto placed = Place(call, kBase, Area());
    Require(placed.ok(), "a gathered call cannot be placed");
    corpus.push_back(Serialise(Collect(call, *placed, 3, Area())));
  }
  return corpus;
}

// xorshift64*: the same mutations on every machine.
class Random {
 public:
  uint64_t Next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1DULL;
  }
  uint64_t Below(uint64_t n) { return Next() % n; }

 private:
  uint64_t state_ = 0x9E3779B97F4A7C15ULL;
};

void Mutate(std::vector<uint8_t>& bytes, Random& random) {
  for (uint64_t n = 1 + random.Below(3); n > 0 && !bytes.empty(); --n) {
    // Mostly the header and the parts: there the structure is.
    const size_t at =
        random.Below(random.Below(4) == 0 ? bytes.size() : std::min<size_t>(bytes.size(), 160));
    switch (random.Below(6)) {
      case 0:
        bytes[at] ^= static_cast<uint8_t>(1 << random.Below(8));
        break;
      case 1:
        bytes[at] = static_cast<uint8_t>(random.Next());
        break;
      case 2:
        bytes[at] += static_cast<uint8_t>(random.Below(2) == 0 ? 1 : 255);
        break;
      case 3:
        for (size_t i = at; i < std::min(bytes.size(), at + 4); ++i) bytes[i] = 0xff;
        break;
      case 4:
        bytes.resize(at);
        break;
      default:
        bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(at), 1 + random.Below(4), 0);
        break;
    }
  }
}

int RunCorpus() {
  const auto corpus = Corpus();
  Require(corpus.size() > 300, "the corpus lacks rows");
  size_t accepted = 0;
  for (const auto& bytes : corpus) {
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    accepted += ParseCall(bytes).ok() || ParseResult(bytes).ok();
  }
  Require(accepted == corpus.size(), "a real call or result is refused");
  Random random;
  constexpr int kMutations = 100'000;
  for (int i = 0; i < kMutations; ++i) {
    std::vector<uint8_t> bytes = corpus[random.Below(corpus.size())];
    Mutate(bytes, random);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%zu seeds, %d mutations\n", corpus.size(), kMutations);
  return 0;
}

}  // namespace
}  // namespace omfs::migration

int main(int argc, char** argv) {
  if (argc == 1) return omfs::migration::RunCorpus();
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "omfs-marshal-fuzz: cannot read %s\n", argv[i]);
      return 1;
    }
    const std::vector<char> text{std::istreambuf_iterator<char>(file), {}};
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  }
  return 0;
}
#endif  // OMFS_LIBFUZZER
