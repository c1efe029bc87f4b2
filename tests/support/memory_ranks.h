// Ranks in one process, a thread each.
#pragma once

#include <barrier>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "passes/ranks.h"
#include "tests/support/on_threads.h"

namespace lathe::test {

class MemoryRanks final : public Ranks {
 public:
  struct Meeting {
    explicit Meeting(int64_t ranks) : bytes(ranks), together(ranks) {}
    std::vector<std::string> bytes;
    std::barrier<> together;
  };

  MemoryRanks(int64_t rank, Meeting& meeting)
      : rank_(rank), meeting_(meeting) {}
  int64_t rank() const override { return rank_; }
  int64_t ranks() const override {
    return static_cast<int64_t>(meeting_.bytes.size());
  }
  std::vector<std::string> gather(const std::string& bytes) override {
    meeting_.bytes[static_cast<size_t>(rank_)] = bytes;
    meeting_.together.arrive_and_wait();
    const std::vector<std::string> all = meeting_.bytes;
    meeting_.together.arrive_and_wait();
    return all;
  }

 private:
  const int64_t rank_;
  Meeting& meeting_;
};

// Calls `work` for each rank. What it throws has to be thrown by every rank.
inline void with_memory_ranks(int64_t ranks,
                              const std::function<void(Ranks&)>& work) {
  MemoryRanks::Meeting meeting(ranks);
  on_threads(ranks, [&](int64_t rank) {
    MemoryRanks mine(rank, meeting);
    work(mine);
  });
}

}  // namespace lathe::test
