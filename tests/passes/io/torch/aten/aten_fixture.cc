#include "tests/passes/io/torch/aten/aten_fixture.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <cmath>
#include <set>

#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "passes/ir/graph.h"

namespace lathe::test {
namespace {

using io::aten::Argument;
using io::aten::Arguments;
using io::aten::AtenCall;
using io::aten::OnnxBuilder;

// Constants in every real program.
const std::set<std::string> kWeights{"weight", "bias", "running_mean",
                                     "running_var", "params"};

struct Op {
  std::string name, overload;
};

Op split_name(const std::string& op) {
  const size_t colons = op.find("::"), dot = op.find('.');
  return {
      op.substr(colons + 2, dot == std::string::npos ? dot : dot - colons - 2),
      dot == std::string::npos ? "" : op.substr(dot + 1)};
}

ir::Tensor to_ir(const at::Tensor& tensor) {
  const at::Tensor whole = tensor.contiguous();
  const auto type =
      io::aten::data_type_from_torch(static_cast<int64_t>(whole.scalar_type()));
  REQUIRE(type.has_value());
  return ir::Tensor(
      *type, whole.sizes().vec(),
      ir::Bytes::copy_of(
          {static_cast<const std::byte*>(whole.data_ptr()), whole.nbytes()}));
}

at::Tensor from_ir(const ir::Tensor& tensor) {
  const auto type = static_cast<at::ScalarType>(
      io::aten::torch_from_data_type(tensor.type()));
  return at::from_blob(const_cast<std::byte*>(tensor.bytes().data()),
                       tensor.dims(), type)
      .clone();
}

// A model with the call's tensors as inputs, filled by the emitter.
struct Emitted {
  ir::Model model;
  NamedTensors inputs;
  Arguments results;
};

class Emitting {
 public:
  Emitting(const std::string& op, std::vector<c10::IValue> args, bool symbolic)
      : op_(split_name(op)), symbolic_(symbolic), builder_(emitted_.model) {
    const auto handle = c10::Dispatcher::singleton().findSchemaOrThrow(
        ("aten::" + op_.name).c_str(), op_.overload.c_str());
    const auto& schema = handle.schema();
    for (size_t i = 0; i < schema.arguments().size(); ++i) {
      const auto& argument = schema.arguments()[i];
      if (i >= args.size()) {
        REQUIRE(argument.default_value().has_value());
        args.push_back(*argument.default_value());
      }
      arguments_.emplace_back(argument.name(),
                              convert(args[i], argument.name()));
    }
    stack_ = std::move(args);
  }

  void emit() {
    builder_.where = "test";
    const io::aten::AtenRow* row = io::aten::find_aten(op_.name);
    REQUIRE_MESSAGE(row, "no row for " << op_.name);
    emitted_.results = row->emit(
        AtenCall(op_.name, op_.overload, std::move(arguments_), builder_));
  }

  std::vector<c10::IValue> expected() {
    torch::jit::Stack stack = stack_;
    const auto handle = c10::Dispatcher::singleton().findSchemaOrThrow(
        ("aten::" + op_.name).c_str(), op_.overload.c_str());
    at::NoGradGuard no_grad;
    handle.callBoxed(&stack);
    return stack;
  }

  Emitted& emitted() { return emitted_; }

 private:
  Argument convert(const c10::IValue& value, const std::string& name) {
    if (value.isNone() || value.isDevice() || value.isGenerator()) return {};
    if (value.isTensor()) return convert_tensor(value.toTensor(), name);
    if (value.isInt()) return Argument::of_int(value.toInt());
    if (value.isDouble()) return Argument::of_float(value.toDouble());
    if (value.isBool()) return Argument::of_bool(value.toBool());
    if (value.isString()) return Argument::of_string(value.toStringRef());
    REQUIRE(value.isList());
    Arguments items;
    for (const c10::IValue& item : value.toListRef())
      items.push_back(convert(item, name));
    return Argument::list(std::move(items));
  }

  Argument convert_tensor(const at::Tensor& tensor, const std::string& name) {
    if (!tensor.defined()) return {};
    ir::Graph& graph = *emitted_.model.graph;
    const std::string unique = graph.unique_name(name);
    const ir::Tensor content = to_ir(tensor);
    if (symbolic_ && kWeights.contains(name))
      return Argument::tensor(graph.add_initializer(unique, content));
    ir::ValueType type;
    type.elem = content.type();
    type.shape.emplace();
    for (int64_t dim : content.dims())
      type.shape->push_back(symbolic_ && dim != 1
                                ? ir::Dim::named("s" + std::to_string(dim))
                                : ir::Dim(dim));
    emitted_.inputs.emplace_back(unique, content);
    return Argument::tensor(graph.add_input(unique, type));
  }

  Op op_;
  bool symbolic_;
  Emitted emitted_;
  OnnxBuilder builder_;
  std::vector<std::pair<std::string, Argument>> arguments_;
  std::vector<c10::IValue> stack_;
};

// Tensors in order, lists opened; what is none stays a null.
void flatten(const c10::IValue& value, std::vector<at::Tensor>& out) {
  if (value.isTensor()) {
    out.push_back(value.toTensor());
  } else if (value.isList()) {
    for (const c10::IValue& item : value.toListRef()) flatten(item, out);
  } else {
    out.emplace_back();
  }
}

void flatten(const Argument& argument, std::vector<ir::Value*>& out) {
  if (argument.is_list())
    for (const Argument& item : argument.items) flatten(item, out);
  else
    out.push_back(argument.is_tensor() ? argument.value : nullptr);
}

void check_tensor(const at::Tensor& mine, const at::Tensor& theirs,
                  const AtenTolerance& tolerance) {
  CHECK_MESSAGE((mine.scalar_type() == theirs.scalar_type()),
                "type " << c10::toString(mine.scalar_type()) << ", expected "
                        << c10::toString(theirs.scalar_type()));
  REQUIRE(mine.sizes().vec() == theirs.sizes().vec());
  if (mine.numel() == 0) return;
  const at::Tensor a = mine.to(at::kDouble), b = theirs.to(at::kDouble);
  const at::Tensor equal = (a.isnan() & b.isnan()) | (a == b);
  const at::Tensor excess =
      (a - b).abs() - (tolerance.absolute + tolerance.relative * b.abs());
  const at::Tensor bad = ~equal & ~(excess <= 0);
  CHECK_MESSAGE(
      !bad.any().item<bool>(),
      "largest excess "
          << at::where(equal, at::zeros_like(a), excess).max().item<double>());
}

void compare(const std::string& op, const std::vector<c10::IValue>& args,
             bool symbolic, const AtenTolerance& tolerance) {
  CAPTURE(symbolic);
  Emitting emitting(op, args, symbolic);
  std::vector<at::Tensor> theirs;
  for (const c10::IValue& value : emitting.expected()) flatten(value, theirs);
  emitting.emit();
  Emitted& emitted = emitting.emitted();
  std::vector<ir::Value*> values;
  for (const Argument& result : emitted.results) flatten(result, values);
  REQUIRE(values.size() == theirs.size());
  ir::Graph& graph = *emitted.model.graph;
  std::vector<size_t> compared;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i]) continue;
    compared.push_back(i);
    ir::Node* identity =
        graph.add_node("Identity", {values[i]},
                       std::vector<std::string>{"out" + std::to_string(i)});
    identity->output()->type = values[i]->type;
    graph.add_output(identity->output());
  }
  REQUIRE(!compared.empty());
  ir::verify(graph, "test");
  const auto mine =
      latency::Session::open(emitted.model, {}, "test")->run(emitted.inputs);
  for (size_t i = 0; i < mine.size(); ++i) {
    CAPTURE(compared[i]);
    check_tensor(from_ir(mine[i]), theirs[compared[i]], tolerance);
    const ir::ValueType& inferred = values[compared[i]]->type;
    CHECK(inferred.elem == mine[i].type());
    if (inferred.shape) {
      REQUIRE(inferred.shape->size() == mine[i].dims().size());
      for (size_t axis = 0; axis < inferred.shape->size(); ++axis)
        if ((*inferred.shape)[axis].known())
          CHECK((*inferred.shape)[axis].value == mine[i].dims()[axis]);
    }
  }
}

}  // namespace

void same_as_torch(const std::string& op, std::vector<c10::IValue> args,
                   bool symbolic, const AtenTolerance& tolerance) {
  CAPTURE(op);
  compare(op, args, false, tolerance);
  if (symbolic) compare(op, args, true, tolerance);
}

std::string emit_error(const std::string& op, std::vector<c10::IValue> args,
                       bool symbolic) {
  Emitting emitting(op, std::move(args), symbolic);
  try {
    emitting.emit();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::vector<std::string> emitted_nodes(const std::string& op,
                                       std::vector<c10::IValue> args) {
  Emitting emitting(op, std::move(args), /*symbolic=*/false);
  emitting.emit();
  std::vector<std::string> types;
  for (const auto& node : emitting.emitted().model.graph->nodes())
    types.push_back(node->op_type);
  return types;
}

}  // namespace lathe::test
