// Processes that do the same work, each on samples of its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lathe {

// Every rank makes the same calls in the same order. Errors: kIo where a rank
// is gone.
class Ranks {
 public:
  virtual ~Ranks() = default;
  virtual int64_t rank() const = 0;  // in [0, ranks())
  virtual int64_t ranks() const = 0;
  // What each rank gave, in their order, the same on every rank.
  virtual std::vector<std::string> gather(const std::string& bytes) = 0;
};

// How many of `samples` samples are the rank's: numbers rank, rank + ranks, ….
constexpr int64_t shard_size(int64_t samples, int64_t rank, int64_t ranks) {
  return samples > rank ? (samples - rank - 1) / ranks + 1 : 0;
}

}  // namespace lathe
