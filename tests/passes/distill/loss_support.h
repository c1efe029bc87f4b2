// What tests of losses share.
#pragma once

#include <string>
#include <vector>

#include "passes/base/random.h"
#include "passes/distill/loss_inputs.h"

// clang-format off
// After LibTorch, whose logging defines a CHECK as well.
#include <doctest/doctest.h>
// clang-format on

namespace lathe::test {

inline at::Tensor numbers(const std::vector<double>& values,
                          at::IntArrayRef sizes) {
  return at::tensor(values, at::kDouble).reshape(sizes);
}

// Standard normal, double.
inline at::Tensor normal(at::IntArrayRef sizes, uint64_t seed) {
  Random random(seed);
  at::Tensor tensor = at::empty(sizes, at::kDouble);
  double* data = tensor.data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i) data[i] = random.normal();
  return tensor;
}

// With the row's own settings.
inline at::Tensor loss_of(const std::string& name,
                          const distill::LossInputs& inputs) {
  const distill::LossRow& row = distill::find_loss(name);
  return distill::compute_loss(row, inputs, row.defaults);
}

inline double loss_of(const std::string& name, const at::Tensor& student,
                      const at::Tensor& teacher, int64_t axis = 1) {
  return loss_of(name, {.student = student,
                        .teacher = teacher,
                        .labels = {},
                        .axis = axis,
                        .name = "y"})
      .item<double>();
}

}  // namespace lathe::test
