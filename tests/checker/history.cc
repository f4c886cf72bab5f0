#include "tests/checker/history.h"

#include <array>
#include <sstream>

namespace omfs::checker {
namespace {

constexpr std::array kCodes = {"read", "write",  "append", "truncate", "size",
                               "sync", "create", "place",  "unlink",   "rename",
                               "link", "lookup", "list",   "mkdir",    "rmdir"};
constexpr std::array kKinds = {"file", "paged", "names"};

template <typename Names>
int Find(const Names& names, const std::string& word) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (word == names[i]) return static_cast<int>(i);
  }
  return -1;
}

std::string OutcomeWord(const Operation& op) {
  switch (op.outcome) {
    case Outcome::kOk:
      return "ok";
    case Outcome::kNoEntry:
      return "ENOENT";
    case Outcome::kExists:
      return "EEXIST";
    case Outcome::kUnknown:
      break;
  }
  return "?" + op.error;
}

}  // namespace

std::string Format(const Operation& op) {
  std::ostringstream out;
  out << op.object << ' ' << kKinds[static_cast<int>(op.kind)] << ' ' << op.client << ' ' << op.node
      << ' ' << op.invoked << ' ';
  if (op.returned < 0) {
    out << '-';
  } else {
    out << op.returned;
  }
  out << ' ' << kCodes[static_cast<int>(op.code)] << ' ' << op.a << ' ' << op.b << ' '
      << OutcomeWord(op);
  for (uint64_t v : op.value) out << ' ' << v;
  return out.str();
}

bool Parse(const std::string& line, Operation* op) {
  std::istringstream in(line);
  std::string kind, returned, code, outcome;
  *op = Operation();
  if (!(in >> op->object >> kind >> op->client >> op->node >> op->invoked >> returned >> code >>
        op->a >> op->b >> outcome)) {
    return false;
  }
  const int k = Find(kKinds, kind), c = Find(kCodes, code);
  if (k < 0 || c < 0) return false;
  op->kind = static_cast<Kind>(k);
  op->code = static_cast<Code>(c);
  if (returned != "-" && !(std::istringstream(returned) >> op->returned)) return false;
  if (outcome == "ok") {
    op->outcome = Outcome::kOk;
  } else if (outcome == "ENOENT") {
    op->outcome = Outcome::kNoEntry;
  } else if (outcome == "EEXIST") {
    op->outcome = Outcome::kExists;
  } else if (outcome[0] == '?') {
    op->outcome = Outcome::kUnknown;
    op->error = outcome.substr(1);
  } else {
    return false;
  }
  for (uint64_t v; in >> v;) op->value.push_back(v);
  return in.eof() &&
         (op->returned >= op->invoked || (op->returned < 0 && op->outcome == Outcome::kUnknown));
}

std::map<std::string, std::vector<Operation>> ReadHistory(std::istream& in, std::string* bad) {
  std::map<std::string, std::vector<Operation>> history;
  bad->clear();
  for (std::string line; std::getline(in, line);) {
    Operation op;
    if (!Parse(line, &op)) {
      *bad = line;
      break;
    }
    history[op.object].push_back(std::move(op));
  }
  return history;
}

}  // namespace omfs::checker
