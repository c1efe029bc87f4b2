#include "passes/exec/process_group.h"

namespace lathe::exec {

void average_gradients(ProcessGroup& group,
                       std::span<const at::Tensor> parameters) {
  constexpr int64_t kBucketBytes = 25 << 20;
  if (group.ranks() == 1 || parameters.empty()) return;
  const at::NoGradGuard no_grad;
  at::Tensor present = at::empty({static_cast<int64_t>(parameters.size())},
                                 at::TensorOptions().dtype(at::kLong));
  int64_t* here = present.data_ptr<int64_t>();
  for (size_t i = 0; i < parameters.size(); ++i)
    here[i] = parameters[i].grad().defined();
  group.all_reduce({present});
  std::vector<at::Tensor> bucket;
  int64_t bytes = 0;
  const auto send = [&] {
    group.all_reduce(bucket);
    for (const at::Tensor& gradient : bucket)
      at::Tensor(gradient).div_(group.ranks());
    bucket.clear();
    bytes = 0;
  };
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (here[i] == 0) continue;
    at::Tensor parameter = parameters[i];
    if (!parameter.grad().defined())
      parameter.mutable_grad() = at::zeros_like(parameter);
    bucket.push_back(parameter.grad());
    bytes += parameter.numel() * parameter.element_size();
    if (bytes >= kBucketBytes) send();
  }
  if (!bucket.empty()) send();
}

}  // namespace lathe::exec
