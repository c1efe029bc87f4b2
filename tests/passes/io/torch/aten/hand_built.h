// Calls of emitters with arguments that no LibTorch call can give: ints that
// the graph computes, and tensors that are constants.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "calibration/latency/session.h"
#include "tests/passes/io/torch/aten/aten_fixture.h"

namespace lathe::test {

// 0, 1, 2, … as a float tensor of these sizes.
inline at::Tensor numbers(const std::vector<int64_t>& sizes) {
  int64_t count = 1;
  for (int64_t size : sizes) count *= size;
  return at::arange(count, at::kFloat).reshape(sizes);
}

class HandBuilt {
 public:
  using Argument = io::aten::Argument;
  using Named = std::vector<std::pair<std::string, Argument>>;

  HandBuilt() { builder.where = "test"; }

  // A float input whose sizes are symbols named by their number ("s3").
  ir::Value* input(const std::string& name, const at::Tensor& tensor) {
    ir::ValueType type;
    type.elem = ir::DataType::kFloat;
    type.shape.emplace();
    for (int64_t dim : tensor.sizes())
      type.shape->push_back(ir::Dim::named("s" + std::to_string(dim)));
    const at::Tensor whole = tensor.contiguous();
    const std::vector<float> data(whole.data_ptr<float>(),
                                  whole.data_ptr<float>() + whole.numel());
    inputs_.emplace_back(name,
                         ir::Tensor::from<float>(whole.sizes().vec(), data));
    return model_.graph->add_input(name, type);
  }

  Argument size(ir::Value* value, int64_t axis) {
    return builder.size(value, axis);
  }

  io::aten::Arguments call(const std::string& name, Named arguments) {
    const io::aten::AtenRow* row = io::aten::find_aten(name);
    REQUIRE(row);
    return row->emit(
        io::aten::AtenCall(name, "", std::move(arguments), builder));
  }

  // The message of the error that the call throws.
  std::string error(const std::string& name, Named arguments) {
    try {
      call(name, std::move(arguments));
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  // Runs the graph and compares one float result.
  void check(const Argument& result, const at::Tensor& expected) {
    model_.graph->add_output(result.value);
    ir::verify(*model_.graph, "test");
    const auto outputs =
        latency::Session::open(model_, {}, "test")->run(inputs_);
    REQUIRE(outputs.front().dims() == expected.sizes().vec());
    const at::Tensor whole = expected.contiguous();
    const auto mine = outputs.front().data<float>();
    for (size_t i = 0; i < mine.size(); ++i)
      CHECK(mine[i] == doctest::Approx(whole.data_ptr<float>()[i]));
  }

  std::vector<std::string> nodes() const {
    std::vector<std::string> types;
    for (const auto& node : model_.graph->nodes())
      types.push_back(node->op_type);
    return types;
  }

 private:
  ir::Model model_;
  NamedTensors inputs_;

 public:
  io::aten::OnnxBuilder builder{model_};
};

}  // namespace lathe::test
