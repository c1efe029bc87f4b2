// Time and peak memory of calibrating a model on synthetic data, by observer:
//   calibration_bench MODEL [--samples N]... [--observer NAME]... [--jobs N]
// MODEL: a file, or a name of the zoo such as resnet50. Each line is a process
// of its own, so that its peak (VmHWM) is its own too; it observes what
// quantize_static asks for. Time over that of min_max is what an observer costs
// beside running the network.
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "calibration/data/data.h"
#include "calibration/ranges/collector.h"
#include "calibration/ranges/observer.h"
#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/io/onnx/onnx.h"
#include "passes/quantize/quantize.h"
#include "passes/rewrite/rewrite.h"
#include "tests/bench/child_process.h"
#include "tests/zoo/zoo.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string model;
  std::vector<int64_t> samples = {64, 512};
  std::vector<std::string> observers;
  int jobs = 2;
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return bench::to_seconds(usage.ru_utime) + bench::to_seconds(usage.ru_stime);
}

// The process's peak of resident memory.
uint64_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (uint64_t kib = 0; word == "VmHWM:" && status >> kib) return kib << 10;
  return 0;
}

// Passes the values on and times the collection.
class TimedRanges final : public RangeCollector {
 public:
  explicit TimedRanges(RangeCollector& collector) : collector_(collector) {}

  ActivationRanges collect(const ir::Model& model,
                           const std::vector<std::string>& names,
                           ProgressSink& progress,
                           const CancelToken* cancel) override {
    values = names.size();
    const auto start = Clock::now();
    const double cpu_start = cpu_seconds();
    ActivationRanges ranges =
        collector_.collect(model, names, progress, cancel);
    wall = std::chrono::duration<double>(Clock::now() - start).count();
    cpu = cpu_seconds() - cpu_start;
    return ranges;
  }

  size_t values = 0;
  double wall = 0, cpu = 0;  // seconds

 private:
  RangeCollector& collector_;
};

void measure(const ir::Model& model, const std::string& observer,
             int64_t samples, int jobs) {
  data::OpenOptions open;
  open.limit = samples;
  open.jobs = 1;
  const auto data = data::open_data("synthetic", model, open);
  const auto collector = ranges::make_range_collector({.name = observer}, *data,
                                                      /*samples=*/0, jobs);
  TimedRanges timed(*collector);
  PassContext context;
  context.jobs = jobs;
  context.ranges = &timed;
  ir::Model quantized = ir::clone(model);
  quantize::make_quantize_static({})->run(quantized, context);
  fmt::print(
      "{:<15} {:>4} samples, {} values: {:7.2f} s, {:7.2f} s of CPU, peak {}\n",
      observer, samples, timed.values, timed.wall, timed.cpu,
      format_bytes(peak_bytes()));
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("Time and memory of calibration");
  app.add_option("model", options.model, "a file or a name of the zoo")
      ->required();
  app.add_option("--samples", options.samples, "of synthetic data");
  app.add_option("--observer", options.observers, "all where none is given");
  app.add_option("--jobs", options.jobs, "samples at work at the same time");
  CLI11_PARSE(app, argc, argv);
  try {
    ir::Model model = std::filesystem::exists(options.model)
                          ? io::import_onnx(options.model)
                          : zoo::build_zoo_model(options.model, /*seed=*/1);
    PassContext context;
    rewrite::make_simplify()->run(model, context);
    if (options.observers.empty()) options.observers = ranges::observer_names();
    bool done = true;
    for (int64_t samples : options.samples)
      for (const std::string& observer : options.observers)
        done &= bench::in_child(
            [&] { measure(model, observer, samples, options.jobs); });
    return done ? 0 : 1;
  } catch (const Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return exit_code(error.kind());
  }
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) { return lathe::run(argc, argv); }
