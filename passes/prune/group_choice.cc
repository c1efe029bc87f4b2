#include "passes/prune/group_choice.h"

#include <algorithm>
#include <numeric>

#include "passes/prune/name_patterns.h"

namespace lathe::prune {
namespace {

constexpr const char* kSaliencyWithoutData = "l2";

std::vector<std::string> node_names(const ChannelGroup& group) {
  std::vector<std::string> names{group.name};
  for (const auto* side : {&group.sources, &group.readers})
    for (const WeightAxis& weight : *side) names.push_back(weight.node);
  return names;
}

}  // namespace

bool GroupChoice::stays_whole(const ChannelGroup& group) const {
  if (!group.frozen.empty() || (group.rescaling && !rescaling)) return true;
  const std::vector<std::string> names = node_names(group);
  return std::ranges::any_of(keep, [&](const std::string& pattern) {
    return std::ranges::any_of(
        names, [&](const std::string& name) { return matches(pattern, name); });
  });
}

std::vector<Remark> GroupChoice::remarks(const ChannelGroups& groups) const {
  std::vector<Remark> remarks = groups.remarks();
  std::vector<std::string> names;
  for (const ChannelGroup& group : groups.groups()) {
    for (std::string& name : node_names(group))
      names.push_back(std::move(name));
    const std::string stay =
        "its " + std::to_string(group.units) + " channels stay: ";
    if (!group.frozen.empty())
      remarks.push_back({group.name, stay + group.frozen});
    else if (group.rescaling && !rescaling)
      remarks.push_back(
          {group.name,
           stay + "a normalization runs over them, so that what is left would "
                  "be rescaled (option rescaling)"});
  }
  for (const std::string& line :
       unmatched(keep, names, "no group or node of the model"))
    remarks.push_back({"", line});
  return remarks;
}

std::vector<bool> keep_best(const std::vector<double>& saliency, size_t kept) {
  std::vector<size_t> order(saliency.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(
      order, [&](size_t a, size_t b) { return saliency[a] > saliency[b]; });
  std::vector<bool> stays(saliency.size(), false);
  for (size_t i = 0; i < std::min(kept, order.size()); ++i)
    stays[order[i]] = true;
  return stays;
}

Saliency measure_saliency(const ir::Model& model, const ChannelGroups& groups,
                          const std::string& method, int64_t samples,
                          PassContext& context) {
  SaliencyOptions options;
  options.method = method;
  if (method.empty() && !context.data) options.method = kSaliencyWithoutData;
  options.samples = samples;
  return measure_saliency(model, groups, options, context);
}

}  // namespace lathe::prune
