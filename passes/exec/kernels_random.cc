// What is drawn at random: from LibTorch's generator, so that at::manual_seed
// repeats it. The nodes' own seeds are not used.
#include <algorithm>

#include "passes/exec/operator_kernel.h"

namespace lathe::exec {
namespace {

// The attribute; what the fallback says where it is absent.
at::ScalarType type_attribute(const NodeInfo& info, at::ScalarType fallback) {
  if (!info.node.has_attribute("dtype")) return fallback;
  const int64_t number = info.node.attr_int("dtype", 0);
  const auto type = ir::data_type_from_number(number);
  if (!type || *type == ir::DataType::kUndefined)
    info.invalid("attribute 'dtype' is " + std::to_string(number) +
                 ", which is no element type");
  return scalar_type(*type);
}

// Fills a tensor of float or double.
using Draw = std::function<void(at::Tensor&)>;

Draw normal(const NodeInfo& info) {
  const double mean = info.node.attr_float("mean", 0),
               scale = info.node.attr_float("scale", 1);
  if (!(scale >= 0))
    info.invalid("attribute 'scale' is " + std::to_string(scale));
  return [=](at::Tensor& tensor) { tensor.normal_(mean, scale); };
}

Draw uniform(const NodeInfo& info) {
  const double low = info.node.attr_float("low", 0),
               high = info.node.attr_float("high", 1);
  if (!(low <= high))
    info.invalid("attributes 'low' and 'high' are " + std::to_string(low) +
                 " and " + std::to_string(high));
  return [=](at::Tensor& tensor) { tensor.uniform_(low, high); };
}

at::Tensor drawn(at::IntArrayRef sizes, at::ScalarType type, at::Device device,
                 const Draw& draw) {
  const at::ScalarType wide = type == at::kDouble ? type : at::kFloat;
  at::Tensor tensor = at::empty(sizes, at::TensorOptions(wide).device(device));
  draw(tensor);
  return tensor.to(type);
}

template <Draw (*read)(const NodeInfo&)>
Kernel make_random(const NodeInfo& info) {
  const at::ScalarType type = type_attribute(info, at::kFloat);
  const std::vector<int64_t> sizes = info.node.attr_ints("shape");
  if (std::ranges::any_of(sizes, [](int64_t size) { return size < 0; }))
    info.invalid("attribute 'shape' has a negative dimension");
  return [=, device = info.device, draw = read(info)](
             Inputs, const RunState&) -> Tensors {
    return {drawn(sizes, type, device, draw)};
  };
}

template <Draw (*read)(const NodeInfo&)>
Kernel make_random_like(const NodeInfo& info) {
  const at::ScalarType given = type_attribute(info, at::ScalarType::Undefined);
  return [=, device = info.device, draw = read(info)](
             Inputs in, const RunState&) -> Tensors {
    const at::ScalarType type =
        given == at::ScalarType::Undefined ? in[0].scalar_type() : given;
    return {drawn(in[0].sizes(), type, device, draw)};
  };
}

Kernel make_bernoulli(const NodeInfo& info) {
  const at::ScalarType given = type_attribute(info, at::ScalarType::Undefined);
  return [given](Inputs in, const RunState&) -> Tensors {
    const at::Tensor hits = at::bernoulli(in[0].detach());
    return {given == at::ScalarType::Undefined ? hits : hits.to(given)};
  };
}

// Logarithms of probabilities [batch, classes] -> classes [batch, samples].
Kernel make_multinomial(const NodeInfo& info) {
  const int64_t samples = info.node.attr_int("sample_size", 1);
  if (samples < 1)
    info.invalid("attribute 'sample_size' is " + std::to_string(samples));
  return [samples, type = type_attribute(info, at::kInt)](
             Inputs in, const RunState&) -> Tensors {
    return {at::multinomial(at::softmax(in[0].detach(), 1), samples,
                            /*replacement=*/true)
                .to(type)};
  };
}

constexpr OperatorRow kRows[] = {
    {"Bernoulli", make_bernoulli},
    {"Multinomial", make_multinomial},
    {"RandomNormal", make_random<normal>},
    {"RandomNormalLike", make_random_like<normal>, "", {.half = true}},
    {"RandomUniform", make_random<uniform>},
    {"RandomUniformLike", make_random_like<uniform>, "", {.half = true}},
};

}  // namespace

std::span<const OperatorRow> random_rows() { return kRows; }

}  // namespace lathe::exec
