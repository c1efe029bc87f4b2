// The probe measures one thing at a time and does without oneTBB.
#include "passes/base/jobs.h"

namespace lathe {

int effective_jobs(int) { return 1; }

void parallel_for(size_t count, int, const std::function<void(size_t)>& body) {
  for (size_t i = 0; i < count; ++i) body(i);
}

}  // namespace lathe
