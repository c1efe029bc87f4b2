#include "passes/base/in_order.h"

#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>

#include <algorithm>

#include "passes/base/jobs.h"

namespace lathe {

void for_each_in_order(size_t window, int jobs,
                       const std::function<bool(size_t)>& next,
                       const std::function<void(size_t)>& work,
                       const std::function<void(size_t)>& done) {
  const int limit = std::min(effective_jobs(jobs), effective_jobs(0));
  if (limit <= 1 || window <= 1) {
    for (size_t i = 0; next(i); ++i) {
      work(i);
      done(i);
    }
    return;
  }
  size_t count = 0;
  const auto take = [&](tbb::flow_control& flow) {
    const size_t i = count++;
    if (!next(i)) flow.stop();
    return i;
  };
  const auto work_on = [&](size_t i) {
    work(i);
    return i;
  };
  tbb::task_arena arena(limit);
  arena.execute([&] {
    using tbb::filter_mode;
    tbb::parallel_pipeline(
        window,
        tbb::make_filter<void, size_t>(filter_mode::serial_in_order, take) &
            tbb::make_filter<size_t, size_t>(filter_mode::parallel, work_on) &
            tbb::make_filter<size_t, void>(filter_mode::serial_in_order, done));
  });
}

}  // namespace lathe
