#include "passes/prune/saliency.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/batch_source.h"
#include "passes/prune/saliency_methods.h"

namespace lathe::prune {
namespace {

constexpr SaliencyMethod kMethods[] = {
    {"l1", "sum of the magnitudes of the weights that compute it", 0,
     SaliencyScale::kGroupMean, l1_saliency},
    {"l2", "Euclidean norm of the weights that compute it", 0,
     SaliencyScale::kGroupMean, l2_saliency},
    {"bn_scale", "magnitude of the BatchNormalization scale behind it", 0,
     SaliencyScale::kGroupMean, bn_scale_saliency},
    {"taylor", "first-order change of the loss, its magnitude a sample", 256,
     SaliencyScale::kNone, taylor_saliency},
    {"fisher", "second-order change of the loss by the Fisher information", 256,
     SaliencyScale::kNone, fisher_saliency},
    {"reconstruction",
     "error that is left in what reads it after a least-squares fit", 256,
     SaliencyScale::kNone, reconstruction_saliency},
};

const SaliencyMethod& method_of(const std::string& name) {
  const std::string_view wanted = name.empty() ? kDefaultSaliency : name;
  const auto found = std::ranges::find(kMethods, wanted, &SaliencyMethod::name);
  if (found != std::end(kMethods)) return *found;
  const std::vector<std::string> names = saliency_names();
  throw Error(ErrorKind::kUsage, "saliency '" + name + "'",
              "there is no such method" + did_you_mean(name, names),
              "the methods are " + join(names, ", "));
}

void scale(std::vector<double>& units, SaliencyScale by) {
  if (by == SaliencyScale::kNone || units.empty()) return;
  const double mean = std::accumulate(units.begin(), units.end(), 0.0) /
                      static_cast<double>(units.size());
  if (mean > 0)
    for (double& unit : units) unit /= mean;
}

}  // namespace

std::span<const SaliencyMethod> saliency_methods() { return kMethods; }

std::vector<std::string> saliency_names() {
  std::vector<std::string> names;
  for (const SaliencyMethod& method : kMethods) names.emplace_back(method.name);
  return names;
}

Saliency measure_saliency(const ir::Model& model, const ChannelGroups& groups,
                          const SaliencyOptions& options,
                          PassContext& context) {
  const SaliencyMethod& method = method_of(options.method);
  const std::string where = "saliency '" + std::string(method.name) + "'";
  if (method.samples > 0 && !context.data)
    throw Error(ErrorKind::kUsage, where, "it needs samples to run on",
                "give data with --data, or use l2, which looks at weights "
                "alone");
  if (method.samples > 0 && options.labels && !context.data->has_labels())
    throw Error(ErrorKind::kUsage, where,
                "labels are to count, but the data has none",
                "without them, the model's own outputs are what counts");
  const SaliencyTask task{
      model,
      groups,
      options.samples > 0 ? options.samples : method.samples,
      options.labels,
      options.readers,
      context};
  const bool any = std::ranges::any_of(
      groups.groups(),
      [](const ChannelGroup& group) { return group.frozen.empty(); });
  Saliency saliency = any ? method.measure(task) : no_saliency(groups.groups());
  for (size_t g = 0; g < saliency.size(); ++g) {
    const ChannelGroup& group = groups.groups()[g];
    if (!group.frozen.empty()) {
      std::ranges::fill(saliency[g], std::numeric_limits<double>::infinity());
      continue;
    }
    if (!std::ranges::all_of(saliency[g],
                             [](double unit) { return std::isfinite(unit); }))
      throw_input("group '" + group.name + "'", where + " is not finite",
                  "check the preprocessing of the data and the model's "
                  "weights");
    scale(saliency[g], method.scale);
  }
  return saliency;
}

// --- Shared by the methods ----------------------------------------------

Saliency no_saliency(const std::vector<ChannelGroup>& groups) {
  Saliency saliency;
  for (const ChannelGroup& group : groups)
    saliency.emplace_back(static_cast<size_t>(group.units), 0.0);
  return saliency;
}

}  // namespace lathe::prune
