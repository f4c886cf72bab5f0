#include "tests/checker/stream.h"

#include "tests/checker/model.h"

namespace omfs::checker {
namespace {

constexpr uint64_t kFileTokens = 16;  // writes and truncations stay below; appends may go beyond

}  // namespace

std::vector<Object> ObjectsOf(uint64_t seed, int round, int nodes) {
  Random random(seed * 1000003 + static_cast<uint64_t>(round) * 7919);
  const struct {
    Kind kind;
    bool symlinks;
  } wanted[] = {{Kind::kFile, false},
                {Kind::kFile, false},
                {Kind::kPaged, false},
                {Kind::kNames, true},
                {Kind::kNames, false}};
  std::vector<Object> objects;
  for (const auto& w : wanted) {
    Object o{"r" + std::to_string(round) + "." + std::to_string(objects.size()), w.kind, w.symlinks,
             0, ""};
    o.owner = 1 + static_cast<int>(random.Below(nodes));
    o.path = "/mfs/" + std::to_string(o.owner) + "/check/r" + std::to_string(round) + "/o" +
             std::to_string(objects.size());
    objects.push_back(std::move(o));
  }
  return objects;
}

std::string StagingOf(const Object& object, int client) {
  return object.path + "-staging-" + std::to_string(client);
}

Stream::Stream(uint64_t seed, int round, int client, const std::vector<Object>& objects)
    : objects_(objects),
      random_(seed * 1000003 + static_cast<uint64_t>(round) * 7919 +
              static_cast<uint64_t>(client) * 104729 + 1),
      token_base_(static_cast<uint64_t>(client + 1) << 32) {}

Planned Stream::Next() {
  Planned p{};
  p.object = random_.Below(objects_.size());
  p.held = random_.Below(2) == 0;
  p.variant = random_.Below(2) == 0;
  p.b = token_base_ | ++count_;
  return objects_[p.object].kind == Kind::kNames ? OfNames(p) : OfFile(p);
}

Planned Stream::OfFile(Planned p) {
  const bool paged = objects_[p.object].kind == Kind::kPaged;
  const uint64_t dice = random_.Below(100);
  p.a = random_.Below(paged ? kSlots : kFileTokens);
  if (dice < 43) {
    p.code = Code::kRead;
  } else if (dice < 53) {
    p.code = Code::kSize;
  } else if (dice < 71 || (paged && dice < 83)) {
    p.code = Code::kWrite;
  } else if (dice < 83) {
    p.code = Code::kAppend;
  } else if (dice < 90) {
    p.code = Code::kTruncate;
  } else {
    p.code = Code::kSync;
  }
  return p;
}

Planned Stream::OfNames(Planned p) {
  constexpr uint64_t kDirectories = 2, kFree = kNames - kDirectories;
  const uint64_t dice = random_.Below(100);
  p.a = random_.Below(kFree);
  const uint64_t other = random_.Below(kFree);
  if (dice < 35) {
    p.code = Code::kLookup;
  } else if (dice < 45) {
    p.code = Code::kList;
  } else if (dice < 58) {
    p.code = Code::kCreate;
    if (p.variant && !objects_[p.object].symlinks) p.b |= kFilledLater;
  } else if (dice < 65) {
    p.code = Code::kPlace;
  } else if (dice < 77) {
    p.code = Code::kUnlink;
  } else if (dice < 86) {
    p.code = Code::kRename;
    p.b = other;
  } else if (dice < 93) {
    p.code = Code::kLink;
    p.b = other;
  } else {
    p.a = kFree + random_.Below(kDirectories);
    p.code = dice < 97 ? Code::kMkdir : Code::kRmdir;
  }
  // A name renamed or linked to itself is nothing to learn from.
  if ((p.code == Code::kRename || p.code == Code::kLink) && p.b == p.a) p.b = (p.a + 1) % kFree;
  return p;
}

}  // namespace omfs::checker
