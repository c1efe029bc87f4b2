// Helpers of the quantization tests.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "passes/activation_ranges.h"
#include "passes/ir/text_format.h"
#include "passes/quantize/quantize.h"

namespace lathe::quantize::test {

// Ranges from a table; [-1, 1] for values that are not in it.
class FixedRanges final : public RangeCollector {
 public:
  explicit FixedRanges(std::map<std::string, Range> ranges = {})
      : ranges_(std::move(ranges)) {}

  ActivationRanges collect(const ir::Model&,
                           const std::vector<std::string>& values,
                           ProgressSink&, const CancelToken*) override {
    asked = values;
    ActivationRanges result;
    for (const std::string& name : values) {
      auto it = ranges_.find(name);
      result[name] = it == ranges_.end() ? Range{-1, 1} : it->second;
    }
    return result;
  }

  // Channel 3 of the value `x` from the entry `x.3`.
  ChannelRanges collect_channels(const ir::Model& model,
                                 const std::vector<ChannelRequest>& requests,
                                 ProgressSink&, const CancelToken*,
                                 int64_t) override {
    ChannelRanges result;
    for (const auto& [name, axis] : requests) {
      const ir::Shape& shape = *model.graph->find(name)->type.shape;
      const int64_t channels = shape[static_cast<size_t>(axis)].value;
      for (int64_t c = 0; c < channels; ++c) {
        auto it = ranges_.find(name + "." + std::to_string(c));
        result[name].push_back(it == ranges_.end() ? Range{-1, 1} : it->second);
      }
    }
    return result;
  }

  std::vector<std::string> asked;

 private:
  std::map<std::string, Range> ranges_;
};

struct Outcome {
  ir::Model model;
  PassResult result;
  std::vector<std::string> asked;

  std::string text() const { return ir::to_text(model); }
  std::string reason(const std::string& node) const {
    for (const Remark& remark : result.remarks)
      if (remark.node == node) return remark.reason;
    return "";
  }
  int count(const std::string& op) const {
    int found = 0;
    for (const auto& node : model.graph->nodes()) found += node->op_type == op;
    return found;
  }
  const ir::Node* node(const std::string& id) const {
    for (const auto& node : model.graph->nodes())
      if (node->id() == id) return node.get();
    return nullptr;
  }
  // "Q", "DQ" or the operator that computes input `i` of the node.
  std::string source(const std::string& id, size_t i) const {
    const ir::Value* value = node(id)->input(i);
    return value->producer() ? value->producer()->op_type : "none";
  }
};

// The pass on a model in text form.
inline Outcome run_text(const std::string& text, std::unique_ptr<Pass> pass,
                        std::map<std::string, Range> ranges = {}) {
  Outcome outcome{ir::parse_text(text), {}, {}};
  FixedRanges collector(std::move(ranges));
  PassContext context;
  context.ranges = &collector;
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(std::move(pass));
  outcome.result = run_passes(outcome.model, passes, context);
  outcome.asked = collector.asked;
  return outcome;
}

inline Outcome quantize_text(const std::string& text,
                             std::map<std::string, Range> ranges = {},
                             QuantizeOptions options = {}) {
  return run_text(text, make_quantize_static(std::move(options)),
                  std::move(ranges));
}

}  // namespace lathe::quantize::test
