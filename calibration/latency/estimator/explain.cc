#include "calibration/latency/estimator/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace lathe::latency {
namespace {

// Widths looked at on either side: two blocks of the widest vectors.
constexpr int64_t kReach = 32;
// A width "just above" a step: at most this share is cut off.
constexpr double kShave = 0.1;
// What counts as no more time, and as a step.
constexpr double kFree = 1.01, kStep = 1.03;
constexpr double kWorthUs = 1;

// One of a kernel's widths, and the kernel with another one.
struct Width {
  const char* name;
  int64_t now;
  KernelDescriptor (*with)(const KernelDescriptor&, int64_t);
};

bool is_convolution(const KernelDescriptor& k) { return k.group > 0; }
bool is_depthwise(const KernelDescriptor& k) {
  return k.group > 1 && k.group == k.in_channels;
}

std::vector<Width> widths_of(const KernelDescriptor& k) {
  if (is_convolution(k) && is_depthwise(k))
    return {{"channels", k.out_channels,
             [](const KernelDescriptor& kernel, int64_t n) {
               return with_widths(kernel, n, n);
             }}};
  if (is_convolution(k) && k.group == 1) {
    std::vector<Width> widths{{"out_channels", k.out_channels,
                               [](const KernelDescriptor& kernel, int64_t n) {
                                 return with_widths(kernel, kernel.in_channels,
                                                    n);
                               }}};
    // A picture's three channels are nobody's to choose.
    if (k.in_channels > 4)
      widths.push_back({"in_channels", k.in_channels,
                        [](const KernelDescriptor& kernel, int64_t n) {
                          return with_widths(kernel, n, kernel.out_channels);
                        }});
    return widths;
  }
  if (k.constant_b && k.depth > 0 && k.columns > 0)
    return {{"columns", k.columns,
             [](const KernelDescriptor& kernel, int64_t n) {
               return with_widths(kernel, kernel.depth, n);
             }},
            {"depth", k.depth, [](const KernelDescriptor& kernel, int64_t n) {
               return with_widths(kernel, n, kernel.columns);
             }}};
  return {};
}

std::string microseconds(double us) {
  return us < 100 ? fmt::format("{:.1f} us", us) : fmt::format("{:.0f} us", us);
}

class Explainer {
 public:
  Explainer(const LatencyModel& model, const KernelEstimate& kernel,
            std::vector<Hint>& hints)
      : model_(model), kernel_(kernel), hints_(hints) {}

  void run() {
    for (const Width& width : widths_of(kernel_.descriptor)) look_at(width);
    look_at_precision();
  }

 private:
  double price(const KernelDescriptor& kernel) const {
    return model_.kernel(kernel).p50_us;
  }

  void look_at(const Width& width) {
    const auto at = [&](int64_t n) {
      return price(width.with(kernel_.descriptor, n));
    };
    const double now = at(width.now);
    const auto shave = static_cast<int64_t>(
        std::ceil(kShave * static_cast<double>(width.now)));
    // The cut that gives most time back for each unit of width, if that is
    // more than its share.
    std::optional<std::pair<int64_t, double>> cut;
    double best = 0;
    for (int64_t n = std::max<int64_t>(1, width.now - shave); n < width.now;
         ++n) {
      const double time = at(n);
      const double share =
          static_cast<double>(width.now - n) / static_cast<double>(width.now);
      const double gain = (1 - time / now) / share;
      if (now > time * kStep && now - time > kWorthUs && gain > 2 &&
          gain > best) {
        best = gain;
        cut = {n, time};
      }
    }
    std::optional<std::pair<int64_t, double>> faster, free;
    for (int64_t n = width.now + 1; n <= width.now + kReach; ++n) {
      const double time = at(n);
      if (now > time * kStep && now - time > kWorthUs &&
          (!faster || time < faster->second))
        faster = {n, time};
      if (time <= now * kFree) free = {n, time};
    }
    if (faster) {
      add(HintKind::kFasterWider, width, *faster, now,
          "is faster with more {}: {} -> {} takes {} instead of {}");
    } else if (free) {
      add(HintKind::kFreeWidth, width, *free, now,
          "can grow for free: {} {} -> {} takes {}, as much as {} now");
    }
    if (cut)
      add(HintKind::kCliff, width, *cut, now,
          "stands just above a step: {} {} -> {} takes {} instead of {}");
  }

  void look_at_precision() {
    const KernelDescriptor& now = kernel_.descriptor;
    const bool convolution = is_convolution(now);
    const bool product = now.constant_b && now.depth > 0;
    if (!convolution && !product) return;
    if (now.precision != Precision::kFp32 && now.precision != Precision::kInt8)
      return;
    const bool integer = now.precision == Precision::kInt8;
    const KernelDescriptor other =
        with_precision(now, integer ? Precision::kFp32 : Precision::kInt8);
    const double here = price(now), there = price(other);
    const double slow = integer ? here : there, fast = integer ? there : here;
    if (slow < fast * kStep || slow - fast < kWorthUs) return;
    Hint hint;
    hint.kind = HintKind::kSlowInt8;
    hint.from_us = here;
    hint.to_us = there;
    hint.text = fmt::format(
        fmt::runtime(
            integer ? "is slower in int8 ({}) than it would be in fp32 ({})"
                    : "would be slower in int8 ({}) than it is in fp32 ({})"),
        microseconds(slow), microseconds(fast));
    finish(std::move(hint));
  }

  void add(HintKind kind, const Width& width, std::pair<int64_t, double> to,
           double now, fmt::string_view text) {
    Hint hint;
    hint.kind = kind;
    hint.width = width.name;
    hint.from = width.now;
    hint.to = to.first;
    hint.from_us = now;
    hint.to_us = to.second;
    hint.text = fmt::format(fmt::runtime(text), width.name, width.now, to.first,
                            microseconds(to.second), microseconds(now));
    finish(std::move(hint));
  }

  void finish(Hint hint) {
    hint.kernel = kernel_.name;
    hint.nodes = kernel_.nodes;
    const std::string& name =
        hint.nodes.empty() ? hint.kernel : hint.nodes.front();
    hint.text = fmt::format("{} '{}' {}", kernel_.kind, name, hint.text);
    hints_.push_back(std::move(hint));
  }

  const LatencyModel& model_;
  const KernelEstimate& kernel_;
  std::vector<Hint>& hints_;
};

}  // namespace

const char* to_string(HintKind kind) {
  switch (kind) {
    case HintKind::kFreeWidth:
      return "free_width";
    case HintKind::kCliff:
      return "cliff";
    case HintKind::kFasterWider:
      return "faster_wider";
    case HintKind::kSlowInt8:
      break;
  }
  return "slow_int8";
}

std::vector<Hint> explain(const LatencyModel& model,
                          const GraphEstimate& estimate) {
  std::vector<Hint> hints;
  for (const KernelEstimate& kernel : estimate.kernels)
    if (kernel.seen) Explainer(model, kernel, hints).run();
  const auto stake = [](const Hint& hint) {
    return std::abs(hint.from_us - hint.to_us);
  };
  std::stable_sort(
      hints.begin(), hints.end(),
      [&](const Hint& a, const Hint& b) { return stake(a) > stake(b); });
  return hints;
}

}  // namespace lathe::latency
