#include "calibration/ranges/collector.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "calibration/ranges/channel_extremes.h"
#include "calibration/ranges/observer.h"
#include "calibration/ranges/value_stream.h"
#include "passes/base/error.h"
#include "passes/base/jobs.h"

namespace lathe::ranges {
namespace {

const ObserverRow& checked_row(const ObserverOptions& options) {
  if (!(options.percentile > 50 && options.percentile <= 100))
    throw Error(
        ErrorKind::kUsage, "observer",
        fmt::format("percentile is {}, expected more than 50 and at most 100",
                    options.percentile));
  return find_observer(options.name);
}

std::vector<std::string> distinct(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

void require_finite(const std::string& name, const FiniteRange& range) {
  if (!range.any_finite())
    throw_input("value '" + name + "'",
                "it is never finite over the calibration data",
                "check the preprocessing of the data and the model's weights");
}

Range chosen(const Observer& observer, const FiniteRange& all,
             const ObserverOptions& options) {
  const Range range = observer.range(all, options);
  // Adding zero makes -0 to 0, which would depend on the order.
  return {range.min + 0.0f, range.max + 0.0f};
}

// Another source in a shuffled order: neighbours are often alike.
class ShuffledSource final : public BatchSource {
 public:
  explicit ShuffledSource(BatchSource& source) : source_(source) {}
  int64_t size() const override { return source_.size(); }
  bool has_labels() const override { return source_.has_labels(); }
  bool is_synthetic() const override { return source_.is_synthetic(); }
  std::string description() const override { return source_.description(); }
  std::unique_ptr<BatchReader> read(const ReadOptions& options) override {
    ReadOptions shuffled = options;
    shuffled.shuffle_seed = 0;
    return source_.read(shuffled);
  }

 private:
  BatchSource& source_;
};

using Observers = std::vector<std::unique_ptr<Observer>>;

// Ranks take turns: batch k of rank r is batch k * ranks + r of all. Each
// passes over those that come after its last one. `batches`: this rank's, of
// each value.
void pass_over_the_rest(Ranks& ranks, const std::vector<int64_t>& batches,
                        Observers& observers) {
  ByteWriter own;
  own.add(std::span(batches));
  std::vector<int64_t> total(batches.size());
  for (const std::string& bytes : ranks.gather(own.bytes())) {
    const auto theirs = ByteReader(bytes).next_list<int64_t>();
    for (size_t i = 0; i < total.size(); ++i) total[i] += theirs.at(i);
  }
  for (size_t i = 0; i < batches.size(); ++i) {
    if (batches[i] == 0) continue;
    const int64_t last = (batches[i] - 1) * ranks.ranks() + ranks.rank();
    observers[i]->pass_over(std::max(int64_t{0}, total[i] - 1 - last));
  }
}

// Observers and extremes become those of all ranks.
void gather(Ranks& ranks, const ObserverRow& row,
            const std::vector<int64_t>& batches, Observers& observers,
            std::vector<FiniteRange>& all) {
  pass_over_the_rest(ranks, batches, observers);
  // Bounds the memory: a histogram has up to 64 KiB a rank.
  constexpr size_t kTogether = 64;
  for (size_t begin = 0; begin < all.size(); begin += kTogether) {
    const size_t end = std::min(begin + kTogether, all.size());
    ByteWriter own;
    for (size_t i = begin; i < end; ++i) {
      std::exchange(all[i], {}).save(own);
      std::exchange(observers[i], row.make())->save(own);
    }
    for (const std::string& bytes : ranks.gather(own.bytes())) {
      ByteReader theirs(bytes);
      for (size_t i = begin; i < end; ++i) {
        all[i].widen(FiniteRange::load(theirs));
        observers[i]->merge(theirs);
      }
    }
  }
}

std::vector<FiniteRange> gather_channels(
    Ranks& ranks, const std::string& name,
    const std::vector<FiniteRange>& channels) {
  ByteWriter own;
  own.add(channels.size());
  for (const FiniteRange& channel : channels) channel.save(own);
  std::vector<FiniteRange> all;
  for (const std::string& bytes : ranks.gather(own.bytes())) {
    ByteReader from(bytes);
    std::vector<FiniteRange> theirs(from.next<size_t>());
    for (FiniteRange& channel : theirs) channel = FiniteRange::load(from);
    widen_channels(name, theirs, all);
  }
  return all;
}

class Collector final : public RangeCollector {
 public:
  Collector(const ObserverOptions& own, const StreamData& data)
      : own_(own), data_(data) {
    checked_row(own_);
  }

  ActivationRanges collect(const ir::Model& model,
                           const std::vector<std::string>& values,
                           ProgressSink& progress,
                           const CancelToken* cancel) override {
    return collect(model, values, own_, progress, cancel);
  }

  ActivationRanges collect(const ir::Model& model,
                           const std::vector<std::string>& values,
                           const ObserverOptions& options,
                           ProgressSink& progress,
                           const CancelToken* cancel) override {
    const ObserverRow& row = checked_row(options);
    const std::vector<std::string> names = distinct(values);
    Observers observers;
    for (size_t i = 0; i < names.size(); ++i) observers.push_back(row.make());
    std::vector<FiniteRange> all(names.size());
    // What a batch showed of each value.
    std::vector<std::vector<FiniteRange>> slots(
        ValueStream::slots(data_), std::vector<FiniteRange>(names.size()));
    std::vector<int64_t> batches(names.size());
    const int64_t others = data_.ranks ? data_.ranks->ranks() - 1 : 0;
    ValueStream(model, names)
        .run(
            data_, progress, cancel,
            [&](size_t slot, size_t i, const Elements& elements) {
              slots[slot][i] = observers[i]->see(elements.values);
            },
            [&](size_t slot) {
              for (size_t i = 0; i < names.size(); ++i) {
                const FiniteRange batch = std::exchange(slots[slot][i], {});
                all[i].widen(batch);
                if (batch.any_element && batches[i]++ > 0 && others > 0)
                  observers[i]->pass_over(others);
                observers[i]->follow(batch);
              }
            });
    if (data_.ranks) gather(*data_.ranks, row, batches, observers, all);

    not_finite_.clear();
    std::vector<Range> ranges(names.size());
    for (size_t i = 0; i < names.size(); ++i) {
      if (!all[i].any_element) continue;
      require_finite(names[i], all[i]);
      if (all[i].not_finite > 0) not_finite_[names[i]] = all[i].not_finite;
    }
    parallel_for(names.size(), data_.jobs, [&](size_t i) {
      if (cancel) cancel->check();
      if (all[i].any_finite())
        ranges[i] = chosen(*observers[i], all[i], options);
    });
    ActivationRanges result;
    for (size_t i = 0; i < names.size(); ++i)
      if (all[i].any_finite()) result[names[i]] = ranges[i];
    return result;
  }

  ChannelRanges collect_channels(const ir::Model& model,
                                 const std::vector<ChannelRequest>& requests,
                                 ProgressSink& progress,
                                 const CancelToken* cancel,
                                 int64_t samples) override {
    ShuffledSource shuffled(data_.source);
    const bool some = samples > 0 && samples < sample_count();
    const StreamData data =
        some ? StreamData{shuffled, samples, data_.jobs, data_.ranks} : data_;
    std::map<std::string, int64_t> axes;
    for (const ChannelRequest& request : requests)
      axes.emplace(request.value, request.axis);
    std::vector<std::string> names;
    for (const auto& [name, axis] : axes) names.push_back(name);
    using Channels = std::vector<FiniteRange>;
    std::vector<Channels> all(names.size());
    std::vector<std::vector<Channels>> slots(
        ValueStream::slots(data), std::vector<Channels>(names.size()));
    ValueStream(model, names)
        .run(
            data, progress, cancel,
            [&](size_t slot, size_t i, const Elements& elements) {
              slots[slot][i] = channel_extremes(
                  names[i], elements.values, elements.dims, axes.at(names[i]));
            },
            [&](size_t slot) {
              for (size_t i = 0; i < names.size(); ++i)
                widen_channels(names[i], std::exchange(slots[slot][i], {}),
                               all[i]);
            });
    if (data.ranks)
      for (size_t i = 0; i < names.size(); ++i)
        all[i] = gather_channels(*data.ranks, names[i], all[i]);
    ChannelRanges result;
    for (size_t i = 0; i < names.size(); ++i) {
      if (all[i].empty()) continue;
      FiniteRange together;
      std::vector<Range>& ranges = result[names[i]];
      for (const FiniteRange& channel : all[i]) {
        together.widen(channel);
        ranges.push_back(channel.any_finite()
                             ? Range{channel.min + 0.0f, channel.max + 0.0f}
                             : Range{0, 0});
      }
      if (!together.any_element)
        result.erase(names[i]);
      else
        require_finite(names[i], together);
    }
    return result;
  }

  std::unordered_map<std::string, uint64_t> not_finite() const override {
    return not_finite_;
  }

 private:
  int64_t sample_count() const {
    const int64_t size = data_.source.size();
    return data_.samples > 0 ? std::min(size, data_.samples) : size;
  }

  ObserverOptions own_;
  StreamData data_;
  std::unordered_map<std::string, uint64_t> not_finite_;
};

}  // namespace

std::unique_ptr<RangeCollector> make_range_collector(
    const ObserverOptions& observer, BatchSource& data, int64_t samples,
    int jobs, Ranks* ranks) {
  return std::make_unique<Collector>(observer,
                                     StreamData{data, samples, jobs, ranks});
}

}  // namespace lathe::ranges
