// Parallel work on a stream of items whose results are taken in order.
#pragma once

#include <cstddef>
#include <functional>

namespace lathe {

// For i = 0, 1, …: `next(i)`, which says whether there is an i-th item, then
// `work(i)`, at most `jobs` of them at a time, then `done(i)`. Calls of next()
// come one at a time and in order, and so do those of done(), while others
// work. No more than `window` items are between next() and done() at once, so
// that what belongs to item i may lie at i % window. All are called from any
// thread. The first exception is rethrown after running calls have ended.
void for_each_in_order(size_t window, int jobs,
                       const std::function<bool(size_t)>& next,
                       const std::function<void(size_t)>& work,
                       const std::function<void(size_t)>& done);

}  // namespace lathe
