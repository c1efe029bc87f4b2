#include <atomic>
#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "calibration/data/sample_set.h"
#include "tests/calibration/data/fixtures.h"

namespace lathe::test {
namespace {

// Sample i is {i, 10 i}, label i; some may be broken.
class Counting : public data::SampleSet {
 public:
  explicit Counting(int64_t count, std::set<int64_t> broken = {})
      : count_(count), broken_(std::move(broken)) {}
  int64_t size() const override { return count_; }
  bool has_labels() const override { return true; }
  std::string description() const override { return "counting"; }
  std::string name(int64_t i) const override {
    return "sample " + std::to_string(i);
  }
  data::Sample load(int64_t i, const std::optional<data::Variation>& variation)
      const override {
    ++loads;
    // The later ones are ready first.
    std::this_thread::sleep_for(std::chrono::microseconds(50 * (7 - i % 8)));
    if (broken_.contains(i)) throw_input(name(i), "is broken");
    data::Sample sample;
    sample.inputs.emplace_back(
        "x", ir::Tensor::from<float>(
                 {2}, std::vector<float>{static_cast<float>(i),
                                         static_cast<float>(10 * i)}));
    sample.inputs.emplace_back(
        "seed", ir::Tensor::scalar<int64_t>(static_cast<int64_t>(
                    variation.value_or(data::Variation{}).seed >> 1)));
    sample.label = i;
    return sample;
  }
  mutable std::atomic<int64_t> loads{0};

 private:
  int64_t count_;
  std::set<int64_t> broken_;
};

std::vector<int64_t> order(int64_t count, const ReadOptions& options,
                           int jobs = 2) {
  const auto source =
      data::make_source(std::make_shared<Counting>(count), jobs);
  return labels_of(read_all(*source, options));
}

TEST_CASE("source: batches are stacked in the set's order") {
  const auto source = data::make_source(std::make_shared<Counting>(5), 2);
  ReadOptions options;
  options.batch_size = 2;
  const auto batches = read_all(*source, options);
  REQUIRE(batches.size() == 3);
  CHECK(batches[0].samples == 2);
  CHECK(batches[2].samples == 1);
  CHECK(batches[1].labels == std::vector<int64_t>{2, 3});
  const ir::Tensor& x = *batches[1].find("x");
  CHECK(x.dims() == std::vector<int64_t>{2, 2});
  CHECK(values<float>(x) == std::vector<float>{2, 20, 3, 30});
  CHECK(batches[1].find("seed")->dims() == std::vector<int64_t>{2});
  CHECK(batches[2].find("x")->dims() == std::vector<int64_t>{1, 2});
}

TEST_CASE("source: the number of jobs changes nothing") {
  for (const int64_t batch_size : {1, 3, 16}) {
    ReadOptions options;
    options.batch_size = batch_size;
    options.shuffle_seed = 7;
    options.augment = true;
    const auto read = [&](int jobs) {
      const auto source =
          data::make_source(std::make_shared<Counting>(41), jobs);
      return read_all(*source, options);
    };
    const auto one = read(1), many = read(8);
    REQUIRE(one.size() == many.size());
    for (size_t i = 0; i < one.size(); ++i) {
      CHECK(one[i].labels == many[i].labels);
      for (size_t k = 0; k < one[i].inputs.size(); ++k)
        CHECK(one[i].inputs[k].second.identical(many[i].inputs[k].second));
    }
  }
}

TEST_CASE("source: an epoch is a permutation, and its own one") {
  ReadOptions options;
  options.batch_size = 4;
  options.shuffle_seed = 3;
  const auto first = order(20, options);
  CHECK(first == order(20, options));
  options.epoch = 1;
  const auto second = order(20, options);
  CHECK(first != second);
  CHECK(std::set<int64_t>(first.begin(), first.end()).size() == 20);
  CHECK(std::set<int64_t>(second.begin(), second.end()).size() == 20);
}

TEST_CASE("source: ranks share an epoch, and a position resumes it") {
  ReadOptions options;
  options.batch_size = 2;
  options.shuffle_seed = 3;
  const auto all = order(11, options);
  options.ranks = 3;
  for (int64_t rank = 0; rank < 3; ++rank) {
    options.rank = rank;
    std::vector<int64_t> expected;
    for (size_t i = static_cast<size_t>(rank); i < all.size(); i += 3)
      expected.push_back(all[i]);
    CHECK(order(11, options) == expected);
    options.first_sample = 2;
    expected.erase(expected.begin(), expected.begin() + 2);
    CHECK(order(11, options) == expected);
    options.first_sample = 0;
  }
  options.first_sample = 100;
  CHECK(order(11, options).empty());
}

TEST_CASE("source: batches say which samples they hold") {
  const auto source = data::make_source(std::make_shared<Counting>(11), 2);
  ReadOptions options;
  options.batch_size = 4;
  options.shuffle_seed = 3;
  for (options.epoch = 0; options.epoch < 2; ++options.epoch)
    for (const Batch& batch : read_all(*source, options)) {
      CHECK(batch.indices == batch.labels);
      CHECK(values<float>(*batch.find("x"))[0] ==
            static_cast<float>(batch.indices[0]));
    }
}

TEST_CASE("source: a part held out and the rest are the whole set") {
  using Part = ReadOptions::Part;
  ReadOptions options;
  options.batch_size = 4;
  options.held_out = 7;
  options.held_out_seed = 5;
  const auto read = [&](Part part) {
    options.part = part;
    return order(30, options);
  };
  const auto held = read(Part::kHeldOut), rest = read(Part::kRest);
  CHECK(held.size() == 7);
  CHECK(rest.size() == 23);
  CHECK(std::is_sorted(held.begin(), held.end()));
  CHECK(std::is_sorted(rest.begin(), rest.end()));
  std::set<int64_t> all(held.begin(), held.end());
  all.insert(rest.begin(), rest.end());
  CHECK(all.size() == 30);
  CHECK(read(Part::kHeldOut) == held);
  CHECK(read(Part::kAll).size() == 30);

  // The order of an epoch, its number and its seed move nothing between them.
  options.shuffle_seed = 11;
  for (options.epoch = 0; options.epoch < 3; ++options.epoch) {
    auto shuffled = read(Part::kHeldOut);
    CHECK(shuffled != held);
    std::sort(shuffled.begin(), shuffled.end());
    CHECK(shuffled == held);
  }
  options.shuffle_seed.reset();
  options.held_out_seed = 6;
  CHECK(read(Part::kHeldOut) != held);

  options.held_out = 0;
  CHECK(read(Part::kHeldOut).empty());
  CHECK(read(Part::kRest).size() == 30);
  options.held_out = 100;
  CHECK(read(Part::kHeldOut).size() == 30);
  CHECK(read(Part::kRest).empty());
}

TEST_CASE("source: ranks share a part, and a position resumes it") {
  ReadOptions options;
  options.batch_size = 2;
  options.shuffle_seed = 3;
  options.part = ReadOptions::Part::kRest;
  options.held_out = 5;
  const auto all = order(20, options);
  options.ranks = 2;
  std::vector<int64_t> together;
  for (options.rank = 0; options.rank < 2; ++options.rank) {
    options.first_sample = 0;
    const auto mine = order(20, options);
    together.insert(together.end(), mine.begin(), mine.end());
    options.first_sample = 3;
    CHECK(order(20, options) ==
          std::vector<int64_t>(mine.begin() + 3, mine.end()));
  }
  CHECK(together.size() == all.size());
  CHECK(std::set<int64_t>(together.begin(), together.end()) ==
        std::set<int64_t>(all.begin(), all.end()));
}

TEST_CASE("source: samples are varied anew in each epoch, alike in each run") {
  const auto seeds = [](const ReadOptions& options) {
    const auto source = data::make_source(std::make_shared<Counting>(8), 2);
    std::map<int64_t, int64_t> seeds;  // by sample
    for (const Batch& batch : read_all(*source, options))
      seeds[batch.indices[0]] = values<int64_t>(*batch.find("seed"))[0];
    return seeds;
  };
  ReadOptions options;
  options.shuffle_seed = 1;
  for (const auto& [sample, seed] : seeds(options)) CHECK(seed == 0);
  options.augment = true;
  const auto first = seeds(options);
  std::set<int64_t> different;
  for (const auto& [sample, seed] : first) different.insert(seed);
  CHECK(different.size() == 8);
  CHECK(seeds(options) == first);
  options.augmentation.flip = true;
  CHECK(seeds(options) == first);
  options.epoch = 1;
  for (const auto& [sample, seed] : seeds(options))
    CHECK(seed != first.at(sample));
  options.ranks = 2;
  const auto share = seeds(options);
  options.ranks = 1;
  for (const auto& [sample, seed] : share)
    CHECK(seeds(options).at(sample) == seed);
}

TEST_CASE("source: an incomplete last batch may be left out") {
  ReadOptions options;
  options.batch_size = 4;
  options.drop_last = true;
  CHECK(order(11, options) == std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(order(3, options).empty());
}

TEST_CASE("source: decoding runs ahead by a bounded number of samples") {
  const auto set = std::make_shared<Counting>(1000);
  const auto source = data::make_source(set, 2);
  ReadOptions options;
  options.batch_size = 4;
  const auto reader = source->read(options);
  for (int batch = 1; batch <= 20; ++batch) {
    REQUIRE(reader->next());
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    // The window: max(2 batches, 4 samples a thread) beyond the current one.
    CHECK(set->loads <= 4 * batch + 8);
  }
}

TEST_CASE("source: the first broken sample in order is the one reported") {
  for (const int jobs : {1, 8}) {
    const auto source = data::make_source(
        std::make_shared<Counting>(40, std::set<int64_t>{13, 14, 9}), jobs);
    ReadOptions options;
    options.batch_size = 8;
    const auto reader = source->read(options);
    CHECK(reader->next());
    CHECK(error_of([&] { reader->next(); }) == "input|sample 9: is broken");
  }
}

TEST_CASE("source: a reader may be left in the middle") {
  const auto set = std::make_shared<Counting>(1000);
  const auto source = data::make_source(set, 4);
  ReadOptions options;
  options.batch_size = 8;
  { CHECK(source->read(options)->next()); }
  CHECK(set->loads <= 8 + 32);
}

TEST_CASE("source: a split is two disjoint parts by seed") {
  const std::shared_ptr<BatchSource> source =
      data::make_source(std::make_shared<Counting>(100), 2);
  const auto [first, rest] = data::split(source, 0.8, 5);
  CHECK(first->size() == 80);
  CHECK(rest->size() == 20);
  CHECK(first->has_labels());
  auto a = labels_of(read_all(*first)), b = labels_of(read_all(*rest));
  CHECK(std::is_sorted(a.begin(), a.end()));
  std::set<int64_t> both(a.begin(), a.end());
  both.insert(b.begin(), b.end());
  CHECK(both.size() == 100);
  const auto again = data::split(source, 0.8, 5);
  CHECK(labels_of(read_all(*again.second)) == b);
  const auto other = data::split(source, 0.8, 6);
  CHECK(labels_of(read_all(*other.second)) != b);
}

TEST_CASE("source: neither part of a split is empty") {
  const std::shared_ptr<BatchSource> source =
      data::make_source(std::make_shared<Counting>(2), 1);
  const auto parts = data::split(source, 0.99, 0);
  CHECK(parts.first->size() == 1);
  CHECK(parts.second->size() == 1);
}

// A source of someone else's making.
class Foreign : public BatchSource {
 public:
  int64_t size() const override { return 6; }
  bool has_labels() const override { return true; }
  bool is_synthetic() const override { return true; }
  std::string description() const override { return "foreign"; }
  std::unique_ptr<BatchReader> read(const ReadOptions& options) override {
    return data::make_source(std::make_shared<Counting>(6), 1)->read(options);
  }
};

TEST_CASE("source: any source can be split") {
  const auto [first, rest] = data::split(std::make_shared<Foreign>(), 0.5, 1);
  CHECK(first->is_synthetic());
  ReadOptions options;
  options.batch_size = 3;
  const auto batches = read_all(*first, options);
  REQUIRE(batches.size() == 1);
  CHECK(batches[0].find("x")->dims() == std::vector<int64_t>{3, 2});
  const auto labels = batches[0].labels;
  CHECK(values<float>(*batches[0].find("x"))[3] ==
        static_cast<float>(10 * labels[1]));
  CHECK(rest->size() == 3);
}

}  // namespace
}  // namespace lathe::test
