#include "calibration/ranges/observer.h"

#include <mutex>

#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::ranges {
namespace {

constexpr ObserverRow kObservers[] = {
    {"min_max", "the least and the largest element", "", make_min_max},
    {"moving_average",
     "least and largest element of each sample, averaged over samples", "",
     make_moving_average},
    {"percentile", "cuts a share of the elements off at both ends",
     "percentile, symmetric", make_percentile},
    {"entropy",
     "least Kullback-Leibler divergence between elements and their codes",
     "activation_type, symmetric", make_entropy},
    {"mse", "least mean squared error between elements and their codes",
     "activation_type, symmetric", make_mse},
};
// The best or near it on every real model tried (docs/quantize.md).
constexpr char kDefault[] = "percentile";

class HistogramObserver final : public Observer {
 public:
  explicit HistogramObserver(ChooseRange choose) : choose_(choose) {}

  FiniteRange see(std::span<const float> elements) override {
    std::lock_guard lock(mutex_);
    return histogram_.add(elements);
  }

  void save(ByteWriter& to) const override { histogram_.save(to); }
  void merge(ByteReader& from) override { histogram_.merge(from); }

  Range range(const FiniteRange&,
              const ObserverOptions& options) const override {
    return choose_(histogram_, options);
  }

 private:
  ChooseRange choose_;
  std::mutex mutex_;
  Histogram histogram_;
};

}  // namespace

std::span<const ObserverRow> observers() { return kObservers; }

std::vector<std::string> observer_names() {
  std::vector<std::string> names;
  for (const ObserverRow& row : kObservers) names.emplace_back(row.name);
  return names;
}

const ObserverRow& default_observer() { return find_observer(kDefault); }

const ObserverRow& find_observer(std::string_view name) {
  if (name.empty()) return default_observer();
  for (const ObserverRow& row : kObservers)
    if (row.name == name) return row;
  const std::vector<std::string> names = observer_names();
  throw Error(ErrorKind::kUsage, "observer '" + std::string(name) + "'",
              "there is none of this name" + did_you_mean(name, names),
              "the observers are " + join(names, ", "));
}

std::unique_ptr<Observer> make_histogram_observer(ChooseRange choose) {
  return std::make_unique<HistogramObserver>(choose);
}

}  // namespace lathe::ranges
