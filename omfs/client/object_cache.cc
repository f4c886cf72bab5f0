#include "omfs/client/object_cache.h"

#include <algorithm>

namespace omfs {
namespace {

// Names that were changed one by one are remembered for as long as late replies may come; beyond so
// many, all names count as changed with the latest of them.
constexpr size_t kMostDeadNames = 256;
constexpr size_t kMostNames = 65536;

}  // namespace

bool ObjectCache::Enter(uint64_t generation) {
  if (generation < generation_) return false;
  if (generation == generation_) return true;
  generation_ = generation;
  const uint64_t floor = floor_.generation == generation ? floor_.seq + 1 : 0;
  attributes_dead_ = names_dead_ = listing_dead_ = data_dead_ = floor;
  name_dead_.clear();
  attributes_.reset();
  names_.clear();
  highest_ = 0;
  return true;
}

bool ObjectCache::Alive(const CapStamp& stamp, uint64_t dead) const {
  if (stamp.seq == 0 || stamp.generation < floor_.generation) return false;
  if (stamp.generation > generation_) {
    return stamp.generation != floor_.generation || stamp.seq > floor_.seq;
  }
  return stamp.generation == generation_ && stamp.seq >= dead;
}

uint64_t ObjectCache::NameDead(std::string_view name) const {
  if (name_dead_.empty()) return names_dead_;
  const auto it = name_dead_.find(std::string(name));
  return it == name_dead_.end() ? names_dead_ : std::max(names_dead_, it->second);
}

void ObjectCache::PutAttributes(const omfs_attr& attr, const CapStamp& stamp) {
  std::lock_guard lock(mu_);
  if (stamp.seq == 0 || !Enter(stamp.generation) || !Alive(stamp, attributes_dead_)) return;
  highest_ = std::max(highest_, stamp.seq);
  if (attributes_ && attributes_seq_ > stamp.seq) return;
  attributes_ = attr;
  attributes_seq_ = stamp.seq;
}

std::optional<omfs_attr> ObjectCache::Attributes(uint64_t generation) const {
  std::lock_guard lock(mu_);
  return generation == generation_ ? attributes_ : std::nullopt;
}

void ObjectCache::ForgetAttributes() {
  std::lock_guard lock(mu_);
  attributes_.reset();
}

void ObjectCache::PutName(std::string_view name, const std::optional<Fh>& object,
                          const CapStamp& stamp) {
  std::lock_guard lock(mu_);
  if (stamp.seq == 0 || !Enter(stamp.generation) || !Alive(stamp, NameDead(name))) return;
  highest_ = std::max(highest_, stamp.seq);
  if (names_.size() >= kMostNames) names_.clear();
  NameFact& fact = names_[std::string(name)];
  if (fact.seq <= stamp.seq) fact = {object, stamp.seq};
}

std::optional<std::optional<Fh>> ObjectCache::Name(std::string_view name,
                                                   uint64_t generation) const {
  std::lock_guard lock(mu_);
  if (generation != generation_) return std::nullopt;
  const auto it = names_.find(std::string(name));
  if (it == names_.end()) return std::nullopt;
  return it->second.object;
}

void ObjectCache::Kill(uint32_t caps, const CapStamp& stamp) {
  std::lock_guard lock(mu_);
  if (!Enter(stamp.generation)) return;
  if ((caps & kAttributeCaps) != 0) {
    attributes_dead_ = std::max(attributes_dead_, stamp.seq);
    if (attributes_ && attributes_seq_ < attributes_dead_) attributes_.reset();
  }
  if ((caps & OMFS_CAP_F) != 0) data_dead_ = std::max(data_dead_, stamp.seq);
  if ((caps & OMFS_CAP_L) != 0) {
    names_dead_ = std::max(names_dead_, stamp.seq);
    listing_dead_ = std::max(listing_dead_, stamp.seq);
    std::erase_if(name_dead_, [&](const auto& n) { return n.second <= names_dead_; });
    std::erase_if(names_, [&](const auto& n) { return n.second.seq < names_dead_; });
  }
}

void ObjectCache::KillName(std::string_view name, const CapStamp& stamp) {
  std::lock_guard lock(mu_);
  if (!Enter(stamp.generation)) return;
  attributes_dead_ = std::max(attributes_dead_, stamp.seq);
  if (attributes_ && attributes_seq_ < attributes_dead_) attributes_.reset();
  listing_dead_ = std::max(listing_dead_, stamp.seq);
  if (stamp.seq > names_dead_) {
    if (name_dead_.size() >= kMostDeadNames) {
      for (const auto& [n, seq] : name_dead_) names_dead_ = std::max(names_dead_, seq);
      name_dead_.clear();
      std::erase_if(names_, [&](const auto& n) { return n.second.seq < names_dead_; });
    }
    uint64_t& dead = name_dead_[std::string(name)];
    dead = std::max(dead, stamp.seq);
  }
  const auto it = names_.find(std::string(name));
  if (it != names_.end() && it->second.seq < stamp.seq) names_.erase(it);
}

bool ObjectCache::AttributesAlive(const CapStamp& stamp) const {
  std::lock_guard lock(mu_);
  return Alive(stamp, attributes_dead_);
}

bool ObjectCache::NameAlive(std::string_view name, const CapStamp& stamp) const {
  std::lock_guard lock(mu_);
  return Alive(stamp, NameDead(name));
}

bool ObjectCache::ListingAlive(const CapStamp& stamp) const {
  std::lock_guard lock(mu_);
  return Alive(stamp, listing_dead_);
}

bool ObjectCache::DataAlive(const CapStamp& stamp) const {
  std::lock_guard lock(mu_);
  return Alive(stamp, data_dead_);
}

CapStamp ObjectCache::highest() const {
  std::lock_guard lock(mu_);
  return {generation_, highest_};
}

CapStamp ObjectCache::Floor() const {
  std::lock_guard lock(mu_);
  uint64_t floor =
      std::max({highest_ + 1, attributes_dead_, names_dead_, listing_dead_, data_dead_});
  for (const auto& [name, seq] : name_dead_) floor = std::max(floor, seq);
  return std::max(floor_, CapStamp{generation_, floor - 1});
}

}  // namespace omfs
