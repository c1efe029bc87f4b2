#include "tests/passes/io/torch/aten/aten_expected.h"

#include <ATen/CPUGeneratorImpl.h>

#include "calibration/latency/session.h"
#include "passes/base/error.h"

namespace lathe::test {
namespace {

using io::aten::Argument;
using io::aten::Arguments;

struct Call {
  ir::Model model;
  NamedTensors inputs;
  Arguments results;
};

ir::Tensor content_of(const at::Tensor& tensor) {
  const at::Tensor whole = tensor.contiguous();
  const auto type =
      io::aten::data_type_from_torch(static_cast<int64_t>(whole.scalar_type()))
          .value();
  const auto* data = static_cast<const std::byte*>(whole.data_ptr());
  return {type, whole.sizes().vec(),
          ir::Bytes::copy_of({data, whole.nbytes()})};
}

Argument argument_of(Call& call, const std::string& name,
                     const c10::IValue& value, bool symbolic) {
  if (value.isTensor()) {
    const ir::Tensor tensor = content_of(value.toTensor());
    ir::Shape shape;
    for (int64_t dim : tensor.dims())
      shape.push_back(symbolic ? ir::Dim::named("d" + std::to_string(dim))
                               : ir::Dim(dim));
    call.inputs.emplace_back(name, tensor);
    return Argument::tensor(call.model.graph->add_input(
        name, tensor_type(tensor.type(), std::move(shape))));
  }
  if (value.isIntList()) return Argument::list(value.toIntVector());
  if (value.isBool()) return Argument::of_bool(value.toBool());
  if (value.isInt()) return Argument::of_int(value.toInt());
  if (value.isDouble()) return Argument::of_float(value.toDouble());
  return Argument::none();
}

void emit(Call& call, const std::string& name, const NamedValues& args,
          bool symbolic) {
  io::aten::OnnxBuilder builder(call.model);
  builder.where = "test";
  io::aten::NamedArguments arguments;
  for (const auto& [argument, value] : args)
    arguments.emplace_back(argument,
                           argument_of(call, argument, value, symbolic));
  const auto* row = io::aten::find_aten(name);
  REQUIRE(row);
  call.results =
      row->emit(io::aten::AtenCall(name, "", std::move(arguments), builder));
}

void run_and_compare(Call& call, const std::vector<at::Tensor>& expected,
                     double tolerance) {
  REQUIRE(call.results.size() == expected.size());
  std::vector<at::Tensor> given;
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK(call.results[i].is_tensor() == expected[i].defined());
    if (!expected[i].defined()) continue;
    call.model.graph->add_output(call.results[i].value);
    given.push_back(expected[i]);
  }
  const auto outputs =
      latency::Session::open(call.model, {}, "test")->run(call.inputs);
  REQUIRE(outputs.size() == given.size());
  for (size_t i = 0; i < given.size(); ++i) {
    CHECK(outputs[i].type() == content_of(given[i]).type());
    const at::Tensor mine = at::tensor(outputs[i].to_doubles(), at::kDouble)
                                .reshape(outputs[i].dims());
    REQUIRE(mine.sizes() == given[i].sizes());
    CHECK(at::allclose(mine, given[i].to(at::kDouble), tolerance, tolerance));
  }
}

}  // namespace

at::Tensor random(const Ints& sizes) {
  static at::Generator generator = at::detail::createCPUGenerator(23);
  return at::randn(sizes, generator, at::kFloat);
}

ir::ValueType tensor_type(ir::DataType elem, ir::Shape shape) {
  ir::ValueType type;
  type.elem = elem;
  type.shape = std::move(shape);
  return type;
}

void gives(const std::string& name, const NamedValues& args,
           const std::vector<at::Tensor>& expected, bool symbolic,
           double tolerance) {
  CAPTURE(name);
  for (int free_sizes = 0; free_sizes <= (symbolic ? 1 : 0); ++free_sizes) {
    CAPTURE(free_sizes);
    Call call;
    emit(call, name, args, free_sizes == 1);
    run_and_compare(call, expected, tolerance);
  }
}

std::string emit_error_of(const std::string& name, const NamedValues& args) {
  Call call;
  try {
    emit(call, name, args, /*symbolic=*/false);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace lathe::test
