#include "passes/prune/limit_search.h"

#include <algorithm>
#include <cmath>

namespace lathe::prune {
namespace {

constexpr int kMostRounds = 8;
// Limits closer than this give the same widths.
constexpr double kApart = 1.01;
constexpr double kLeastSteepness = 0.25;
constexpr double kLongestStep = 0.5;
// A little more than the slope asks for.
constexpr double kBelow = 0.995;

}  // namespace

LimitSearch::LimitSearch(double limit, double us, double bound_us, double close)
    : bound_us_(bound_us), close_(close), above_{limit, us} {
  choose_next();
}

bool LimitSearch::done() const {
  if (rounds_ >= kMostRounds) return true;
  if (!below_) return false;
  return (below_->us > 0 && below_->us >= close_ * bound_us_) ||
         above_.limit < kApart * below_->limit;
}

void LimitSearch::found(double us) {
  ++rounds_;
  if (us <= bound_us_) {
    below_ = {next_, us};
  } else {
    steepness_ = std::log(above_.us / us) / std::log(above_.limit / next_);
    above_ = {next_, us};
  }
  choose_next();
}

void LimitSearch::unreachable() {
  ++rounds_;
  below_ = {next_, 0};
  choose_next();
}

void LimitSearch::choose_next() {
  if (below_ && below_->us <= 0) {
    next_ = std::sqrt(below_->limit * above_.limit);
  } else if (below_) {
    const double aim = bound_us_ * (1 + close_) / 2;
    const double share =
        std::log(aim / below_->us) / std::log(above_.us / below_->us);
    next_ = below_->limit *
            std::pow(above_.limit / below_->limit, std::clamp(share, 0.1, 0.9));
  } else {
    const double steepness = std::clamp(steepness_, kLeastSteepness, 1.0);
    double step = std::pow(bound_us_ / above_.us, 1 / steepness);
    if (rounds_ > 0) step = std::max(kBelow * step, kLongestStep);
    next_ = above_.limit * step;
  }
}

}  // namespace lathe::prune
