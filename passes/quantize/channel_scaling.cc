#include "passes/quantize/channel_scaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "passes/activation_ranges.h"
#include "passes/base/jobs.h"
#include "passes/quantize/channel_weights.h"

namespace lathe::quantize {
namespace {

// Without data, factors of one group change the weights that those of the next
// follow from.
constexpr int kMostRounds = 20;
// Of the gain that a set needs: less by the weights' guess, and data is not
// looked at.
constexpr double kEvenShare = 0.25;

// Its output has the scale of its input.
bool keeps_range(const ir::Node& node) {
  constexpr const char* kNames[] = {
      "Flatten", "Gather", "Identity", "MaxPool",   "Pad",      "Reshape",
      "Slice",   "Split",  "Squeeze",  "Transpose", "Unsqueeze"};
  for (const char* name : kNames)
    if (node.is(name)) return true;
  return false;
}

// A tensor with a scale of its own: Relu joins the kernel before it.
bool becomes_codes(const ir::Value& value) {
  if (value.producer() && keeps_range(*value.producer())) return false;
  return value.uses().size() != 1 || !value.uses()[0].node->is("Relu");
}

std::vector<ChannelMember> tensors_of(const ChannelGroup& group) {
  if (group.members.size() == 1) return group.members;
  std::vector<ChannelMember> tensors;
  for (const ChannelMember& member : group.members)
    if (becomes_codes(*member.value)) tensors.push_back(member);
  return tensors;
}

std::vector<TensorRanges> measured(const ChannelGroup& group,
                                   const ChannelRanges& ranges) {
  std::vector<TensorRanges> tensors;
  for (const ChannelMember& member : tensors_of(group)) {
    const auto found = ranges.find(member.value->name());
    if (found == ranges.end() || static_cast<int64_t>(found->second.size()) !=
                                     extent_of(*member.value, member.at.axis))
      continue;
    TensorRanges tensor{member.at.offset, {}};
    for (size_t i = 0; i < found->second.size(); ++i) {
      const Range& range = found->second[i];
      if (i % static_cast<size_t>(member.at.inner) == 0)
        tensor.channels.push_back(range);
      Range& channel = tensor.channels.back();
      channel = {std::min(channel.min, range.min),
                 std::max(channel.max, range.max)};
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

// As if a channel's range followed from the largest weight that makes it.
std::vector<TensorRanges> guessed(const ChannelGroup& group) {
  TensorRanges tensor{0, std::vector<Range>(group.channels)};
  for (const ScaleSite& site : group.sources) {
    const auto maxima = channel_maxima(site, group.channels);
    for (size_t c = 0; c < maxima.size(); ++c) {
      const float most =
          std::max(tensor.channels[c].max, static_cast<float>(maxima[c]));
      tensor.channels[c] = {-most, most};
    }
  }
  return {tensor};
}

// x -> Mul(1/s) -> the products.
void insert_mul(const ChannelGroup& group, const std::vector<double>& factors) {
  const ChannelMember& member = group.members.front();
  std::vector<float> inverse;
  for (int64_t i = 0; i < extent_of(*member.value, member.at.axis); ++i)
    inverse.push_back(static_cast<float>(1 / factors[i]));
  std::vector<int64_t> dims(rank_of(*member.value) - member.at.axis, 1);
  dims[0] = static_cast<int64_t>(inverse.size());
  ir::Graph& graph = member.value->graph();
  const std::string name = member.value->name() + "_smoothed";
  ir::Value* constant = graph.add_constant(
      name + "_factor", ir::Tensor::from<float>(dims, inverse));
  const auto reads = [&](const ir::Node* node) {
    return std::ranges::any_of(group.products, [&](const ScaleSite& site) {
      return site.node == node;
    });
  };
  const auto nodes = graph.node_list();
  ir::Node* mul = graph.add_node("Mul", {member.value, constant},
                                 std::vector<std::string>{name},
                                 *std::ranges::find_if(nodes, reads));
  mul->name = name;
  mul->output()->type = member.value->type;
  for (const ScaleSite& site : group.products)
    site.node->set_input(0, mul->output());
}

class Scaling {
 public:
  Scaling(ir::Model& model, const std::vector<ChannelGroup>& groups,
          const ChannelScaling& options, PassContext& context)
      : model_(model), options_(options), context_(context) {
    for (const ChannelGroup& group : groups) {
      if (group.frozen.empty())
        scaled_.push_back({&group, {}, 0});
      else
        result_.remarks.push_back(
            {group.reader->id(),
             "the channels of its input keep their scale: " + group.frozen});
    }
  }

  PassResult run() {
    if (scaled_.empty()) return std::move(result_);
    if (!context_.ranges)
      by_weights();
    else if (!options_.weights_may_decide || !weights_are_even())
      by_ranges();
    report();
    // New constants are initializers that are on no input list.
    if (result_.changes > 0)
      model_.ir_version = std::max<int64_t>(model_.ir_version, 4);
    return std::move(result_);
  }

 private:
  struct Scaled {
    const ChannelGroup* group;
    std::vector<double> factors;  // empty where it stays as it was
    double gain_db;
  };

  // By the ranges that weights suggest no set comes near the gain it needs.
  bool weights_are_even() const {
    std::atomic<bool> even = true;
    parallel_for(scaled_.size(), effective_jobs(context_.jobs), [&](size_t i) {
      if (!even) return;
      const ChannelGroup& group = *scaled_[i].group;
      const double gain_db =
          choose_factors(group, guessed(group), options_.factors).gain_db;
      if (gain_db >= options_.min_gain_db * kEvenShare) even = false;
    });
    return even;
  }

  void by_ranges() {
    std::vector<ChannelRequest> requests;
    for (const Scaled& scaled : scaled_)
      for (const ChannelMember& member : tensors_of(*scaled.group))
        requests.push_back({member.value->name(), member.at.axis});
    const ChannelRanges ranges =
        context_.ranges->collect_channels(model_, requests, *context_.progress,
                                          context_.cancel, options_.samples);
    // All at once, which holds until the first set changes weights.
    std::vector<std::vector<TensorRanges>> tensors(scaled_.size());
    std::vector<ChosenFactors> chosen(scaled_.size());
    parallel_for(scaled_.size(), effective_jobs(context_.jobs), [&](size_t i) {
      const ChannelGroup& group = *scaled_[i].group;
      tensors[i] = measured(group, ranges);
      if (!tensors[i].empty())
        chosen[i] = choose_factors(group, tensors[i], options_.factors);
    });
    bool changed = false;
    for (size_t i = 0; i < scaled_.size(); ++i)
      changed |= changed ? scale(scaled_[i], tensors[i])
                         : !tensors[i].empty() && apply(scaled_[i], chosen[i]);
  }

  void by_weights() {
    bool again = true;
    for (int round = 0; again && round < kMostRounds; ++round) {
      again = false;
      for (Scaled& scaled : scaled_)
        again |= scale(scaled, guessed(*scaled.group));
    }
  }

  // True when the group got factors.
  bool scale(Scaled& scaled, const std::vector<TensorRanges>& tensors) {
    context_.check_cancelled();
    return !tensors.empty() &&
           apply(scaled,
                 choose_factors(*scaled.group, tensors, options_.factors));
  }

  bool apply(Scaled& scaled, const ChosenFactors& chosen) {
    const ChannelGroup& group = *scaled.group;
    const double least =
        group.needs_mul ? options_.min_mul_gain_db : options_.min_gain_db;
    if (chosen.gain_db < least ||
        std::ranges::all_of(chosen.factors, [](double s) { return s == 1; }))
      return false;
    if (group.needs_mul) insert_mul(group, chosen.factors);
    for (const ScaleSite& site : group.sites)
      scale_constant(site, chosen.factors);
    scaled.gain_db += chosen.gain_db;
    if (scaled.factors.empty()) scaled.factors.assign(group.channels, 1);
    for (size_t c = 0; c < scaled.factors.size(); ++c)
      scaled.factors[c] *= chosen.factors[c];
    return true;
  }

  void report() {
    int64_t even = 0, unmultiplied = 0;
    for (const auto& [group, factors, gain_db] : scaled_) {
      if (factors.empty()) {
        ++(group->needs_mul ? unmultiplied : even);
        continue;
      }
      ++result_.changes;
      const auto [low, high] = std::ranges::minmax(factors);
      result_.remarks.push_back(
          {group->reader->id(),
           fmt::format(
               "the channels of its input are divided by {:.3g} to {:.3g}{}: "
               "its int8 error is predicted to fall by {:.1f} dB",
               low, high, group->needs_mul ? " in a Mul before it" : "",
               gain_db)});
    }
    count(even, "", options_.min_gain_db);
    count(unmultiplied, " for which a Mul would have to be inserted",
          options_.min_mul_gain_db);
  }

  void count(int64_t sets, const char* which, double least_db) {
    if (sets > 0)
      result_.remarks.push_back(
          {"", fmt::format("{} set{} of channels{} stay{} as before: the int8 "
                           "error is predicted to fall by less than {:.3g} dB",
                           sets, sets > 1 ? "s" : "", which,
                           sets > 1 ? "" : "s", least_db)});
  }

  ir::Model& model_;
  const ChannelScaling& options_;
  PassContext& context_;
  std::vector<Scaled> scaled_;
  PassResult result_;
};

}  // namespace

PassResult scale_groups(ir::Model& model,
                        const std::vector<ChannelGroup>& groups,
                        const ChannelScaling& options, PassContext& context) {
  return Scaling(model, groups, options, context).run();
}

}  // namespace lathe::quantize
