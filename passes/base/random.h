// Seeded randomness with the same numbers on every machine (the standard
// library's distributions differ between implementations).
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace lathe {

// An independent seed for a named use of a run's seed.
uint64_t derive_seed(uint64_t seed, std::string_view use);

// xoshiro256** by Blackman and Vigna (2018), seeded through splitmix64.
class Random {
 public:
  explicit Random(uint64_t seed);
  uint64_t next();
  // Uniform in [0, bound), without bias; bound > 0.
  uint64_t below(uint64_t bound);
  // Uniform in [0, 1).
  double uniform();
  double uniform(double low, double high);
  // Standard normal (Box-Muller).
  double normal();
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i)
      std::swap(items[i - 1], items[below(i)]);
  }

 private:
  uint64_t state_[4];
};

}  // namespace lathe
