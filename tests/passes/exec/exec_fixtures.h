// What tests of the executor share: the same graph in the runtime, and
// gradients beside finite differences.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "passes/exec/program.h"
#include "passes/ir/graph.h"

// clang-format off
// After LibTorch, whose logging defines a CHECK as well.
#include <doctest/doctest.h>
// clang-format on

namespace lathe::test {

// A model from the text form's nodes, shapes inferred:
//   "input %x: float[1,3,8,8] %y = Relu(%x) output %y"
ir::Model exec_model(const std::string& body, int64_t opset = 17);

struct CompareOptions {
  int64_t opset = 17;
  // |a - b| <= tolerance * (1 + |b|)
  double tolerance = 1e-5;
  uint64_t seed = 1;
};

// Runs the graph in ONNX Runtime and in the executor, on the same random
// inputs (normal-like values for floats, small ones for integers), and CHECKs
// types, shapes and values of every output.
void same_as_runtime(const std::string& body,
                     const CompareOptions& options = {});

// The graph's inputs must be double. CHECKs the gradients of a random weighted
// sum of the floating outputs, with respect to every input, against central
// differences: |a - b| <= tolerance * (1 + |b|).
void gradients_agree(const std::string& body,
                     const CompareOptions& options = {
                         .opset = 17, .tolerance = 1e-5, .seed = 1});

// Outputs of the executor alone, inputs in the graph's order.
std::vector<at::Tensor> run_program(const std::string& body,
                                    const std::vector<at::Tensor>& inputs,
                                    int64_t opset = 17);

}  // namespace lathe::test
