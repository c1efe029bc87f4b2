// How an operator is executed: its attributes are read once, when the plan is
// made; what stays is a call of LibTorch. Internal to the executor.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "passes/exec/torch.h"
#include "passes/ir/graph.h"

namespace lathe::exec {

class ProcessGroup;

using Tensors = std::vector<at::Tensor>;
// A node's inputs in order, undefined where an optional one is absent or past
// the end of what the node lists (reading past the end is what input() is for).
using Inputs = std::span<const at::Tensor>;

// What may differ between two runs of one plan.
struct RunState {
  bool training = false;
  // What ran before runs again, for its gradients: it must not change anything
  // a second time.
  bool again = false;
  // Whose batches BatchNormalization takes together in training; null: this
  // process's alone.
  std::shared_ptr<ProcessGroup> group = nullptr;
};

// Gives the node's outputs in order (as many as the operator has; trailing ones
// that the node does not list may be left out). Inputs are never written to,
// except for BatchNormalization's running statistics in training.
using Kernel = std::function<Tensors(Inputs, const RunState&)>;

// A subgraph, compiled.
class Body {
 public:
  virtual ~Body() = default;
  // `formal`: the subgraph's own inputs. `node_inputs`: what the node's kernel
  // was given; what the subgraph takes from around it stands behind the node's
  // own inputs.
  virtual Tensors run(Inputs formal, Inputs node_inputs,
                      const RunState& state) const = 0;
};

// A node while its plan is made.
class NodeInfo {
 public:
  NodeInfo(const ir::Node& given, int64_t version, at::Device where,
           std::vector<std::pair<std::string, std::shared_ptr<Body>>> subgraphs)
      : node(given),
        opset(version),
        device(where),
        bodies_(std::move(subgraphs)) {}

  const ir::Node& node;
  int64_t opset;  // version of the node's domain; 0 when not imported
  // Where the program runs. Floating tensors that a kernel makes of nothing
  // belong there; integers may stay on the host, where most of them are read.
  at::Device device;

  size_t inputs() const { return node.inputs().size(); }
  size_t outputs() const { return node.outputs().size(); }
  // Whether the node lists (and somebody uses) that output.
  bool wants(size_t output) const {
    const ir::Value* value = node.output(output);
    return value && !value->unused();
  }
  // The subgraph of that attribute; null when absent.
  std::shared_ptr<Body> body(std::string_view attribute) const;

  // Error kUnsupported: "<node label>: <what> (<hint>)".
  [[noreturn]] void unsupported(const std::string& what,
                                const std::string& hint = "") const;
  // Error kInput, likewise.
  [[noreturn]] void invalid(const std::string& what,
                            const std::string& hint = "") const;

 private:
  std::vector<std::pair<std::string, std::shared_ptr<Body>>> bodies_;
};

// What a kernel takes as it comes. All else is brought to one device, and half
// precision on the CPU, for which LibTorch lacks most functions, to float and
// back.
struct Takes {
  // Bit i: input i is read on the host, or brought along by the kernel.
  uint32_t host = 0;
  // It moves elements, whatever their type, or converts them itself.
  bool half = false;
};

struct OperatorRow {
  std::string_view op_type;
  Kernel (*make)(const NodeInfo& info);
  std::string_view domain = "";
  Takes takes = {};
};

// One file a family; operator_table.cc lists them.
std::span<const OperatorRow> convolution_rows();
std::span<const OperatorRow> pooling_rows();
std::span<const OperatorRow> normalization_rows();
std::span<const OperatorRow> activation_rows();
std::span<const OperatorRow> elementwise_rows();
std::span<const OperatorRow> reduction_rows();
std::span<const OperatorRow> product_rows();   // MatMul, Gemm, Einsum
std::span<const OperatorRow> shape_rows();     // Reshape, Cast, Constant …
std::span<const OperatorRow> movement_rows();  // Slice, Concat, Pad …
std::span<const OperatorRow> gather_rows();    // Gather, Scatter, TopK …
std::span<const OperatorRow> resize_rows();
std::span<const OperatorRow> recurrent_rows();
std::span<const OperatorRow> control_rows();
std::span<const OperatorRow> quantization_rows();
std::span<const OperatorRow> signal_rows();  // DFT, STFT, windows
std::span<const OperatorRow> loss_rows();
std::span<const OperatorRow> random_rows();
std::span<const OperatorRow> region_rows();  // RoiAlign, Col2Im …
std::span<const OperatorRow> contrib_rows();

// Null when there is no kernel for the operator.
const OperatorRow* find_operator_row(const ir::Node& node);
// Every operator that there is a kernel for: "Conv", "com.microsoft::Gelu", ….
std::vector<std::string> executable_operators();

// --- For kernels ----------------------------------------------------------

// Undefined when absent or past the end.
inline at::Tensor input(Inputs in, size_t index) {
  return index < in.size() ? in[index] : at::Tensor();
}
// An integer tensor's elements (shapes, axes, pads), wherever it lies.
std::vector<int64_t> int64s(const at::Tensor& tensor);
// A floating tensor's elements.
std::vector<double> doubles(const at::Tensor& tensor);
// The number that is a constant of the graph; nullopt where it is none, or no
// single one.
std::optional<double> constant_number(const ir::Value* value);
// On the device of the first that is not on the CPU.
Tensors together(Tensors tensors);
// From -rank to below rank; else Error kInput.
int64_t normalized_axis(const NodeInfo& info, int64_t axis, int64_t rank);
// ONNX's element type of that number; Error kUnsupported where LibTorch has
// none (unsigned 16, 32 and 64 bits are held in the next wider signed type,
// uint64 in int64).
at::ScalarType scalar_type(ir::DataType type);
bool is_float8(ir::DataType type);
// x rounded to numbers of that 8-bit floating type, held in float. Beyond its
// largest: that one, or, without `saturate`, infinity where the type has one,
// else NaN. No gradient.
at::Tensor rounded_to_float8(const at::Tensor& x, ir::DataType type,
                             bool saturate);
}  // namespace lathe::exec
