// Activation functions.
#include <cmath>
#include <numbers>

#include "passes/io/torch/aten/aten_families.h"
#include "passes/io/torch/aten/aten_term.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

NamedAttributes attribute(const char* name, double value) {
  return {{name, static_cast<float>(value)}};
}

// --- bounded linear ones ---

// Bounds may be absent; both must be of x's type.
Term clip(const Term& x, const std::optional<Term>& low,
          const std::optional<Term>& high) {
  OnnxBuilder& builder = x.builder();
  auto is_scalar = [&](const std::optional<Term>& bound) {
    return !bound || builder.known_rank(bound->value()) == 0;
  };
  if (!is_scalar(low) || !is_scalar(high)) {
    const Term raised = low ? apply("Max", {x, *low}) : x;
    return high ? apply("Min", {raised, *high}) : raised;
  }
  const DataType type = kernel_type("Clip", x.elem());
  auto bound = [&](const std::optional<Term>& term) {
    return term ? term->cast(type).value() : nullptr;
  };
  return Term(builder, builder.op("Clip", {x.cast(type).value(), bound(low),
                                           bound(high)}))
      .cast(x.elem());
}

Term clip(const Term& x, double low, double high) {
  const Term bottom = x.number(low), top = x.number(high);
  return clip(x, bottom, top);
}

Arguments emit_relu(const AtenCall& call) {
  const Term x = term(call, "self");
  return one(x.is_floating() ? apply("Relu", {x})
                             : apply("Max", {x, x.number(0)}));
}

Arguments emit_relu6(const AtenCall& call) {
  return one(clip(term(call, "self"), 0, 6));
}

Arguments emit_hardtanh(const AtenCall& call) {
  return one(clip(term(call, "self"), call.real("min_val", -1),
                  call.real("max_val", 1)));
}

Arguments emit_clamp(const AtenCall& call) {
  std::vector<const char*> names{"self"};
  for (const char* bound : {"min", "max"})
    if (call.given(bound)) names.push_back(bound);
  const std::vector<Term> terms = promoted(call, names);
  std::optional<Term> low, high;
  if (call.given("min")) low = terms[1];
  if (call.given("max")) high = terms.back();
  return one(clip(terms[0], low, high));
}

Arguments emit_hardsigmoid(const AtenCall& call) {
  return one(apply("HardSigmoid", {term(call, "self")},
                   {{"alpha", 1.0f / 6}, {"beta", 0.5f}}));
}

Arguments emit_hardswish(const AtenCall& call) {
  return one(apply("HardSwish", {term(call, "self")}));
}

// --- with a slope for negative numbers ---

Arguments emit_leaky_relu(const AtenCall& call) {
  return one(apply("LeakyRelu", {term(call, "self")},
                   attribute("alpha", call.real("negative_slope", 0.01))));
}

Arguments emit_rrelu(const AtenCall& call) {
  if (call.flag("training", false))
    call.unsupported("it draws random slopes in training",
                     "export the model in evaluation mode");
  const double slope =
      (call.real("lower", 1.0 / 8) + call.real("upper", 1.0 / 3)) / 2;
  return one(
      apply("LeakyRelu", {term(call, "self")}, attribute("alpha", slope)));
}

Arguments emit_prelu(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const Term x = term(call, "self");
  Value* slope = call.tensor("weight");
  const int64_t rank = builder.rank(x.value());
  if (rank == 0) {
    slope = builder.reshape(slope, std::vector<int64_t>{});
  } else if (builder.known_dim(slope, 0) != 1) {
    std::vector<int64_t> axes;
    for (int64_t axis = 1; axis + 1 < rank; ++axis) axes.push_back(axis);
    slope = builder.unsqueeze(slope, axes);
  }
  return one(apply("PRelu", {x, Term(builder, slope)}));
}

Arguments emit_prelu_kernel(const AtenCall& call) {
  return one(apply("PRelu", {term(call, "self"), term(call, "weight")}));
}

// --- exponential ones ---

Arguments emit_elu(const AtenCall& call) {
  const Term x = term(call, "self");
  const double alpha = call.real("alpha", 1), scale = call.real("scale", 1),
               input_scale = call.real("input_scale", 1);
  if (input_scale == 1 && scale == 1)
    return one(apply("Elu", {x}, attribute("alpha", alpha)));
  if (input_scale == 1)
    return one(apply("Selu", {x},
                     {{"alpha", static_cast<float>(alpha)},
                      {"gamma", static_cast<float>(scale)}}));
  if (scale == 1 && std::abs(input_scale * alpha - 1) < 1e-6)
    return one(apply("Celu", {x}, attribute("alpha", alpha)));
  const Term curve = (apply("Exp", {x * input_scale}) - 1) * (alpha * scale);
  const Term line = scale == 1 ? x : x * scale;
  return one(where(x > 0, line, curve));
}

Arguments emit_selu(const AtenCall& call) {
  return one(apply("Selu", {term(call, "self")}));
}

Arguments emit_celu(const AtenCall& call) {
  return one(apply("Celu", {term(call, "self")},
                   attribute("alpha", call.real("alpha", 1))));
}

Arguments emit_softplus(const AtenCall& call) {
  const Term x = term(call, "self");
  const double beta = call.real("beta", 1),
               threshold = call.real("threshold", 20);
  const Term scaled = beta == 1 ? x : x * beta;
  const Term soft = apply("Softplus", {scaled});
  const Term y = beta == 1 ? soft : soft / beta;
  // From 20 on the two branches agree to more digits than a float has.
  return one(threshold >= 20 ? y : where(scaled > threshold, x, y));
}

Term log_sigmoid(const Term& x) { return -apply("Softplus", {-x}); }

Arguments emit_log_sigmoid(const AtenCall& call) {
  return one(log_sigmoid(term(call, "self")));
}

// The second result is what a backward pass would read.
Arguments emit_log_sigmoid_forward(const AtenCall& call) {
  return {Argument::tensor(log_sigmoid(term(call, "self")).value()),
          Argument::none()};
}

Arguments emit_silu(const AtenCall& call) {
  const Term x = term(call, "self");
  // The runtime would fuse Sigmoid and Mul to a kernel that has no double.
  if (x.elem() == DataType::kDouble) return one(x / (apply("Exp", {-x}) + 1));
  return one(x * apply("Sigmoid", {x}));
}

Arguments emit_mish(const AtenCall& call) {
  const Term x = term(call, "self");
  return one(x * apply("Tanh", {apply("Softplus", {x})}));
}

// In the order of operations that ONNX Runtime fuses to one Gelu or FastGelu.
Arguments emit_gelu(const AtenCall& call) {
  const Term x = term(call, "self");
  const std::string form = call.text("approximate", "none");
  if (form == "none") {
    const Term error = apply("Erf", {x / std::numbers::sqrt2});
    return one(x * (error + 1) * 0.5);
  }
  if (form != "tanh")
    call.unsupported("argument 'approximate' is '" + form +
                     "', expected 'none' or 'tanh'");
  const Term bend = x * 0.044715 * x + 1;
  const Term scaled = x * std::sqrt(2 * std::numbers::inv_pi);
  const Term gate = apply("Tanh", {bend * scaled}) + 1;
  const Term half = x * 0.5;
  return one(half * gate);
}

// --- thresholds ---

Arguments emit_shrink(const AtenCall& call) {
  const auto limit = static_cast<float>(call.real("lambd", 0.5));
  const float bias = call.name() == "softshrink" ? limit : 0.0f;
  return one(apply("Shrink", {term(call, "self")},
                   {{"lambd", limit}, {"bias", bias}}));
}

Arguments emit_threshold(const AtenCall& call) {
  const Term x = term(call, "self");
  const double threshold = call.real("threshold"), value = call.real("value");
  if (value == 0 && x.is_floating())
    return one(apply("ThresholdedRelu", {x}, attribute("alpha", threshold)));
  const Term below = x.number(value);
  return one(where(x > threshold, x, below));
}

// --- over an axis ---

Arguments softmax(const AtenCall& call, const char* op) {
  OnnxBuilder& builder = call.builder();
  Term x = term(call, "self");
  if (call.flag("half_to_float", false)) x = x.cast(DataType::kFloat);
  if (const auto type = call.dtype("dtype")) x = x.cast(*type);
  const auto rank = builder.known_rank(x.value());
  const int64_t axis = rank ? call.axis("dim", *rank) : call.integer("dim");
  if (rank != 0) return one(apply(op, {x}, {{"axis", axis}}));
  const Term row(builder, builder.reshape(x.value(), {1}));
  const Term y = apply(op, {row}, {{"axis", int64_t{0}}});
  return one(builder.reshape(y.value(), std::vector<int64_t>{}));
}

Arguments emit_softmax(const AtenCall& call) {
  return softmax(call, "Softmax");
}

Arguments emit_log_softmax(const AtenCall& call) {
  return softmax(call, "LogSoftmax");
}

Arguments emit_glu(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* x = call.tensor("self");
  const int64_t axis = call.axis("dim", builder.rank(x), -1);
  const auto halves = builder.op_n("Split", {x}, 2, {{"axis", axis}});
  return one(Term(builder, halves[0]) *
             apply("Sigmoid", {Term(builder, halves[1])}));
}

constexpr AtenRow kRows[] = {
    {"relu", emit_relu},
    {"relu6", emit_relu6},
    {"hardtanh", emit_hardtanh},
    {"clamp", emit_clamp},
    {"clip", emit_clamp},
    {"clamp_min", emit_clamp},
    {"clamp_max", emit_clamp},
    {"hardsigmoid", emit_hardsigmoid},
    {"hardswish", emit_hardswish},
    {"leaky_relu", emit_leaky_relu},
    {"rrelu", emit_rrelu},
    {"rrelu_with_noise", emit_rrelu},
    {"prelu", emit_prelu},
    {"_prelu_kernel", emit_prelu_kernel},
    {"elu", emit_elu},
    {"selu", emit_selu},
    {"celu", emit_celu},
    {"softplus", emit_softplus},
    {"log_sigmoid", emit_log_sigmoid},
    {"log_sigmoid_forward", emit_log_sigmoid_forward},
    {"silu", emit_silu},
    {"mish", emit_mish},
    {"gelu", emit_gelu},
    {"hardshrink", emit_shrink},
    {"softshrink", emit_shrink},
    {"threshold", emit_threshold},
    {"softmax", emit_softmax},
    {"_softmax", emit_softmax},
    {"special_softmax", emit_softmax},
    {"log_softmax", emit_log_softmax},
    {"_log_softmax", emit_log_softmax},
    {"special_log_softmax", emit_log_softmax},
    {"glu", emit_glu},
};

}  // namespace

std::span<const AtenRow> activation_rows() { return kRows; }

}  // namespace lathe::io::aten
