#include "passes/io/torch/archive/pickle_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::io {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{512} << 20;
constexpr int kMaxDepth = 1000;
constexpr uint64_t kValueBytes = sizeof(PickleValue) + 32;

// The longest way down from every value with items, found without recursion.
class DepthCheck {
 public:
  explicit DepthCheck(const PickleBuilder& builder) : builder_(builder) {}

  void run(const PickleValue* root) {
    enter(root);
    while (!path_.empty()) {
      Step& step = path_.back();
      if (step.next < step.value->items.size()) {
        const PickleValue* item = step.value->items[step.next++].get();
        if (item->items.empty()) continue;
        const auto known = depths_.find(item);
        if (known == depths_.end())
          enter(item);
        else if (known->second == 0)
          builder_.fail("the value contains itself");
        else
          step.deepest = std::max(step.deepest, known->second);
        continue;
      }
      const int depth = step.deepest + 1;
      depths_[step.value] = depth;
      path_.pop_back();
      if (depth > kMaxDepth)
        builder_.fail(fmt::format("the values nest deeper than {}", kMaxDepth));
      if (!path_.empty())
        path_.back().deepest = std::max(path_.back().deepest, depth);
    }
  }

  bool reached(const PickleValue* value) const {
    return depths_.contains(value);
  }

 private:
  struct Step {
    const PickleValue* value;
    size_t next = 0;
    int deepest = 0;
  };

  void enter(const PickleValue* value) {
    depths_[value] = 0;  // on the path
    path_.push_back({value});
  }

  const PickleBuilder& builder_;
  std::unordered_map<const PickleValue*, int> depths_;
  std::vector<Step> path_;
};

}  // namespace

PickleBuilder::PickleBuilder(const std::string& where) : where_(where) {
  using Kind = PickleValue::Kind;
  none_ = make(Kind::kNone, 0);
  true_ = make(Kind::kBool, 0);
  true_->integer = 1;
  false_ = make(Kind::kBool, 0);
}

PickleBuilder::~PickleBuilder() {
  for (const PickleNode& value : containers_) value->items.clear();
}

void PickleBuilder::fail(std::string what, std::string hint) const {
  throw_input(fmt::format("{}, byte {} of the pickle", where_, offset_),
              std::move(what), std::move(hint));
}

void PickleBuilder::charge(uint64_t bytes) {
  bytes_ += bytes;
  if (bytes_ > kMaxBytes)
    fail(fmt::format("the values take more than {}", format_bytes(kMaxBytes)));
}

PickleNode PickleBuilder::make(PickleValue::Kind kind, uint64_t more_bytes) {
  charge(kValueBytes + more_bytes);
  auto value = std::make_shared<PickleValue>();
  value->kind = kind;
  return value;
}

PickleNode PickleBuilder::integer(int64_t value) {
  PickleNode made = make(PickleValue::Kind::kInt, 0);
  made->integer = value;
  return made;
}

PickleNode PickleBuilder::real(double value) {
  PickleNode made = make(PickleValue::Kind::kFloat, 0);
  made->real = value;
  return made;
}

PickleNode PickleBuilder::text(PickleValue::Kind kind, std::string text) {
  PickleNode made = make(kind, text.size());
  made->text = std::move(text);
  return made;
}

PickleNode PickleBuilder::tensor(PickledTensor tensor) {
  PickleNode made =
      make(PickleValue::Kind::kTensor, tensor.storage_key.size() +
                                           tensor.storage_type.size() +
                                           16 * tensor.sizes.size());
  made->tensor = std::move(tensor);
  return made;
}

PickleNode PickleBuilder::container(PickleValue::Kind kind,
                                    std::vector<PicklePointer> items) {
  PickleNode made = make(kind, 16 * items.size());
  made->items = std::move(items);
  containers_.push_back(made);
  return made;
}

PickleNode PickleBuilder::object(std::string class_name,
                                 PicklePointer arguments) {
  charge(class_name.size());
  PickleNode made = container(PickleValue::Kind::kObject, {arguments});
  made->text = std::move(class_name);
  return made;
}

PicklePointer PickleBuilder::finish(const PickleNode& root) {
  DepthCheck check(*this);
  check.run(root.get());
  for (const PickleNode& value : containers_)
    if (!check.reached(value.get())) value->items.clear();
  containers_.clear();
  return root;
}

const char* describe(PickleValue::Kind kind) {
  switch (kind) {
    case PickleValue::Kind::kNone:
      return "None";
    case PickleValue::Kind::kBool:
      return "a bool";
    case PickleValue::Kind::kInt:
      return "an int";
    case PickleValue::Kind::kFloat:
      return "a float";
    case PickleValue::Kind::kString:
      return "a string";
    case PickleValue::Kind::kBytes:
      return "bytes";
    case PickleValue::Kind::kList:
      return "a list";
    case PickleValue::Kind::kTuple:
      return "a tuple";
    case PickleValue::Kind::kSet:
      return "a set";
    case PickleValue::Kind::kDict:
      return "a dict";
    case PickleValue::Kind::kTensor:
      return "a tensor";
    case PickleValue::Kind::kGlobal:
      return "a function or class";
    case PickleValue::Kind::kObject:
      return "an object";
    case PickleValue::Kind::kPersistent:
      return "a storage";
  }
  return "a value";
}

}  // namespace lathe::io
