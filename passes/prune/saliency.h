// What removing a unit of a channel group is estimated to cost.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "passes/pass_context.h"
#include "passes/prune/channel_groups.h"

namespace lathe::prune {

// [group][unit], in the order of ChannelGroups::groups(): 0 and more, to be
// compared between groups too. Infinity throughout a frozen group.
using Saliency = std::vector<std::vector<double>>;

struct SaliencyOptions {
  std::string method;   // of saliency_methods(); "": kDefaultSaliency
  int64_t samples = 0;  // of the data, at most; 0: as many as the method wants
  // taylor, fisher: the loss is the cross-entropy with the data's labels.
  // Without, it is how far the outputs move from the model's own.
  bool labels = false;
  // l1, l2: what reads a unit counts beside what computes it.
  bool readers = false;
};

struct SaliencyTask;

// How methods whose figures mean nothing between groups are made comparable.
enum class SaliencyScale {
  kNone,       // they are comparable as they come
  kGroupMean,  // divided by the group's mean
};

struct SaliencyMethod {
  std::string_view name, summary;
  int64_t samples;  // that it wants unless told; 0: it needs no data
  SaliencyScale scale;
  Saliency (*measure)(const SaliencyTask& task);
};

inline constexpr std::string_view kDefaultSaliency = "fisher";

std::span<const SaliencyMethod> saliency_methods();
std::vector<std::string> saliency_names();

// Reads weights, or context.data in an order that context.seed draws
// (reconstruction: in its own). Does not depend on context.jobs.
// docs/pruning.md has the formulas. Errors: kUsage for an unknown method, for
// one that needs data where there is none, for labels that the data or the
// outputs lack, and for bn_scale where nothing is normalised; kInput where the
// data does not fit the model, a label is none of its classes, or, with the
// group, a figure is not finite; kUnsupported for an operator that the executor
// lacks, and (reconstruction) for too many channels that are read together.
Saliency measure_saliency(const ir::Model& model, const ChannelGroups& groups,
                          const SaliencyOptions& options, PassContext& context);

}  // namespace lathe::prune
