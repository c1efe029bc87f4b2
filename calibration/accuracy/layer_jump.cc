#include "calibration/accuracy/layer_jump.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "calibration/accuracy/metrics.h"

namespace lathe::accuracy {
namespace {

// From where on a remark says so.
constexpr double kManyClipped = 0.01;
constexpr double kManyUnused = 0.75;
// Codes that few elements could have hit say nothing.
constexpr int64_t kElementsPerCode = 100;
constexpr size_t kMostRemarks = 3;  // of one kind
// Takes three bits of a code from the median channel.
constexpr double kLargeSpread = 8;

double capped(double sqnr_db) { return std::min(sqnr_db, kGoodSqnrDb); }

// Of what each layer reads, compared or not, the compared layers: one that is
// not stands for what it reads itself.
using Sources = std::vector<std::vector<size_t>>;

Sources compared_sources(const std::vector<LayerPair>& layers,
                         const std::vector<LayerStats>& stats) {
  Sources sources(layers.size());
  for (size_t i = 0; i < layers.size(); ++i)
    for (size_t input : layers[i].inputs) {
      const std::vector<size_t> own{input};
      for (size_t one : stats[input].comparable() ? own : sources[input])
        if (std::find(sources[i].begin(), sources[i].end(), one) ==
            sources[i].end())
          sources[i].push_back(one);
    }
  return sources;
}

LayerError figures(const LayerPair& layer, const LayerStats& stats) {
  LayerError error;
  error.name = layer.name;
  error.operator_type = layer.operator_type;
  error.sqnr_db = stats.sqnr_db();
  error.cosine = stats.cosine();
  error.max_abs_diff = stats.max_abs_diff();
  error.channel_sqnr_db = stats.channel_sqnr_db();
  error.channel_spread = stats.channel_spread();
  error.clipped_share = stats.clipped_share();
  error.unused_codes_share = stats.unused_codes_share();
  error.elements = stats.elements();
  error.codes = stats.codes();
  return error;
}

double worst_input_db(const Comparison& comparison, const LayerError& layer) {
  double worst = kMaxSqnrDb;
  for (size_t input : layer.inputs)
    worst = std::min(worst, comparison.layers[input].sqnr_db);
  return worst;
}

void find_jump(Comparison& comparison) {
  double largest = 0;
  for (size_t i = 0; i < comparison.layers.size(); ++i) {
    const LayerError& layer = comparison.layers[i];
    if (layer.drop_db >= kJumpDropDb && layer.sqnr_db < kJumpSqnrDb) {
      comparison.first_jump = i;
      comparison.jumps = true;
      return;
    }
    if (layer.drop_db > largest) {
      largest = layer.drop_db;
      comparison.first_jump = i;
    }
  }
}

// The input with the lowest figure by channel, where that is at most `most`.
std::optional<size_t> bad_channels(const Comparison& comparison, size_t layer,
                                   double most) {
  std::optional<size_t> found;
  for (size_t input : comparison.layers[layer].inputs) {
    const auto& channels = comparison.layers[input].channel_sqnr_db;
    if (!channels || *channels > most) continue;
    most = *channels;
    found = input;
  }
  return found;
}

// Goes back from the jump while the channels read are as bad as the result.
void find_cause(Comparison& comparison) {
  if (!comparison.jumps) return;
  const auto& layers = comparison.layers;
  std::optional<size_t> next =
      bad_channels(comparison, *comparison.first_jump,
                   layers[*comparison.first_jump].sqnr_db + kJumpDropDb);
  if (!next ||
      layers[*next].sqnr_db - *layers[*next].channel_sqnr_db < kJumpDropDb)
    return;
  for (; next; next = bad_channels(comparison, *next,
                                   *layers[*next].channel_sqnr_db + 3))
    comparison.cause = next;
}

double clipped_share(const LayerError& layer) {
  return layer.clipped_share.value_or(0);
}

double unused_share(const LayerError& layer) {
  return layer.elements >= kElementsPerCode * layer.codes
             ? layer.unused_codes_share.value_or(0)
             : 0;
}

// A remark for each of the layers with the largest shares, from `least` on.
void add_worst(const Comparison& comparison, double (*share)(const LayerError&),
               double least, const char* text,
               std::vector<std::string>& remarks) {
  std::vector<size_t> found;
  for (size_t i = 0; i < comparison.layers.size(); ++i)
    if (share(comparison.layers[i]) >= least) found.push_back(i);
  std::stable_sort(found.begin(), found.end(), [&](size_t a, size_t b) {
    return share(comparison.layers[a]) > share(comparison.layers[b]);
  });
  for (size_t i = 0; i < std::min(found.size(), kMostRemarks); ++i)
    remarks.push_back(
        fmt::format("{}: {:.1f}% {}", describe_layer(comparison, found[i]),
                    100 * share(comparison.layers[found[i]]), text));
  if (found.size() > kMostRemarks)
    remarks.push_back(
        fmt::format("the same, from {:.0f}% on, of {} more layers", 100 * least,
                    found.size() - kMostRemarks));
}

}  // namespace

Comparison judge_layers(const std::vector<LayerPair>& layers,
                        const std::vector<LayerStats>& stats) {
  Comparison comparison;
  const Sources sources = compared_sources(layers, stats);
  std::unordered_map<size_t, size_t> place;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (!stats[i].comparable()) {
      comparison.unmatched += layers[i].typed;
      continue;
    }
    LayerError error = figures(layers[i], stats[i]);
    for (size_t source : sources[i]) error.inputs.push_back(place.at(source));
    error.drop_db =
        capped(worst_input_db(comparison, error)) - capped(error.sqnr_db);
    if ((error.operator_type == "Relu" || error.operator_type == "Clip") &&
        error.inputs.size() == 1) {
      const LayerError& before = comparison.layers[error.inputs[0]];
      error.after = before.operator_type + " '" + before.name + "'";
    }
    place[i] = comparison.layers.size();
    comparison.layers.push_back(std::move(error));
  }
  find_jump(comparison);
  find_cause(comparison);
  return comparison;
}

std::string describe_layer(const Comparison& comparison, size_t layer) {
  const LayerError& error = comparison.layers[layer];
  return error.operator_type + " '" + error.name + "'" +
         (error.after.empty() ? "" : " after " + error.after);
}

std::string describe_jump(const Comparison& comparison) {
  if (comparison.layers.empty()) return "No layer could be compared.";
  if (!comparison.first_jump)
    return fmt::format("No layer falls below {:.0f} dB.", kGoodSqnrDb);
  const LayerError& jump = comparison.layers[*comparison.first_jump];
  const std::string where = describe_layer(comparison, *comparison.first_jump);
  if (!comparison.jumps)
    return fmt::format(
        "The error jumps nowhere; the largest drop is {:.1f} "
        "dB, to {:.1f} dB, at {}.",
        jump.drop_db, jump.sqnr_db, where);
  const bool from_good = worst_input_db(comparison, jump) >= kGoodSqnrDb;
  std::string text = fmt::format(
      "The error jumps at {}: its SQNR is {:.1f} dB, {:.1f} dB below {}.",
      where, jump.sqnr_db, jump.drop_db,
      from_good
          ? fmt::format("the {:.0f} dB that count as no loss", kGoodSqnrDb)
          : "the worst of what it reads");
  if (!comparison.cause) return text;
  const LayerError& cause = comparison.layers[*comparison.cause];
  text += fmt::format(
      " It comes from {}: half of its channels have {:.1f} dB or less, which "
      "larger channels hide ({:.1f} dB in all)",
      describe_layer(comparison, *comparison.cause), *cause.channel_sqnr_db,
      cause.sqnr_db);
  if (cause.channel_spread.value_or(0) >= kLargeSpread)
    text += fmt::format(
        "; the largest channel's values are {:.0f} times the "
        "median channel's, too many for one scale",
        *cause.channel_spread);
  return text + ".";
}

std::vector<std::string> comparison_remarks(const Comparison& comparison) {
  std::vector<std::string> remarks;
  add_worst(comparison, &clipped_share, kManyClipped,
            "of its values lie beyond the quantizer's range; calibrate on more "
            "samples or with a wider range",
            remarks);
  add_worst(comparison, &unused_share, kManyUnused,
            "of its codes are never used; its range is wider than the values, "
            "or a few of them are far from the rest",
            remarks);
  if (comparison.unmatched > 0)
    remarks.push_back(fmt::format(
        "{} of {} layers have no counterpart in the second model: folded into "
        "others, or not found",
        comparison.unmatched,
        comparison.unmatched + static_cast<int64_t>(comparison.layers.size())));
  return remarks;
}

}  // namespace lathe::accuracy
