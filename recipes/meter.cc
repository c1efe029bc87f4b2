#include "recipes/meter.h"

namespace lathe::recipes {

std::vector<MeasuredLatency> RuntimeMeter::measure(
    const std::vector<std::filesystem::path>& models) {
  latency::SessionOptions session_options;
  session_options.threads = options_.threads;
  std::vector<std::unique_ptr<latency::Session>> sessions;
  std::vector<latency::BenchSubject> subjects;
  for (const std::filesystem::path& path : models) {
    if (cancel_) cancel_->check();
    sessions.push_back(latency::Session::open(path, session_options));
    subjects.push_back({path.filename().string(), sessions.back().get(),
                        latency::fit_types(*sessions.back(), inputs_)});
  }
  return latency::bench(subjects, options_, progress_, cancel_);
}

}  // namespace lathe::recipes
