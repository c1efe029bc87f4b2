// Observers: how a tensor's range follows from its elements.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/ranges/finite_range.h"
#include "calibration/ranges/histogram.h"
#include "passes/activation_ranges.h"
#include "passes/base/byte_stream.h"

namespace lathe::ranges {

// Observes one tensor.
class Observer {
 public:
  virtual ~Observer() = default;
  // The elements of one batch, from any thread and in any order; thread-safe.
  // Returns their extremes.
  virtual FiniteRange see(std::span<const float> elements) {
    return finite_range(elements);
  }
  // What see() returned, one call at a time, in the data's order.
  virtual void follow(const FiniteRange& /*batch*/) {}
  // In the place of follow(), for as many batches of other ranks in a row.
  virtual void pass_over(int64_t /*batches*/) {}
  // What it has seen, and seeing what another of its kind has.
  virtual void save(ByteWriter&) const {}
  virtual void merge(ByteReader&) {}
  // `all`: the extremes of all elements, at least one of them finite. The
  // result lies inside, save that it may be widened to hold 0.
  virtual Range range(const FiniteRange& all,
                      const ObserverOptions& options) const = 0;
};

struct ObserverRow {
  const char* name;     // as in recipes
  const char* summary;  // one line
  const char* options;  // the fields of ObserverOptions that it reads
  std::unique_ptr<Observer> (*make)();
};

std::span<const ObserverRow> observers();
std::vector<std::string> observer_names();
// The row that an empty ObserverOptions::name stands for.
const ObserverRow& default_observer();
// Error kUsage, with the nearest name, for an unknown one.
const ObserverRow& find_observer(std::string_view name);

// One file each.
std::unique_ptr<Observer> make_min_max();
std::unique_ptr<Observer> make_moving_average();
std::unique_ptr<Observer> make_percentile();
std::unique_ptr<Observer> make_entropy();
std::unique_ptr<Observer> make_mse();

// Collects a histogram and asks `choose` for the range.
using ChooseRange = Range (*)(const Histogram&, const ObserverOptions&);
std::unique_ptr<Observer> make_histogram_observer(ChooseRange choose);

}  // namespace lathe::ranges
