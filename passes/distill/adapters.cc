#include "passes/distill/adapters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "passes/base/error.h"
#include "passes/base/random.h"

namespace lathe::distill {

Adapters::Adapters(std::span<const FeaturePair> pairs, uint64_t seed,
                   at::Device device) {
  for (const FeaturePair& pair : pairs) {
    Map& map = maps_.emplace_back(Map{pair, {}, {}});
    if (pair.student_channels == pair.teacher_channels) continue;
    Random random(derive_seed(seed, "adapter." + pair.student));
    at::Tensor weight =
        at::empty({pair.teacher_channels, pair.student_channels}, at::kFloat);
    const double deviation =
        1 / std::sqrt(static_cast<double>(pair.student_channels));
    float* data = weight.data_ptr<float>();
    for (int64_t i = 0; i < weight.numel(); ++i)
      data[i] = static_cast<float>(random.normal() * deviation);
    map.weight = weight.to(device).requires_grad_();
    map.bias =
        at::zeros({pair.teacher_channels}, weight.options().device(device))
            .requires_grad_();
  }
}

std::vector<std::pair<std::string, at::Tensor>> Adapters::parameters() const {
  std::vector<std::pair<std::string, at::Tensor>> parameters;
  for (const Map& map : maps_) {
    if (!map.weight.defined()) continue;
    parameters.emplace_back("adapter." + map.pair.student + ".weight",
                            map.weight);
    parameters.emplace_back("adapter." + map.pair.student + ".bias", map.bias);
  }
  return parameters;
}

at::Tensor Adapters::apply(size_t pair, const at::Tensor& student) const {
  const Map& map = maps_.at(pair);
  const int64_t axis = map.pair.axis;
  if (axis < 0 || axis >= student.dim() ||
      student.size(axis) != map.pair.student_channels)
    throw_input(
        "value '" + map.pair.student + "'",
        fmt::format("found shape [{}], expected {} channels along axis {}",
                    fmt::join(student.sizes(), ", "), map.pair.student_channels,
                    axis));
  if (!map.weight.defined()) return student;
  const at::Tensor x = student.to(map.weight.scalar_type());
  if (axis == student.dim() - 1) return at::linear(x, map.weight, map.bias);
  if (axis != 1)
    return at::linear(x.movedim(axis, -1), map.weight, map.bias)
        .movedim(-1, axis);
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes[1] = map.pair.teacher_channels;
  return at::conv1d(x.flatten(2), map.weight.unsqueeze(2), map.bias)
      .reshape(sizes);
}

}  // namespace lathe::distill
