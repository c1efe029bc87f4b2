// Poolings beside ONNX Runtime and finite differences.
#include <string>

#include "tests/passes/exec/exec_fixtures.h"

namespace lathe {
namespace {

using test::gradients_agree;
using test::same_as_runtime;

std::string graph(const std::string& op, const std::string& type,
                  const std::string& attributes, int outputs = 1) {
  return "input %x: " + type + (outputs == 2 ? " %y, %i" : " %y") + " = " + op +
         "(%x) " + (attributes.empty() ? "" : "{" + attributes + "} ") +
         "output %y" + (outputs == 2 ? " output %i" : "");
}

void same(const std::string& op, const std::string& shape,
          const std::string& attributes, int64_t opset = 19) {
  same_as_runtime(graph(op, "float[" + shape + "]", attributes),
                  {.opset = opset});
}

// Both outputs of MaxPool.
void same_indices(const std::string& type, const std::string& attributes) {
  same_as_runtime(graph("MaxPool", type, attributes, 2));
}

TEST_CASE("MaxPool") {
  same("MaxPool", "2,3,9", "kernel_shape = [3]");
  same("MaxPool", "2,3,9", "kernel_shape = [3], pads = [1, 1], strides = [2]");
  same("MaxPool", "1,3,8,7", "kernel_shape = [2, 3]");
  same("MaxPool", "1,3,8,7",
       "kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]");
  same("MaxPool", "1,3,8,7",
       "kernel_shape = [3, 3], pads = [0, 0, 1, 1], strides = [2, 2]");
  same("MaxPool", "1,3,8,7", "kernel_shape = [3, 3], pads = [2, 2, 2, 2]");
  same("MaxPool", "1,3,9,9", "kernel_shape = [2, 3], dilations = [2, 3]");
  same("MaxPool", "1,2,5,6,7",
       "kernel_shape = [3, 2, 2], strides = [2, 2, 1], "
       "pads = [1, 0, 1, 1, 1, 0]");
  same("MaxPool", "1,2,5,6,7", "kernel_shape = [3, 2, 2]");
}

TEST_CASE("poolings with ceil_mode") {
  for (const std::string op : {"MaxPool", "AveragePool"})
    for (const std::string more :
         {"kernel_shape = [3, 2], strides = [2, 3]",
          "kernel_shape = [2, 2], strides = [3, 3]",
          "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]",
          "kernel_shape = [3, 3], strides = [2, 2], pads = [0, 1, 1, 0]",
          "kernel_shape = [3, 3], strides = [3, 3], pads = [1, 0, 1, 1]"}) {
      const std::string attributes = more + ", ceil_mode = 1";
      same(op, "1,2,7,8", attributes);
      same(op, "1,2,8,10", attributes);
    }
}

TEST_CASE("poolings with automatic pads") {
  for (const std::string op : {"MaxPool", "AveragePool"})
    for (const std::string pad : {"SAME_UPPER", "SAME_LOWER", "VALID"}) {
      const std::string attributes = "auto_pad = \"" + pad + "\", ";
      same(op, "1,2,7,8", attributes + "kernel_shape = [2, 3]");
      same(op, "1,2,7,8",
           attributes + "kernel_shape = [3, 3], strides = [2, 2]");
      same(op, "1,2,7,8",
           attributes + "kernel_shape = [4, 2], strides = [3, 3]");
    }
}

TEST_CASE("MaxPool says where") {
  const std::string plane = "float[2,3,7,8]";
  same_indices(plane, "kernel_shape = [2, 2], strides = [2, 2]");
  same_indices(plane, "kernel_shape = [3, 3], pads = [1, 1, 1, 1]");
  same_indices(plane, "kernel_shape = [3, 3], pads = [0, 1, 2, 0]");
  same_indices(plane, "kernel_shape = [3, 2], storage_order = 1");
  same_indices(plane,
               "kernel_shape = [3, 3], pads = [1, 0, 0, 2], storage_order = 1");
  same_indices(plane, "kernel_shape = [2, 2], dilations = [2, 3]");
  same_indices("float[2,3,9]", "kernel_shape = [3], pads = [0, 1]");
  same_indices("float[1,2,4,5,6]",
               "kernel_shape = [2, 2, 3], pads = [0, 1, 0, 1, 0, 1]");
}

TEST_CASE("MaxPool of 8-bit integers") {
  for (const std::string type : {"int8", "uint8"}) {
    const std::string shape = type + "[1,2,7,8]";
    same_as_runtime(
        graph("MaxPool", shape, "kernel_shape = [2, 2], pads = [1, 0, 0, 1]"));
    same_as_runtime(
        graph("MaxPool", shape, "kernel_shape = [3, 3], strides = [2, 2]"));
  }
  const at::Tensor x = at::randint(-128, 128, {1, 2, 7, 8}).to(at::kChar);
  const at::Tensor y =
      test::run_program(graph("MaxPool", "int8[1,2,7,8]",
                              "kernel_shape = [3, 3], pads = [0, 0, 1, 1]"),
                        {x})[0];
  CHECK(at::equal(
      y.to(at::kFloat),
      at::max_pool2d(at::constant_pad_nd(x.to(at::kFloat), {0, 1, 0, 1}, -128),
                     {3, 3}, {1, 1})));
}

TEST_CASE("AveragePool") {
  for (const std::string include : {"0", "1"}) {
    const std::string attributes = "count_include_pad = " + include + ", ";
    same("AveragePool", "2,3,9", attributes + "kernel_shape = [3]");
    same("AveragePool", "2,3,9",
         attributes + "kernel_shape = [3], pads = [0, 1], strides = [2]");
    same("AveragePool", "1,3,8,7", attributes + "kernel_shape = [2, 3]");
    same("AveragePool", "1,3,8,7",
         attributes +
             "kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]");
    same("AveragePool", "1,3,8,7",
         attributes + "kernel_shape = [3, 3], pads = [0, 1, 2, 0]");
    same("AveragePool", "1,3,8,7",
         attributes + "kernel_shape = [3, 3], pads = [2, 2, 2, 2]");
    same("AveragePool", "1,3,9,9",
         attributes +
             "kernel_shape = [2, 3], dilations = [2, 3], "
             "pads = [1, 1, 1, 1]");
    same("AveragePool", "1,2,5,6,7",
         attributes +
             "kernel_shape = [3, 2, 2], strides = [2, 2, 1], "
             "pads = [1, 0, 1, 1, 1, 0]");
    same("AveragePool", "1,2,5,6,7", attributes + "kernel_shape = [3, 2, 2]");
  }
}

TEST_CASE("AveragePool with count_include_pad and ceil_mode") {
  // What lies beyond the pads is no element.
  same("AveragePool", "1,2,8,8",
       "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], "
       "count_include_pad = 1, ceil_mode = 1");
  same("AveragePool", "1,2,8,8",
       "kernel_shape = [3, 3], strides = [2, 2], pads = [0, 1, 0, 0], "
       "count_include_pad = 1, ceil_mode = 1");
}

TEST_CASE("LpPool") {
  for (const std::string p : {"1", "2", "3"}) {
    const std::string attributes = "p = " + p + ", ";
    same("LpPool", "2,3,9", attributes + "kernel_shape = [3]", 17);
    same("LpPool", "1,3,8,7",
         attributes + "kernel_shape = [3, 2], strides = [2, 2]", 17);
    same("LpPool", "1,3,8,7",
         attributes + "kernel_shape = [3, 3], pads = [0, 1, 1, 0]", 17);
    same("LpPool", "1,3,8,7",
         attributes + "kernel_shape = [3, 3], dilations = [2, 1]", 18);
    same("GlobalLpPool", "1,3,8,7", "p = " + p);
  }
}

TEST_CASE("global poolings") {
  for (const std::string op :
       {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"})
    for (const std::string shape : {"2,3,9", "2,3,8,7", "1,2,3,4,5"})
      same(op, shape, "");
}

TEST_CASE("MaxUnpool puts values back") {
  const std::string pooled =
      "input %x: float[2,3,6,8] "
      "%m, %i = MaxPool(%x) {kernel_shape = [2, 2], strides = [2, 2]} ";
  same_as_runtime(pooled +
                  "%y = MaxUnpool(%m, %i) {kernel_shape = [2, 2], "
                  "strides = [2, 2]} output %y");
  same_as_runtime(pooled +
                  "init %s = int64[4] {2, 3, 6, 8} "
                  "%y = MaxUnpool(%m, %i, %s) {kernel_shape = [2, 2], "
                  "strides = [2, 2]} output %y");
}

TEST_CASE("gradients of poolings") {
  auto differentiates = [](const std::string& op, const std::string& shape,
                           const std::string& attributes) {
    gradients_agree(graph(op, "double[" + shape + "]", attributes),
                    {.opset = 19});
  };
  for (const std::string op : {"MaxPool", "AveragePool", "LpPool"}) {
    differentiates(op, "1,2,7", "kernel_shape = [3], pads = [1, 1]");
    differentiates(op, "1,2,5,6",
                   "kernel_shape = [3, 2], pads = [1, 0, 0, 1], "
                   "strides = [2, 1]");
    differentiates(op, "1,2,6,6",
                   "kernel_shape = [2, 2], dilations = [2, 1], "
                   "strides = [2, 2], ceil_mode = 1");
    differentiates(op, "1,1,3,4,3", "kernel_shape = [2, 2, 2]");
  }
  differentiates("LpPool", "1,2,5,6", "kernel_shape = [2, 2], p = 3");
  for (const std::string op :
       {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"})
    differentiates(op, "2,3,4,3", "");
  gradients_agree(
      "input %x: double[1,2,4,4] "
      "%m, %i = MaxPool(%x) {kernel_shape = [2, 2], strides = [2, 2]} "
      "%y = MaxUnpool(%m, %i) {kernel_shape = [2, 2], strides = [2, 2]} "
      "output %y");
}

TEST_CASE("the gradient of LpPool is 0 where all is 0") {
  at::Tensor x = at::zeros({1, 1, 4, 4}, at::kDouble).set_requires_grad(true);
  test::run_program(graph("LpPool", "double[1,1,4,4]", "kernel_shape = [2, 2]"),
                    {x})[0]
      .sum()
      .backward();
  CHECK(at::equal(x.grad(), at::zeros_like(x)));
}

}  // namespace
}  // namespace lathe
