#include "passes/quantize/block_pixels_sample.h"

#include <algorithm>
#include <numeric>

namespace lathe::quantize {
namespace {

using Ints = std::vector<int64_t>;

constexpr int64_t kMostChannels = 4096;

std::optional<Ints> constant_ints(const ir::Node& node, size_t i) {
  const ir::Value* value = node.input(i);
  if (!value) return Ints{};
  if (!value->is_constant()) return std::nullopt;
  return value->tensor().to_int64s();
}

// Which elements of an axis remain.
struct Kept {
  int64_t first = 0, step = 1, count = 0;

  bool slice(int64_t start, int64_t end, int64_t by) {
    if (by < 1 || by > 2) return false;
    if (start < 0) start += count;
    if (end < 0) end += count;
    start = std::clamp<int64_t>(start, 0, count);
    end = std::clamp<int64_t>(end, 0, count);
    if (end <= start) return false;
    first += start * step;
    step *= by;
    count = (end - start + by - 1) / by;
    return true;
  }
};

class Follower {
 public:
  Follower(ir::Node& dequantize, int64_t channels, int64_t height,
           int64_t width)
      : dequantize_(dequantize),
        channels_{0, 1, channels},
        rows_{0, 1, height},
        columns_{0, 1, width},
        height_(height),
        width_(width) {}

  std::optional<SampleChain> follow(ir::Node& slice) {
    for (ir::Node* node = &slice; node; node = next_slice()) {
      if (!apply(*node)) return std::nullopt;
      chain_.nodes.push_back(node);
      ir::Node* quantize = only_reader(node->output());
      if (!quantize || !quantize->is("QuantizeLinear") ||
          !same_parameters(*quantize, dequantize_))
        return std::nullopt;
      chain_.nodes.push_back(quantize);
    }
    chain_.channels.resize(channels_.count);
    for (int64_t i = 0; i < channels_.count; ++i)
      chain_.channels[i] = channels_.first + i * channels_.step;
    if (ir::Node* pad = only_reader(end()); pad && pad->is("Pad"))
      apply_pad(*pad);
    if (rows_.step != 2 || columns_.step != 2) return std::nullopt;
    chain_.rows = {1, 2, -rows_.first, height_, rows_.count};
    chain_.columns = {1, 2, -columns_.first, width_, columns_.count};
    return std::move(chain_);
  }

 private:
  static ir::Node* only_reader(const ir::Value* value) {
    if (value->is_graph_output() || value->uses().size() != 1) return nullptr;
    const ir::Use& use = value->uses()[0];
    const bool is_data = use.index == 0;
    return is_data && &use.node->graph() == &value->graph() ? use.node
                                                            : nullptr;
  }

  const ir::Value* end() const { return chain_.nodes.back()->output(); }

  ir::Node* next_slice() {
    ir::Node* dequantize = only_reader(end());
    if (!dequantize || !dequantize->is("DequantizeLinear")) return nullptr;
    ir::Node* slice = only_reader(dequantize->output());
    if (!slice || !slice->is("Slice") ||
        !same_parameters(*dequantize, dequantize_))
      return nullptr;
    chain_.nodes.push_back(dequantize);
    return slice;
  }

  bool apply(const ir::Node& slice) {
    const auto starts = constant_ints(slice, 1), ends = constant_ints(slice, 2),
               axes = constant_ints(slice, 3), steps = constant_ints(slice, 4);
    if (!starts || !ends || !axes || !steps || starts->size() != ends->size())
      return false;
    for (size_t i = 0; i < starts->size(); ++i) {
      if (!axes->empty() && axes->size() != starts->size()) return false;
      if (!steps->empty() && steps->size() != starts->size()) return false;
      int64_t axis = axes->empty() ? static_cast<int64_t>(i) : (*axes)[i];
      if (axis < 0) axis += 4;
      if (axis < 1 || axis > 3) return false;
      Kept& kept = axis == 1 ? channels_ : axis == 2 ? rows_ : columns_;
      if (!kept.slice((*starts)[i], (*ends)[i],
                      steps->empty() ? 1 : (*steps)[i]))
        return false;
    }
    return true;
  }

  // Takes the Pad into the chain where it only adds channels of zero's code.
  void apply_pad(ir::Node& pad) {
    const auto amounts = constant_ints(pad, 1);
    if (pad.attr_string("mode", "constant") != "constant" || !amounts ||
        amounts->size() != 8 || pad.input(3))
      return;
    for (size_t i = 0; i < 8; ++i)
      if ((i % 4 != 1 && (*amounts)[i] != 0) || (*amounts)[i] < 0 ||
          (*amounts)[i] > kMostChannels)
        return;
    const ir::Value *fill = pad.input(2), *zero = dequantize_.input(2);
    if (fill && (!fill->is_constant() || fill->tensor().size() != 1)) return;
    const int64_t code = fill ? fill->tensor().to_int64s()[0] : 0;
    if (code != (zero ? zero->tensor().to_int64s()[0] : 0)) return;
    chain_.channels.insert(chain_.channels.begin(), (*amounts)[1], -1);
    chain_.channels.insert(chain_.channels.end(), (*amounts)[5], -1);
    chain_.nodes.push_back(&pad);
  }

  ir::Node& dequantize_;
  Kept channels_, rows_, columns_;
  int64_t height_, width_;
  SampleChain chain_;
};

bool same(const ir::Value* a, const ir::Value* b) {
  if (a == b) return true;
  if (!a || !b || !a->is_constant() || !b->is_constant()) return false;
  return a->tensor().size() == b->tensor().size() &&
         a->tensor().type() == b->tensor().type() &&
         std::ranges::equal(a->tensor().bytes(), b->tensor().bytes());
}

}  // namespace

bool same_parameters(const ir::Node& quantize, const ir::Node& dequantize) {
  return same(quantize.input(1), dequantize.input(1)) &&
         same(quantize.input(2), dequantize.input(2));
}

std::optional<SampleChain> follow_sample(ir::Node& slice, int64_t channels,
                                         int64_t height, int64_t width) {
  if (slice.inputs().size() < 3 || channels > kMostChannels || height < 2 ||
      width < 2)
    return std::nullopt;
  return Follower(*slice.input(0)->producer(), channels, height, width)
      .follow(slice);
}

}  // namespace lathe::quantize
