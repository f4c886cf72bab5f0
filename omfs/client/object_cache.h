// ObjectCache: what a client knows of one object at an owner, and for how long it is true.
//
// A fact (the attributes; what one name of a directory means) comes with the stamp of the reply
// that brought it. Recalls, and the replies to changes, come with numbers of the same sequence and
// may overtake older replies. So nothing is decided by the order of arrival: the cache keeps for
// each kind of fact the number below which facts are dead, and a fact is alive if its generation is
// the present one and its number is not below. Whether the lease still holds is the user's question
// to Link.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "omfs/client/caps.h"
#include "omfs/client/types.h"

namespace omfs {

// Thread-safe.
class ObjectCache {
 public:
  // floor: facts that are not above it are dead from the beginning; recalls may have come while the
  // object was not known.
  explicit ObjectCache(const CapStamp& floor) : floor_(floor) {}

  // Attributes: alive while A, L and F are held.
  void PutAttributes(const omfs_attr& attr, const CapStamp& stamp);
  std::optional<omfs_attr> Attributes(uint64_t generation) const;
  // The kernel at this client has read: the time of the last access may have moved.
  void ForgetAttributes();

  // Names, of a directory: alive while L is held. nullopt inside: there is no such entry.
  void PutName(std::string_view name, const std::optional<Fh>& object, const CapStamp& stamp);
  std::optional<std::optional<Fh>> Name(std::string_view name, uint64_t generation) const;

  // Facts that the caps protect and that are older than the stamp are dead: a recall, or a change
  // of one's own.
  void Kill(uint32_t caps, const CapStamp& stamp);
  // The same for one name, and the directory's attributes.
  void KillName(std::string_view name, const CapStamp& stamp);

  // Whether a fact with this stamp may be used, or handed to a kernel, now.
  bool AttributesAlive(const CapStamp& stamp) const;
  bool NameAlive(std::string_view name, const CapStamp& stamp) const;
  bool ListingAlive(const CapStamp& stamp) const;
  bool DataAlive(const CapStamp& stamp) const;

  // The highest stamp that anything put here had.
  CapStamp highest() const;
  // Facts not above this are dead for whoever knows the object next.
  CapStamp Floor() const;

 private:
  struct NameFact {
    std::optional<Fh> object;
    uint64_t seq = 0;
  };
  // Everything of older generations goes. False: the stamp is of an older one itself.
  bool Enter(uint64_t generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Alive(const CapStamp& stamp, uint64_t dead) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint64_t NameDead(std::string_view name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const CapStamp floor_;
  mutable std::mutex mu_;
  uint64_t generation_ ABSL_GUARDED_BY(mu_) = 0;
  // Numbers below these are dead.
  uint64_t attributes_dead_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t names_dead_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t listing_dead_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t data_dead_ ABSL_GUARDED_BY(mu_) = 0;
  std::unordered_map<std::string, uint64_t> name_dead_
      ABSL_GUARDED_BY(mu_);  // where above names_dead_

  std::optional<omfs_attr> attributes_ ABSL_GUARDED_BY(mu_);
  uint64_t attributes_seq_ ABSL_GUARDED_BY(mu_) = 0;
  std::unordered_map<std::string, NameFact> names_ ABSL_GUARDED_BY(mu_);
  uint64_t highest_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace omfs
