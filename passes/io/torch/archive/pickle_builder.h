// The values a pickle builds, while it is read: bounded in memory, and freed
// without recursion whatever they refer to.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "passes/io/torch/archive/pickle.h"

namespace lathe::io {

using PickleNode = std::shared_ptr<PickleValue>;

class PickleBuilder {
 public:
  explicit PickleBuilder(const std::string& where);
  ~PickleBuilder();
  PickleBuilder(const PickleBuilder&) = delete;
  PickleBuilder& operator=(const PickleBuilder&) = delete;

  // The place that fail() reports.
  void at_byte(size_t offset) { offset_ = offset; }
  [[noreturn]] void fail(std::string what, std::string hint = "") const;
  // Counts memory that is about to be taken; fails beyond the bound.
  void charge(uint64_t bytes);

  const PickleNode& none() const { return none_; }
  const PickleNode& boolean(bool value) const { return value ? true_ : false_; }
  PickleNode integer(int64_t value);
  PickleNode real(double value);
  // kString, kBytes or kGlobal.
  PickleNode text(PickleValue::Kind kind, std::string text);
  PickleNode tensor(PickledTensor tensor);
  PickleNode container(PickleValue::Kind kind,
                       std::vector<PicklePointer> items = {});
  // kObject: the tuple of its arguments is its first item.
  PickleNode object(std::string class_name, PicklePointer arguments);

  // `root`, once it is known to be free of cycles and nested 1000 deep at
  // most. Everything else is dropped. Called once, last.
  PicklePointer finish(const PickleNode& root);

 private:
  PickleNode make(PickleValue::Kind kind, uint64_t more_bytes);

  const std::string& where_;
  size_t offset_ = 0;
  uint64_t bytes_ = 0;
  PickleNode none_, true_, false_;
  std::vector<PickleNode> containers_;  // all values that may have items
};

// "a list", "a tensor", … for messages.
const char* describe(PickleValue::Kind kind);

// What a call of `function` on `arguments` (a tuple) gives; nothing is run.
// Fails for what is not in the allow-list, unless `opaque`.
PickleNode call_as_data(PickleBuilder& builder, const PickleNode& function,
                        const PicklePointer& arguments, bool opaque);

}  // namespace lathe::io
