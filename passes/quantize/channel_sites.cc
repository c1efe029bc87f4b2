#include "passes/quantize/channel_sites.h"

#include <fmt/format.h>

#include <cmath>

#include "passes/quantize/magnitudes.h"
#include "passes/quantize/refusals.h"

namespace lathe::quantize {
namespace {

// Factors of channels are below 2^11; products of larger numbers with them
// could leave the range of floats.
constexpr float kLargest = 1e30;

std::string constant_problem(const ir::Value* value) {
  if (!value) return "a constant of it is absent";
  if (auto reason = constant_refusal(value, "its constant")) return *reason;
  if (value->tensor().type() != ir::DataType::kFloat)
    return fmt::format("'{}' is {}, expected float", value->name(),
                       ir::to_string(value->tensor().type()));
  if (value->tensor().size() == 0)
    return fmt::format("'{}' is empty", value->name());
  const auto numbers = value->tensor().data<float>();
  if (all_within(numbers, kLargest)) return "";
  for (float number : numbers)
    if (std::abs(number) > kLargest)
      return fmt::format("'{}' holds {}, too large to be scaled", value->name(),
                         number);
  return "";
}

class Collected {
 public:
  // `what`: the axis of the node's own output or input.
  Collected(ir::Node& node, const ir::Value& what, const ChannelAxis& at)
      : node_(node), at_(at), extent_(extent_of(what, at.axis)) {}

  // A matrix, which nothing else may read: a copy would take its memory twice.
  Collected& weights(size_t input, int64_t axis, int64_t blocks, bool divides) {
    made_.is_product = true;
    const ir::Value* value = node_.input(input);
    if (refuse(constant_problem(value))) return *this;
    if (value->uses().size() != 1 || value->is_graph_output()) {
      refuse(fmt::format("'{}' is shared with other nodes", value->name()));
      return *this;
    }
    const std::vector<int64_t>& dims = value->tensor().dims();
    if (axis < 0 || axis >= value->tensor().rank() || blocks <= 0 ||
        dims[0] % blocks != 0 || dims[axis] * blocks != extent_) {
      refuse(fmt::format("the channels of '{}' do not match", value->name()));
      return *this;
    }
    add({&node_, input, axis, blocks, at_, extent_, divides, false});
    return *this;
  }

  // A vector, or a tensor that broadcasts; `from_end` counts from the last
  // axis, which is 1.
  Collected& vector(size_t input, int64_t from_end, bool divides) {
    const ir::Value* value = node_.input(input);
    if (!value || refuse(constant_problem(value))) return *this;
    const ir::Tensor& tensor = value->tensor();
    const int64_t axis = tensor.rank() - from_end;
    if (axis >= 0 && tensor.dims()[axis] != extent_ &&
        tensor.dims()[axis] != 1) {
      refuse(fmt::format("the channels of '{}' do not match", value->name()));
      return *this;
    }
    add({&node_, input, -from_end, 1, at_, extent_, divides, true});
    return *this;
  }

  Collected& require(bool holds, const char* reason) {
    if (!holds) refuse(reason);
    return *this;
  }

  Absorption done() { return std::move(made_); }

 private:
  bool refuse(const std::string& reason) {
    if (made_.refusal.empty()) made_.refusal = reason;
    return !reason.empty();
  }
  void add(ScaleSite site) { made_.sites.push_back(site); }

  ir::Node& node_;
  ChannelAxis at_;
  int64_t extent_;
  Absorption made_;
};

constexpr const char* kOtherAxis = "it works along another axis";
constexpr const char* kOddGroups = "its weights are no whole groups";

bool is_normalization(const ir::Node& node) {
  constexpr const char* kNames[] = {
      "BatchNormalization",    "GroupNormalization",
      "InstanceNormalization", "LayerNormalization",
      "RMSNormalization",      "SimplifiedLayerNormalization"};
  for (const char* name : kNames)
    if (node.is(name)) return true;
  return false;
}

bool is_convolution(const ir::Node& node) {
  return node.is("Conv") || node.is("ConvTranspose");
}

// Weights of [outputs, inputs / group, …], or for ConvTranspose
// [inputs, outputs / group, …].
bool has_whole_groups(const ir::Node& node) {
  const ir::Value* weights = node.input(1);
  const int64_t groups = node.attr_int("group", 1);
  return weights && rank_of(*weights) >= 3 && groups > 0 &&
         extent_of(*weights, 0) % groups == 0;
}

// x * k or x / k with one number a channel; `at` in output 0. The index of k.
std::optional<size_t> channel_factor(const ir::Node& node,
                                     const ChannelAxis& at) {
  if (!node.is("Mul") && !node.is("Div")) return std::nullopt;
  const std::vector<size_t> scaled = scaled_inputs(node);
  if (scaled.size() != 1) return std::nullopt;
  const size_t k = 1 - scaled[0];
  const ir::Value* value = node.input(k);
  if (!value->is_constant()) return std::nullopt;
  const int64_t axis =
      value->tensor().rank() - (rank_of(*node.output()) - at.axis);
  const int64_t extent = extent_of(*node.output(), at.axis);
  if (axis < 0 || value->tensor().size() != extent ||
      value->tensor().dims()[axis] != extent)
    return std::nullopt;
  return k;
}

Absorption absorbed_by_normalization(ir::Node& node, const ChannelAxis& at) {
  const ir::Value& y = *node.output();
  const bool last = node.is("LayerNormalization") ||
                    node.is("RMSNormalization") ||
                    node.is("SimplifiedLayerNormalization");
  const ir::Value* scale = node.input(1);
  return Collected(node, y, at)
      .require(at.axis == (last ? rank_of(y) - 1 : 1), kOtherAxis)
      .require(node.attr_int("training_mode", 0) == 0, "it is in training mode")
      .require(scale && rank_of(*scale) == 1 &&
                   extent_of(*scale, 0) == extent_of(y, at.axis),
               "its scale is not one number a channel")
      .vector(1, 1, /*divides=*/true)
      .vector(2, 1, /*divides=*/true)
      .done();
}

Absorption absorbed_by_convolution(ir::Node& node, const ChannelAxis& at) {
  const bool transposed = node.is("ConvTranspose");
  const int64_t groups = transposed ? node.attr_int("group", 1) : 1;
  return Collected(node, *node.output(), at)
      .require(at.axis == 1, kOtherAxis)
      .require(has_whole_groups(node), kOddGroups)
      .weights(1, transposed ? 1 : 0, groups, /*divides=*/true)
      .vector(2, 1, /*divides=*/true)
      .done();
}

}  // namespace

std::optional<Absorption> absorbed_by_producer(ir::Node& node,
                                               const ChannelAxis& at) {
  const ir::Value& y = *node.output();
  if (is_convolution(node)) return absorbed_by_convolution(node, at);
  if (node.is("Gemm"))
    return Collected(node, y, at)
        .require(at.axis == 1, kOtherAxis)
        .weights(1, node.attr_int("transB", 0) ? 0 : 1, 1, /*divides=*/true)
        .vector(2, 1, /*divides=*/true)
        .done();
  if (node.is("MatMul") && node.input(1) && node.input(1)->has_initializer()) {
    const int64_t rank = node.input(1)->tensor().rank();
    return Collected(node, y, at)
        .require(rank >= 2 && at.axis == rank_of(y) - 1, kOtherAxis)
        .weights(1, rank - 1, 1, /*divides=*/true)
        .done();
  }
  if (is_normalization(node)) return absorbed_by_normalization(node, at);
  if (const auto k = channel_factor(node, at))
    return Collected(node, y, at)
        .vector(*k, rank_of(y) - at.axis, /*divides=*/node.is("Mul"))
        .done();
  return std::nullopt;
}

std::optional<Absorption> absorbed_by_reader(ir::Node& node, size_t input,
                                             const ChannelAxis& at) {
  const ir::Value& x = *node.input(input);
  if (const std::vector<size_t> scaled = scaled_inputs(node);
      scaled.size() == 1 && scaled[0] == input) {
    const auto out = carry(node, input, 0, at, /*forward=*/true);
    const auto k = out ? channel_factor(node, *out) : std::nullopt;
    if (!k) return std::nullopt;
    return Collected(node, x, at)
        .vector(*k, rank_of(x) - at.axis, /*divides=*/node.is("Div"))
        .done();
  }
  if (input != 0) return std::nullopt;
  if (is_convolution(node))
    return Collected(node, x, at)
        .require(at.axis == 1, kOtherAxis)
        .require(has_whole_groups(node), kOddGroups)
        .weights(1, node.is("Conv") ? 1 : 0,
                 node.is("Conv") ? node.attr_int("group", 1) : 1,
                 /*divides=*/false)
        .done();
  if (node.is("Gemm")) {
    const bool transposed_a = node.attr_int("transA", 0) != 0;
    return Collected(node, x, at)
        .require(at.axis == (transposed_a ? 0 : 1), kOtherAxis)
        .weights(1, node.attr_int("transB", 0) ? 1 : 0, 1, /*divides=*/false)
        .done();
  }
  if (node.is("MatMul") && node.input(1) && node.input(1)->has_initializer()) {
    const int64_t rank = node.input(1)->tensor().rank();
    return Collected(node, x, at)
        .require(at.axis == rank_of(x) - 1, kOtherAxis)
        .weights(1, rank == 1 ? 0 : rank - 2, 1, /*divides=*/false)
        .done();
  }
  return std::nullopt;
}

Absorption absorbed_by_operand(ir::Node& node, size_t input,
                               const ChannelAxis& at) {
  const ir::Value& y = *node.output();
  if (!node.is("Concat"))
    return Collected(node, y, at)
        .vector(input, rank_of(y) - at.axis, /*divides=*/true)
        .done();
  const auto own = carry(node, input, 0, at, /*forward=*/false);
  if (!own) return {{}, false, "its constant cannot be followed"};
  return Collected(node, *node.input(input), *own)
      .vector(input, rank_of(y) - own->axis, /*divides=*/true)
      .done();
}

}  // namespace lathe::quantize
