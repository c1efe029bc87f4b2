#include "passes/quantize/precision_frontier.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace lathe::quantize {
namespace {

constexpr size_t kMostCorners = 64;
// Steps of a walk whose whole graph is estimated.
constexpr size_t kMostSteps = 48;

}  // namespace

bool is_float(const Labels& labels) {
  return std::ranges::count(labels, 1) == 0;
}

PrecisionPoint PrecisionFrontier::point(Labels labels) {
  PrecisionPoint made;
  for (size_t i = 0; i < labels.size(); ++i)
    if (labels[i]) made.noise += noise_[i];
  made.modelled_us = placement_.modelled_us(labels);
  made.latency_us = placement_.latency_us(labels);
  made.labels = std::move(labels);
  return made;
}

PrecisionFrontier::PrecisionFrontier(Placement& placement,
                                     const std::vector<double>& noise,
                                     const std::vector<size_t>& layers,
                                     const PassContext& context)
    : placement_(placement), noise_(noise), layers_(layers), context_(context) {
  const PrecisionPoint fast = point(placement_.cheapest({}));
  const PrecisionPoint clean = point(placement_.none());
  hull_.push_back(fast);
  between(fast, clean);
  hull_.push_back(clean);
  fill();
}

std::vector<Labels> PrecisionFrontier::greedy_walk() const {
  std::vector<Labels> walk;
  Labels labels = placement_.fastest();
  for (;;) {
    const double now = placement_.modelled_us(labels);
    std::optional<Labels> next;
    double best = -1;
    for (size_t i : layers_) {
      if (!labels[i]) continue;
      Labels trial = placement_.changed(labels, {i});
      const double added = std::max(placement_.modelled_us(trial) - now, 1e-3);
      if (const double worth = noise_[i] / added; worth > best) {
        best = worth;
        next = std::move(trial);
      }
    }
    if (!next) return walk;
    labels = std::move(*next);
    walk.push_back(labels);
  }
}

std::vector<Labels> PrecisionFrontier::walk_from_end(bool last) const {
  std::vector<Labels> walk;
  Labels labels = placement_.fastest();
  for (size_t k = 0; k < layers_.size(); ++k) {
    const size_t i = layers_[last ? layers_.size() - 1 - k : k];
    if (!labels[i]) continue;
    labels = placement_.changed(std::move(labels), {i});
    walk.push_back(labels);
  }
  return walk;
}

void PrecisionFrontier::fill() {
  std::vector<PrecisionPoint> found = hull_;
  found.push_back(point(placement_.fastest()));
  for (const std::vector<Labels>& walk :
       {greedy_walk(), walk_from_end(false), walk_from_end(true)}) {
    const size_t stride = walk.size() / kMostSteps + 1;
    for (size_t i = 0; i < walk.size(); i += stride) {
      context_.check_cancelled();
      found.push_back(point(walk[i]));
    }
  }
  std::ranges::stable_sort(found, [](const PrecisionPoint& a,
                                     const PrecisionPoint& b) {
    return std::pair(a.latency_us, a.noise) < std::pair(b.latency_us, b.noise);
  });
  for (PrecisionPoint& point : found)
    if (points_.empty() || point.noise < points_.back().noise)
      points_.push_back(std::move(point));
  // Where float adds nothing to the noise, some layer costs nothing either.
  if (!is_float(points_.back().labels)) points_.push_back(hull_.back());
}

void PrecisionFrontier::between(const PrecisionPoint& fast,
                                const PrecisionPoint& clean) {
  if (hull_.size() >= kMostCorners || fast.noise <= clean.noise ||
      fast.modelled_us >= clean.modelled_us)
    return;
  const double multiplier =
      (clean.modelled_us - fast.modelled_us) / (fast.noise - clean.noise);
  std::vector<double> penalties(noise_);
  for (double& penalty : penalties) penalty *= multiplier;
  const PrecisionPoint found = point(placement_.cheapest(penalties));
  const auto value = [&](const PrecisionPoint& point) {
    return point.modelled_us + multiplier * point.noise;
  };
  // Nothing below the line between the two.
  if (value(found) >= value(fast) * (1 - 1e-9) - 1e-6) return;
  between(fast, found);
  hull_.push_back(found);
  between(found, clean);
}

double PrecisionFrontier::bound_us(double noise) const {
  double bound = hull_.front().modelled_us;
  for (size_t i = 1; i < hull_.size(); ++i) {
    const PrecisionPoint &fast = hull_[i - 1], &clean = hull_[i];
    if (noise >= fast.noise || fast.noise <= clean.noise) continue;
    const double share =
        std::clamp((fast.noise - noise) / (fast.noise - clean.noise), 0.0, 1.0);
    bound =
        std::max(bound, std::lerp(fast.modelled_us, clean.modelled_us, share));
  }
  return bound;
}

double PrecisionFrontier::bound_noise(double us) const {
  double bound = hull_.front().noise;
  for (size_t i = 1; i < hull_.size(); ++i) {
    const PrecisionPoint &fast = hull_[i - 1], &clean = hull_[i];
    if (us <= fast.modelled_us || clean.modelled_us <= fast.modelled_us)
      continue;
    const double share = std::clamp(
        (us - fast.modelled_us) / (clean.modelled_us - fast.modelled_us), 0.0,
        1.0);
    bound = std::min(bound, std::lerp(fast.noise, clean.noise, share));
  }
  return bound;
}

}  // namespace lathe::quantize
