// Time that a benchmark takes, on the wall and of the processor.
#pragma once

#include <algorithm>
#include <ctime>
#include <functional>
#include <utility>
#include <vector>

namespace lathe::bench {

struct Time {
  double wall_ms = 0, cpu_ms = 0;  // cpu: of all threads of the process
};

inline Time now() {
  const auto of = [](clockid_t clock) {
    timespec time;
    clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) * 1e3 +
           static_cast<double>(time.tv_nsec) / 1e6;
  };
  return {of(CLOCK_MONOTONIC), of(CLOCK_PROCESS_CPUTIME_ID)};
}

inline Time measure(const std::function<void()>& run) {
  const Time start = now();
  run();
  const Time end = now();
  return {end.wall_ms - start.wall_ms, end.cpu_ms - start.cpu_ms};
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 ? values[half]
                           : (values[half - 1] + values[half]) / 2;
}

// Medians of rounds.
inline Time median(const std::vector<Time>& times) {
  std::vector<double> wall, cpu;
  for (const Time& time : times) {
    wall.push_back(time.wall_ms);
    cpu.push_back(time.cpu_ms);
  }
  return {median(wall), median(cpu)};
}

// Medians of both, run in turns; which of them begins changes as well. The
// first `warm_up` rounds do not count.
inline std::pair<Time, Time> in_turns(int rounds, int warm_up,
                                      const std::function<void()>& first,
                                      const std::function<void()>& second) {
  std::vector<Time> a, b;
  for (int round = -warm_up; round < rounds; ++round) {
    if (round == 0) {
      a.clear();
      b.clear();
    }
    if (round % 2) b.push_back(measure(second));
    a.push_back(measure(first));
    if (round % 2 == 0) b.push_back(measure(second));
  }
  return {median(a), median(b)};
}

}  // namespace lathe::bench
