#include "passes/exec/train_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::exec {
namespace {

struct OptimizerRow {
  const char* name;
  OptimizerKind kind;
};
constexpr OptimizerRow kOptimizers[] = {{"sgd", OptimizerKind::kSgd},
                                        {"adamw", OptimizerKind::kAdamW}};

double half_cosine(double from, double to, double at) {
  return to + (from - to) * 0.5 * (1 + std::cos(std::numbers::pi * at));
}

// After the warm-up: `at` in [0, 1) of the steps that are left; `share` of all.
double cosine(const Schedule&, double at, double) {
  return half_cosine(1, 0, at);
}

double steps_down(const Schedule& schedule, double, double share) {
  double factor = 1;
  for (const double milestone : schedule.milestones)
    if (share >= milestone) factor *= schedule.gamma;
  return factor;
}

double one_cycle(const Schedule&, double, double share) {
  constexpr double kRise = 0.3, kFirst = 1.0 / 25, kLast = kFirst * 1e-4;
  return share < kRise ? half_cosine(kFirst, 1, share / kRise)
                       : half_cosine(1, kLast, (share - kRise) / (1 - kRise));
}

double constant(const Schedule&, double, double) { return 1; }

struct ScheduleRow {
  const char* name;
  double (*factor)(const Schedule&, double at, double share);
  bool warms_up = true;
};
constexpr ScheduleRow kSchedules[] = {{"cosine", cosine},
                                      {"step", steps_down},
                                      {"one-cycle", one_cycle, false},
                                      {"constant", constant}};

template <class Row, size_t n>
std::vector<std::string> names_of(const Row (&rows)[n]) {
  std::vector<std::string> names;
  for (const Row& row : rows) names.emplace_back(row.name);
  return names;
}

template <class Row, size_t n>
const Row& find_row(const Row (&rows)[n], const char* what,
                    std::string_view name) {
  for (const Row& row : rows)
    if (row.name == name) return row;
  const std::vector<std::string> names = names_of(rows);
  throw Error(ErrorKind::kUsage, what,
              fmt::format("found '{}'{}", name, did_you_mean(name, names)),
              "known are " + join(names, ", "));
}

}  // namespace

std::vector<std::string> optimizer_names() { return names_of(kOptimizers); }

OptimizerKind find_optimizer(const std::string& name) {
  return find_row(kOptimizers, "optimizer", name).kind;
}

std::vector<std::string> schedule_names() { return names_of(kSchedules); }

double learning_rate_factor(const Schedule& schedule, int64_t step,
                            int64_t steps) {
  const ScheduleRow& row = find_row(kSchedules, "schedule", schedule.name);
  const auto at = static_cast<double>(step);
  const auto all = static_cast<double>(std::max<int64_t>(steps, 1));
  const double warm_up =
      row.warms_up ? std::floor(schedule.warm_up * all) : 0.0;
  if (at < warm_up) return (at + 1) / warm_up;
  return row.factor(schedule, (at - warm_up) / std::max(1.0, all - warm_up),
                    at / all);
}

}  // namespace lathe::exec
