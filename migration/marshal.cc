// The guest's side of marshalling: Gather and Scatter. The home's side is marshal_home.cc, the
// bytes between them marshal_wire.cc, and what all agree on marshal_layout.cc.

#include "migration/marshal.h"

#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "migration/marshal_layout.h"

namespace omfs::migration {
namespace {

constexpr uint64_t kPage = 4096;
constexpr std::string_view kTooMuch = "more data in one call than is forwarded at once";
constexpr std::string_view kOwnMask = "waits with a signal mask of its own";
constexpr std::string_view kControl = "message with control data";
constexpr std::string_view kOddMessage = "message header of unusual form";

template <typename T>
T Load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

uint8_t AlignLog2(uint64_t address) {
  return static_cast<uint8_t>(std::clamp(std::countr_zero(address | kPage), 4, 12));
}

// Gathers one call. Every step returns false when the call is decided: `recall_` or `error_` is set
// then.
class Gatherer {
 public:
  Gatherer(const SyscallSpec& spec, const SyscallArgs& args, GuestMemory& memory, uint64_t skip)
      : spec_(spec), args_(args), memory_(memory), skip_(spec.has(kTransfer) ? skip : 0) {
    call().nr = spec.nr;
  }

  ErrnoOr<std::variant<Gathered, Recall>> Run() {
    // Clamping changes length words, which later arguments must see: start from all of them.
    for (size_t i = 0; i < args_.size(); ++i) {
      if (spec_.args[i].kind != ArgKind::kUnused) call().words[i] = args_[i];
    }
    for (size_t i = 0; i < args_.size(); ++i) {
      if (Argument(i)) continue;
      if (!error_.ok()) return error_;
      return std::variant<Gathered, Recall>(Recall{recall_});
    }
    return std::variant<Gathered, Recall>(std::move(out_));
  }

 private:
  struct Vector {
    std::vector<GuestRange> ranges;
    uint64_t total = 0;
    bool negative = false;
  };

  ForwardCall& call() { return out_.call; }
  bool Fail(Errno error) {
    error_ = error;
    return false;
  }
  bool GiveUp(std::string_view reason) {
    recall_ = reason;
    return false;
  }

  bool Argument(size_t i) {
    const ArgSpec arg = ResolveArg(spec_, args_, i);
    uint64_t& word = call().words[i];
    if (arg.kind == ArgKind::kOffset) {
      // -1 means the descriptor's own offset (preadv2), which advances by itself.
      if (static_cast<int64_t>(word) >= 0) word += skip_;
      return true;
    }
    if (!IsPointer(arg.kind) || word == 0) return true;
    word = 0;
    switch (arg.kind) {
      case ArgKind::kSigMask:
        return GiveUp(kOwnMask);
      case ArgKind::kSigMaskPair:
        return MaskPair(i);
      case ArgKind::kPath:
      case ArgKind::kString:
        return String(i, arg);
      case ArgKind::kIn:
      case ArgKind::kInOut:
        return Bytes(i, arg, args_[i], arg.size, true);
      case ArgKind::kOut:
        return Bytes(i, arg, args_[i], arg.size, false);
      case ArgKind::kSizePtr:
        return SizePointer(i, arg);
      case ArgKind::kOutSized:
      case ArgKind::kInOutSized:
        return SizedByPointer(i, arg);
      case ArgKind::kIovIn:
      case ArgKind::kIovOut:
        return Iovecs(i, arg);
      case ArgKind::kMsgIn:
      case ArgKind::kMsgOut:
        return Message(i, arg);
      default:
        return Counted(i, arg);
    }
  }

  bool Unusable(size_t i) {
    call().words[i] = kBadPointer;
    return true;
  }

  CallPart& AddPart(size_t i, CallPart::Shape shape) {
    CallPart part;
    part.arg = static_cast<uint8_t>(i);
    part.shape = shape;
    part.in_offset = static_cast<uint32_t>(call().data.size());
    part.first_length = static_cast<uint32_t>(call().lengths.size());
    call().parts.push_back(part);
    return call().parts.back();
  }

  void AddTarget(size_t i, const ArgSpec& arg, uint64_t address, std::vector<GuestRange> ranges,
                 uint64_t name_address = 0) {
    if (HasOut(arg.kind))
      out_.targets.push_back({static_cast<uint8_t>(i), address, std::move(ranges), name_address});
  }

  // Appends the guest's bytes to the call's data; EFAULT leaves the data as it was.
  Errno Append(uint64_t address, uint64_t size) {
    std::vector<uint8_t>& data = call().data;
    const size_t before = data.size();
    data.resize(before + size);
    if (size == 0) return Errno();
    Errno e = memory_.Read(address, std::span<uint8_t>(data).subspan(before));
    if (!e.ok()) data.resize(before);
    return e;
  }

  // How many of the bytes are there, counted by pages.
  ErrnoOr<uint64_t> Accessible(uint64_t address, uint64_t size) {
    uint64_t done = 0;
    while (done < size) {
      uint8_t byte;
      Errno e = memory_.Read(address + done, {&byte, 1});
      if (e.value == EFAULT) break;
      if (!e.ok()) return e;
      done = std::min(size, done + kPage - (address + done) % kPage);
    }
    return done;
  }

  bool MaskPair(size_t i) {
    uint8_t pair[16];
    Errno e = memory_.Read(args_[i], pair);
    if (e.value == EFAULT) return Unusable(i);
    if (!e.ok()) return Fail(e);
    return Load<uint64_t>(pair) == 0 ? true : GiveUp(kOwnMask);
  }

  bool String(size_t i, const ArgSpec& arg) {
    ErrnoOr<std::string> text = memory_.ReadString(args_[i], arg.size);
    if (text.error().value == EFAULT) return Unusable(i);
    if (!text.ok()) return Fail(text.error());
    CallPart& part = AddPart(i, CallPart::Shape::kFlat);
    part.in_size = part.capacity = static_cast<uint32_t>(text->size() + 1);
    call().data.insert(call().data.end(), text->begin(), text->end());
    call().data.push_back(0);
    return true;
  }

  // A flat part of `size` bytes at `address`, read when `in`, else only probed.
  bool Bytes(size_t i, const ArgSpec& arg, uint64_t address, uint64_t size, bool in) {
    const auto offset = static_cast<uint32_t>(call().data.size());
    uint8_t byte;
    Errno e;
    if (in) e = Append(address, size);
    if (!in && size > 0) e = memory_.Read(address, {&byte, 1});
    if (e.value == EFAULT) return Unusable(i);
    if (!e.ok()) return Fail(e);
    AddFlat(i, arg, address, size, offset, in);
    return true;
  }

  void AddFlat(size_t i, const ArgSpec& arg, uint64_t address, uint64_t size, uint32_t in_offset,
               bool in) {
    CallPart& part = AddPart(i, CallPart::Shape::kFlat);
    part.in_offset = in_offset;
    part.in_size = in ? static_cast<uint32_t>(size) : 0;
    part.capacity = static_cast<uint32_t>(size);
    if (spec_.has(kTransfer)) part.align_log2 = AlignLog2(address);
    AddTarget(i, arg, address, {{address, size}});
  }

  // The buffer of read, write and the like: what lies before an address that is not there is
  // transferred, as natively.
  bool Transfer(size_t i, const ArgSpec& arg, uint64_t address, uint64_t size, bool in) {
    const auto offset = static_cast<uint32_t>(call().data.size());
    uint8_t last;
    Errno e;
    if (in) e = Append(address, size);
    if (!in && size > 0) e = memory_.Read(address + size - 1, {&last, 1});
    const bool one_page = size > 0 && address / kPage == (address + size - 1) / kPage;
    if (e.value == EFAULT || (e.ok() && !in && !one_page)) {
      ErrnoOr<uint64_t> there = e.ok() ? Accessible(address, 1) : Accessible(address, size);
      if (!there.ok()) return Fail(there.error());
      if (*there == 0 && size > 0) return Unusable(i);
      if (!e.ok()) {
        size = *there;
        out_.clamped = false;
        e = in ? Append(address, size) : Errno();
      }
    }
    if (!e.ok()) return Fail(e);
    call().words[arg.ref] = size;
    out_.transfer = size;
    AddFlat(i, arg, address, size, offset, in);
    return true;
  }

  // Buffers and arrays counted by a length word.
  bool Counted(size_t i, const ArgSpec& arg) {
    std::optional<uint64_t> bytes = CountedBytes(arg, args_);
    if (!bytes) return Unusable(i);  // the kernel refuses the negative length
    const uint64_t address = args_[i] + skip_;
    uint64_t size = *bytes - std::min(*bytes, skip_);
    if (size > LimitOf(arg)) {
      if (spec_.has(kTransfer) && size > INT64_MAX) return Unusable(i);  // EFAULT natively
      if (arg.too_long == TooLong::kRecall) return GiveUp(kTooMuch);
      if (arg.too_long == TooLong::kRefused) return Unusable(i);
      size = LimitOf(arg);
      out_.clamped = spec_.has(kTransfer);
    }
    const bool in = arg.kind != ArgKind::kOutBuf && arg.kind != ArgKind::kOutArray;
    if (spec_.has(kTransfer)) return Transfer(i, arg, address, size, in);
    if (size != *bytes) call().words[arg.ref] = size / arg.size;
    return Bytes(i, arg, address, size, in);
  }

  // The 32-bit number at a length pointer: nothing when it cannot be read or the guest gave NULL.
  ErrnoOr<std::optional<int32_t>> PointedLength(size_t i) {
    if (args_[i] == 0) return std::optional<int32_t>();
    uint8_t bytes[4];
    Errno e = memory_.Read(args_[i], bytes);
    if (e.value == EFAULT) return std::optional<int32_t>();
    if (!e.ok()) return e;
    return std::optional<int32_t>(Load<int32_t>(bytes));
  }

  bool SizedByPointer(size_t i, const ArgSpec& arg) {
    ErrnoOr<std::optional<int32_t>> length = PointedLength(arg.ref);
    if (!length.ok()) return Fail(length.error());
    if (!length->has_value()) return Unusable(i);
    const uint64_t size = std::min<uint64_t>(std::max(**length, 0), LimitOf(arg));
    return Bytes(i, arg, args_[i], size, arg.kind == ArgKind::kInOutSized);
  }

  bool SizePointer(size_t i, const ArgSpec& arg) {
    ErrnoOr<std::optional<int32_t>> length = PointedLength(i);
    if (!length.ok()) return Fail(length.error());
    if (!length->has_value()) return Unusable(i);
    // The kernel at home must not write more than the buffer it counts has room for there.
    int32_t value = **length;
    for (const ArgSpec& other : spec_.args) {
      const bool counts = other.kind == ArgKind::kOutSized || other.kind == ArgKind::kInOutSized;
      if (counts && other.ref == i)
        value = std::min<int32_t>(value, static_cast<int32_t>(LimitOf(other)));
    }
    CallPart& part = AddPart(i, CallPart::Shape::kFlat);
    part.in_size = part.capacity = 4;
    const auto* from = reinterpret_cast<const uint8_t*>(&value);
    call().data.insert(call().data.end(), from, from + 4);
    AddTarget(i, arg, args_[i], {{args_[i], 4}});
    return true;
  }

  // Reads an iovec array. EFAULT when it cannot be read.
  ErrnoOr<Vector> ReadVector(uint64_t address, uint64_t count) {
    Vector v;
    std::vector<uint8_t> raw(count * kIovecSize);
    if (count > 0) {
      Errno e = memory_.Read(address, raw);
      if (!e.ok()) return e;
    }
    for (uint64_t k = 0; k < count; ++k) {
      GuestRange range{Load<uint64_t>(&raw[k * kIovecSize]),
                       Load<uint64_t>(&raw[k * kIovecSize + 8])};
      if (range.size > INT64_MAX) v.negative = true;
      v.total = range.size > UINT64_MAX - v.total ? UINT64_MAX : v.total + range.size;
      v.ranges.push_back(range);
    }
    return v;
  }

  // Drops `skip` bytes at the front and everything beyond `limit`; the number of ranges stays.
  static void Cut(Vector& v, uint64_t skip, uint64_t limit) {
    v.total = 0;
    for (GuestRange& r : v.ranges) {
      const uint64_t dropped = std::min(skip, r.size);
      r.address += dropped;
      r.size -= dropped;
      skip -= dropped;
      r.size = std::min(r.size, limit - v.total);
      v.total += r.size;
    }
  }

  void AddLengths(CallPart& part, const Vector& v) {
    for (const GuestRange& r : v.ranges) call().lengths.push_back(static_cast<uint32_t>(r.size));
    part.length_count = static_cast<uint32_t>(v.ranges.size());
  }

  bool Iovecs(size_t i, const ArgSpec& arg) {
    uint64_t& count = call().words[arg.ref];
    if (count > kMaxIovecs) return Unusable(i);  // EINVAL by the count alone
    ErrnoOr<Vector> read = ReadVector(args_[i], count);
    if (read.error().value == EFAULT) return Unusable(i);
    if (!read.ok()) return Fail(read.error());
    Vector v = *std::move(read);
    if (v.negative) {
      // A negative length is EINVAL, found where a count that is too large is found.
      count = kMaxIovecs + 1;
      return Unusable(i);
    }
    const uint64_t rest = v.total - std::min(v.total, skip_);
    out_.clamped = rest > LimitOf(arg);
    Cut(v, skip_, LimitOf(arg));

    const bool in = arg.kind == ArgKind::kIovIn;
    const size_t data_before = call().data.size();
    uint64_t usable = 0;
    uint64_t first_address = 0;
    for (const GuestRange& r : v.ranges) {
      if (r.size == 0) continue;
      if (first_address == 0) first_address = r.address;
      uint8_t byte;
      Errno e = in ? Append(r.address, r.size)
                   : (usable == 0 ? memory_.Read(r.address, {&byte, 1}) : Errno());
      if (e.ok()) {
        usable += r.size;
        continue;
      }
      if (e.value != EFAULT) return Fail(e);
      // What lies before the bad address is transferred, as natively.
      if (in) {
        ErrnoOr<uint64_t> there = Accessible(r.address, r.size);
        if (!there.ok()) return Fail(there.error());
        e = Append(r.address, *there);
        if (!e.ok()) return Fail(e);
        usable += *there;
      }
      if (usable == 0) return Unusable(i);
      out_.clamped = false;
      Cut(v, 0, usable);
      break;
    }
    CallPart& part = AddPart(i, CallPart::Shape::kVector);
    part.in_offset = static_cast<uint32_t>(data_before);
    part.in_size = in ? static_cast<uint32_t>(v.total) : 0;
    part.capacity = static_cast<uint32_t>(v.total);
    part.align_log2 = AlignLog2(first_address);
    AddLengths(part, v);
    out_.transfer = v.total;
    AddTarget(i, arg, args_[i], std::move(v.ranges));
    return true;
  }

  bool Message(size_t i, const ArgSpec& arg) {
    uint8_t header[kMsghdrSize];
    Errno e = memory_.Read(args_[i], header);
    if (e.value == EFAULT) return Unusable(i);
    if (!e.ok()) return Fail(e);
    const auto name = Load<uint64_t>(header);
    const auto name_size = Load<int32_t>(header + 8);
    const auto vector = Load<uint64_t>(header + 16);
    const auto count = Load<uint64_t>(header + 24);
    if (Load<uint64_t>(header + 40) != 0) return GiveUp(kControl);
    if (name_size < 0 || count > kMaxIovecs) return GiveUp(kOddMessage);
    ErrnoOr<Vector> read = ReadVector(vector, count);
    if (read.error().value == EFAULT) return GiveUp(kOddMessage);
    if (!read.ok()) return Fail(read.error());
    Vector v = *std::move(read);
    if (v.negative) return GiveUp(kOddMessage);
    if (v.total > kMaxTransfer) return GiveUp(kTooMuch);

    const bool in = arg.kind == ArgKind::kMsgIn;
    const auto in_offset = static_cast<uint32_t>(call().data.size());
    const uint64_t room = name == 0 ? 0 : std::min<uint64_t>(name_size, LimitOf(arg));
    if (in) {
      e = Append(name, room);
      for (const GuestRange& r : v.ranges)
        if (e.ok()) e = Append(r.address, r.size);
      if (e.value == EFAULT) return GiveUp(kOddMessage);
      if (!e.ok()) return Fail(e);
    }
    CallPart& part = AddPart(i, CallPart::Shape::kMessage);
    part.in_offset = in_offset;
    part.name_size = static_cast<uint32_t>(room);
    part.capacity = static_cast<uint32_t>(room + v.total);
    part.in_size = in ? part.capacity : 0;
    AddLengths(part, v);
    AddTarget(i, arg, args_[i], std::move(v.ranges), name);
    return true;
  }

  const SyscallSpec& spec_;
  const SyscallArgs& args_;
  GuestMemory& memory_;
  const uint64_t skip_;
  Gathered out_;
  Errno error_;
  std::string_view recall_;
};

// Writes bytes over the ranges, in order.
Errno WriteRanges(GuestMemory& memory, const std::vector<GuestRange>& ranges,
                  std::span<const uint8_t> bytes) {
  for (const GuestRange& r : ranges) {
    const size_t n = std::min<size_t>(r.size, bytes.size());
    if (n == 0) continue;
    Errno e = memory.Write(r.address, bytes.first(n));
    if (!e.ok()) return e;
    bytes = bytes.subspan(n);
  }
  return Errno();
}

// Writes a received message: data, name, and the members of msghdr that the kernel sets.
Errno WriteMessage(GuestMemory& memory, const Gathered::Target& target, const CallPart& part,
                   std::span<const uint8_t> bytes, int64_t rax) {
  const auto name_size = Load<uint32_t>(bytes.data());
  const auto flags = bytes.subspan(4, 4);
  const size_t data = std::min<uint64_t>(rax, part.capacity - part.name_size);
  const auto name = bytes.subspan(kMessageHead, bytes.size() - kMessageHead - data);
  Errno e = WriteRanges(memory, target.ranges, bytes.last(data));
  if (e.ok() && target.name_address != 0) {
    if (!name.empty()) e = memory.Write(target.name_address, name);
    const auto* size_bytes = reinterpret_cast<const uint8_t*>(&name_size);
    if (e.ok()) e = memory.Write(target.address + 8, {size_bytes, 4});
  }
  const uint8_t no_control[8] = {};
  if (e.ok()) e = memory.Write(target.address + 40, no_control);
  if (e.ok()) e = memory.Write(target.address + 48, flags);
  return e;
}

// The target of the argument, or nullptr.
const Gathered::Target* TargetOf(const Gathered& gathered, size_t arg) {
  for (const Gathered::Target& t : gathered.targets)
    if (t.arg == arg) return &t;
  return nullptr;
}

const ForwardResult::Part* ResultPart(const ForwardResult& result, size_t arg) {
  for (const ForwardResult::Part& p : result.parts)
    if (p.arg == arg) return &p;
  return nullptr;
}

// Every part belongs to a target and brings as many bytes as the result says.
bool ResultFits(const SyscallSpec& spec, const Gathered& gathered, const ForwardResult& result) {
  for (const ForwardResult::Part& p : result.parts)
    if (TargetOf(gathered, p.arg) == nullptr) return false;
  for (const Gathered::Target& t : gathered.targets) {
    const ForwardResult::Part* p = ResultPart(result, t.arg);
    const uint64_t size = p == nullptr ? 0 : p->size;
    const OutBytes expected = ExpectedOut(ResolveArg(spec, gathered.call.words, t.arg),
                                          *gathered.call.PartOf(t.arg), result.rax);
    if (size < expected.min || size > expected.max) return false;
    if (p != nullptr && (p->offset > result.data.size() || size > result.data.size() - p->offset))
      return false;
  }
  return true;
}

}  // namespace

ErrnoOr<std::string> GuestMemory::ReadString(uint64_t address, size_t max) {
  std::string text;
  while (text.size() < max) {
    const uint64_t at = address + text.size();
    const size_t n = std::min<size_t>(max - text.size(), kPage - at % kPage);
    const size_t before = text.size();
    text.resize(before + n);
    Errno e = Read(at, {reinterpret_cast<uint8_t*>(text.data()) + before, n});
    if (!e.ok()) return e;
    const size_t end = text.find('\0', before);
    if (end != std::string::npos) {
      text.resize(end);
      return text;
    }
  }
  return text;
}

const CallPart* ForwardCall::PartOf(size_t arg) const {
  for (const CallPart& part : parts)
    if (part.arg == arg) return &part;
  return nullptr;
}

ErrnoOr<std::variant<Gathered, Recall>> Gather(const SyscallSpec& spec, const SyscallArgs& args,
                                               GuestMemory& memory, uint64_t skip) {
  const Decision decision = Decide(spec.nr, args);
  if (decision.cls == SyscallClass::kRecall)
    return std::variant<Gathered, Recall>(Recall{decision.reason});
  if (decision.cls == SyscallClass::kLocal)
    return std::variant<Gathered, Recall>(Recall{"a call that runs only where the guest is"});
  return Gatherer(spec, args, memory, skip).Run();
}

std::vector<int> DescriptorsOf(const ForwardCall& call) {
  std::vector<int> fds;
  const SyscallSpec* spec = FindSyscall(call.nr);
  if (spec == nullptr) return fds;
  for (size_t i = 0; i < call.words.size(); ++i) {
    const ArgSpec arg = ResolveArg(*spec, call.words, i);
    const auto fd = static_cast<int>(call.words[i]);
    const CallPart* part = call.PartOf(i);
    if (arg.kind == ArgKind::kFd && fd >= 0) fds.push_back(fd);
    if (arg.kind == ArgKind::kDirFd && fd >= 0) {
      // An absolute path does not look at the descriptor.
      const CallPart* path = call.PartOf(i + 1);
      const bool absolute = path != nullptr && call.data[path->in_offset] == '/';
      if (!absolute) fds.push_back(fd);
    }
    if (part == nullptr) continue;
    const auto bytes = call.InBytes(*part);
    if (arg.kind == ArgKind::kInOutBuf && arg.size == 8) {  // struct pollfd
      for (size_t k = 0; k + 8 <= bytes.size(); k += 8) {
        const int polled = Load<int32_t>(&bytes[k]);
        if (polled >= 0) fds.push_back(polled);
      }
    }
    if (arg.kind == ArgKind::kFdSet) {
      const auto count = static_cast<int>(call.words[arg.ref]);
      for (int bit = 0; bit < count; ++bit)
        if ((bytes[bit / 8] >> (bit % 8)) & 1) fds.push_back(bit);
    }
  }
  return fds;
}

std::optional<uint64_t> NextSkip(const Gathered& gathered, uint64_t skip, int64_t rax,
                                 bool fills_buffer) {
  if (!gathered.clamped || rax <= 0 || static_cast<uint64_t>(rax) != gathered.transfer)
    return std::nullopt;
  const bool reads = !gathered.targets.empty();
  if (reads && !fills_buffer) return std::nullopt;
  return skip + static_cast<uint64_t>(rax);
}

ErrnoOr<int64_t> Scatter(const Gathered& gathered, const ForwardResult& result,
                         GuestMemory& memory) {
  const SyscallSpec* spec = FindSyscall(gathered.call.nr);
  if (spec == nullptr || !ResultFits(*spec, gathered, result)) return Errno(EPROTO);
  int64_t rax = result.rax;
  for (const ForwardResult::Part& p : result.parts) {
    const Gathered::Target& target = *TargetOf(gathered, p.arg);
    const CallPart& part = *gathered.call.PartOf(p.arg);
    const ArgSpec arg = ResolveArg(*spec, gathered.call.words, p.arg);
    const auto bytes = std::span<const uint8_t>(result.data).subspan(p.offset, p.size);
    Errno e = part.shape == CallPart::Shape::kMessage
                  ? WriteMessage(memory, target, part, bytes, result.rax)
                  : WriteRanges(memory, target.ranges, bytes);
    if (e.ok()) continue;
    if (e.value != EFAULT) return e;
    // The rest of a timeout is given on a best-effort basis (fs/select.c), everything else is
    // promised.
    const bool timeout = arg.kind == ArgKind::kInOut && arg.when == When::kAlways && arg.size == 16;
    if (!timeout) rax = -EFAULT;
  }
  return rax;
}

}  // namespace omfs::migration
