// If, Loop and Scan: their bodies are plans of their own.
#include <algorithm>
#include <limits>

#include "passes/exec/operator_kernel.h"

namespace lathe::exec {
namespace {

// Where tensors that a kernel makes itself belong: with the others.
at::Device device_of(Inputs in) {
  for (const at::Tensor& tensor : in)
    if (tensor.defined() && !tensor.device().is_cpu()) return tensor.device();
  return at::kCPU;
}

std::shared_ptr<Body> required_body(const NodeInfo& info,
                                    std::string_view attribute) {
  auto body = info.body(attribute);
  if (!body)
    info.invalid("attribute '" + std::string(attribute) + "' is missing");
  return body;
}

Kernel make_if(const NodeInfo& info) {
  auto then_branch = required_body(info, "then_branch");
  auto else_branch = required_body(info, "else_branch");
  return [=](Inputs in, const RunState& state) -> Tensors {
    const Body& taken = in[0].item<bool>() ? *then_branch : *else_branch;
    return taken.run({}, in, state);
  };
}

// A scanned output of which there is no step: its step's type.
struct EmptyScan {
  at::ScalarType type = at::kFloat;
  bool has_shape = false;
  std::vector<int64_t> step_dims;  // unknown ones as 0

  at::Tensor make(int64_t axis, at::Device device) const {
    std::vector<int64_t> dims = step_dims;
    if (has_shape)
      axis = at::maybe_wrap_dim(axis, static_cast<int64_t>(dims.size()) + 1);
    else
      axis = 0;
    dims.insert(dims.begin() + axis, 0);
    return at::empty(dims, at::TensorOptions(type).device(device));
  }
};

// Of the body's outputs from that one on.
std::vector<EmptyScan> empty_scans(const NodeInfo& info, size_t first) {
  const ir::Graph* body = info.node.attr_graph("body");
  if (!body) info.invalid("attribute 'body' is missing");
  if (body->outputs().size() < first)
    info.invalid("its body gives " + std::to_string(body->outputs().size()) +
                 " values, but at least " + std::to_string(first) +
                 " are expected");
  std::vector<EmptyScan> out;
  for (size_t i = first; i < body->outputs().size(); ++i) {
    const ir::ValueType& type = body->outputs()[i]->type;
    EmptyScan scan;
    if (type.elem != ir::DataType::kUndefined)
      scan.type = scalar_type(type.elem);
    scan.has_shape = type.shape.has_value();
    if (scan.has_shape) scan.step_dims = ir::to_dims(*type.shape);
    for (int64_t& dim : scan.step_dims) dim = std::max<int64_t>(dim, 0);
    out.push_back(std::move(scan));
  }
  return out;
}

void check_body_inputs(const NodeInfo& info, size_t expected) {
  const size_t count = info.node.attr_graph("body")->inputs().size();
  if (count != expected)
    info.invalid("its body takes " + std::to_string(count) + " values, but " +
                 std::to_string(expected) + " are given");
}

// Inputs: count, condition, carried…; the body takes (iteration, condition,
// carried…) and gives (condition, carried…, scanned…). As in ONNX Runtime, the
// body's condition holds whether or not there was one to begin with.
Kernel make_loop(const NodeInfo& info) {
  auto body = required_body(info, "body");
  const size_t carried = info.inputs() > 2 ? info.inputs() - 2 : 0;
  const std::vector<EmptyScan> empty = empty_scans(info, carried + 1);
  check_body_inputs(info, carried + 2);
  return [=](Inputs in, const RunState& state) -> Tensors {
    const at::Tensor count = input(in, 0), condition = input(in, 1);
    const int64_t limit = count.defined() ? count.item<int64_t>()
                                          : std::numeric_limits<int64_t>::max();
    bool go_on = !condition.defined() || condition.item<bool>();
    const at::Device device = device_of(in);
    Tensors values;
    for (size_t i = 0; i < carried; ++i) values.push_back(input(in, i + 2));
    std::vector<Tensors> scanned(empty.size());
    for (int64_t step = 0; go_on && step < limit; ++step) {
      Tensors formal = {at::full({}, step, at::TensorOptions(at::kLong)),
                        at::full({}, true, at::TensorOptions(at::kBool))};
      formal.insert(formal.end(), values.begin(), values.end());
      const Tensors out = body->run(formal, in, state);
      go_on = out[0].item<bool>();
      for (size_t i = 0; i < carried; ++i) values[i] = out[i + 1];
      for (size_t i = 0; i < scanned.size(); ++i)
        scanned[i].push_back(out[carried + 1 + i]);
    }
    for (size_t i = 0; i < scanned.size(); ++i)
      values.push_back(scanned[i].empty() ? empty[i].make(0, device)
                                          : at::stack(together(scanned[i]), 0));
    return values;
  };
}

// The list, filled up with zeros.
std::vector<int64_t> filled(const NodeInfo& info, std::string_view name,
                            size_t count) {
  std::vector<int64_t> list = info.node.attr_ints(name);
  if (!list.empty() && list.size() != count)
    info.invalid("attribute '" + std::string(name) + "' has " +
                 std::to_string(list.size()) + " elements for " +
                 std::to_string(count) + " values");
  list.resize(count, 0);
  return list;
}

// states…, scanned inputs… -> states…, scanned outputs….
Kernel make_scan(const NodeInfo& info) {
  if (info.opset > 0 && info.opset < 9)
    info.unsupported("the form of Scan before opset 9 has a batch axis");
  auto body = required_body(info, "body");
  const int64_t number = info.node.attr_int("num_scan_inputs", 0);
  if (number < 1 || static_cast<size_t>(number) > info.inputs())
    info.invalid("attribute 'num_scan_inputs' is " + std::to_string(number));
  const size_t scan_inputs = static_cast<size_t>(number);
  const size_t states = info.inputs() - scan_inputs;
  check_body_inputs(info, info.inputs());
  const std::vector<EmptyScan> empty = empty_scans(info, states);
  const auto in_axes = filled(info, "scan_input_axes", scan_inputs);
  const auto in_back = filled(info, "scan_input_directions", scan_inputs);
  const auto out_axes = filled(info, "scan_output_axes", empty.size());
  const auto out_back = filled(info, "scan_output_directions", empty.size());
  return [=](Inputs in, const RunState& state) -> Tensors {
    Tensors values(in.begin(), in.begin() + static_cast<ptrdiff_t>(states));
    std::vector<Tensors> slices;
    for (size_t i = 0; i < scan_inputs; ++i) {
      slices.push_back(in[states + i].unbind(in_axes[i]));
      TORCH_CHECK(slices[i].size() == slices[0].size(),
                  "scanned inputs have lengths ", slices[0].size(), " and ",
                  slices[i].size());
      if (in_back[i]) std::reverse(slices[i].begin(), slices[i].end());
    }
    std::vector<Tensors> scanned(empty.size());
    for (size_t step = 0; step < slices[0].size(); ++step) {
      Tensors formal = values;
      for (const Tensors& slice : slices) formal.push_back(slice[step]);
      const Tensors out = body->run(formal, in, state);
      for (size_t i = 0; i < states; ++i) values[i] = out[i];
      for (size_t i = 0; i < scanned.size(); ++i)
        scanned[i].push_back(out[states + i]);
    }
    for (size_t i = 0; i < scanned.size(); ++i) {
      if (out_back[i]) std::reverse(scanned[i].begin(), scanned[i].end());
      values.push_back(scanned[i].empty()
                           ? empty[i].make(out_axes[i], device_of(in))
                           : at::stack(together(scanned[i]), out_axes[i]));
    }
    return values;
  };
}

constexpr OperatorRow kRows[] = {
    {"If", make_if, "", {.half = true}},
    {"Loop", make_loop, "", {.half = true}},
    {"Scan", make_scan, "", {.half = true}},
};

}  // namespace

std::span<const OperatorRow> control_rows() { return kRows; }

}  // namespace lathe::exec
