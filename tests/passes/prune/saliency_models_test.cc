// Saliency beside what removing a channel really does, on a trained network.
#include <algorithm>
#include <fstream>
#include <numeric>

#include "calibration/data/data.h"
#include "passes/exec/program.h"
#include "passes/io/onnx/onnx.h"
#include "passes/prune/prune.h"
#include "tests/passes/prune/saliency_support.h"
#include "tests/support/shared.h"

// clang-format off
// After LibTorch, whose logging defines a CHECK as well.
#include <doctest/doctest.h>
// clang-format on

namespace lathe {
namespace {

constexpr int64_t kSamples = 64;

std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return values[i]; });
  std::vector<double> ranks(values.size());
  for (size_t i = 0; i < order.size(); ++i)
    ranks[order[i]] = static_cast<double>(i);
  return ranks;
}

double rank_correlation(const std::vector<double>& a,
                        const std::vector<double>& b) {
  const std::vector<double> x = ranks(a), y = ranks(b);
  double squares = 0;
  for (size_t i = 0; i < x.size(); ++i)
    squares += (x[i] - y[i]) * (x[i] - y[i]);
  const auto n = static_cast<double>(x.size());
  return 1 - 6 * squares / (n * (n * n - 1));
}

at::Tensor log_probabilities(const ir::Model& model,
                             const exec::Program::Named& inputs) {
  const at::NoGradGuard no_grad;
  return at::log_softmax(exec::Program::compile(model)->run(inputs)[0], 1);
}

TEST_CASE("saliency ranks the channels of ResNet-20 by what they are worth") {
  const auto path = test::shared_file("models/cifar10_resnet20/model.onnx");
  const auto archive =
      test::shared_file("data/cifar10/cifar10_jpeg_test_dev5k.tar.gz");
  if (path.empty() || archive.empty()) return;
  const ir::Model model = io::import_onnx(path);
  const test::TempDir folder;
  const auto descriptor = folder.path() / "data.json";
  std::ofstream(descriptor) << R"({"format": "image-folder", "path": ")" +
                                   archive.string() +
                                   R"(", "image": {"scale": 0.00392156862745098,
                 "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
                 "limit": 64, "shuffle_seed": 0})";
  const auto data = data::open_data(descriptor.string(), model, {});
  ReadOptions whole;
  whole.batch_size = kSamples;
  const auto all = data->read(whole)->next();
  REQUIRE(all);
  const exec::Program::Named inputs{
      {all->inputs[0].first, exec::to_torch(all->inputs[0].second)}};
  const at::Tensor dense = log_probabilities(model, inputs);

  const prune::ChannelGroups groups(model);
  Random random(1);
  std::vector<std::pair<size_t, size_t>> units;
  std::vector<double> divergences;
  for (size_t g = 0; g < groups.groups().size(); ++g)
    for (int i = 0; i < 2 && groups.groups()[g].frozen.empty(); ++i) {
      const auto unit = static_cast<size_t>(
          random.below(static_cast<uint64_t>(groups.groups()[g].units)));
      prune::Selection selection = groups.everything();
      selection[g][unit] = false;
      ir::Model masked = ir::clone(model);
      prune::mask(masked, groups, selection);
      units.emplace_back(g, unit);
      divergences.push_back(
          (dense.exp() * (dense - log_probabilities(masked, inputs)))
              .sum()
              .item<double>());
    }
  for (const auto& [method, least] :
       {std::pair{"taylor", 0.75}, {"fisher", 0.75}, {"reconstruction", 0.4}}) {
    const prune::Saliency saliency =
        test::saliency_of(model, {.method = method}, data.get(), 0);
    std::vector<double> estimates;
    for (const auto& [g, unit] : units) estimates.push_back(saliency[g][unit]);
    CAPTURE(std::string(method));
    CHECK(rank_correlation(estimates, divergences) > least);
  }
}

}  // namespace
}  // namespace lathe
