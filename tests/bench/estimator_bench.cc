// How good and how fast the latency estimator is on this machine:
//   estimator_bench [--device P] [--threads N] [--ranking N] [--seconds S]
//                   [--shared DIR] [--no-zoo]
// Measures the zoo, random-width networks and the models of DIR against a
// device profile, each in fp32 and int8, and prints errors, interval coverage,
// noise floor, rank correlation and speed. Profile first, within the same
// quarter of an hour: `lathe profile -o device.json`.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "calibration/latency/estimator/devices.h"
#include "calibration/latency/estimator/estimator.h"
#include "calibration/latency/estimator/validation.h"
#include "passes/base/error.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/shape_inference.h"
#include "tests/zoo/zoo.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using latency::ValidationRow;
using latency::ValidationSubject;

struct Options {
  std::string device;
  std::string shared = "../shared";
  int threads = 1;
  int ranking = 200;
  int widths = 6;  // random-width networks of each family in the error figures
  double seconds = 0.3;
  bool no_zoo = false;
  uint64_t seed = 1000;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void add_both(std::vector<ValidationSubject>& subjects, const std::string& name,
              const std::function<ir::Model()>& build, uint64_t seed) {
  subjects.push_back({name, build});
  subjects.push_back({name + " int8", [build, seed] {
                        return zoo::quantize_for_latency(build(), seed);
                      }});
}

std::vector<ValidationSubject> subjects(const Options& options) {
  std::vector<ValidationSubject> list;
  if (!options.no_zoo)
    for (const zoo::ZooModel& model : zoo::zoo())
      add_both(
          list, model.name,
          [&model, seed = options.seed] { return model.build(seed); },
          options.seed);
  for (const zoo::RandomWidthFamily& family : zoo::random_width_families())
    for (int i = 0; i < options.widths; ++i) {
      const uint64_t seed = options.seed + static_cast<uint64_t>(i);
      const int64_t size = std::array<int64_t, 3>{224, 160, 96}[i % 3];
      add_both(
          list, fmt::format("{} #{} at {}", family.name, i, size),
          [&family, seed, size] { return family.build(seed, size); }, seed);
    }
  std::error_code ignored;
  for (const auto& entry :
       fs::directory_iterator(fs::path(options.shared) / "models", ignored)) {
    const fs::path file = entry.path() / "model.onnx";
    if (!fs::exists(file)) continue;
    add_both(
        list, entry.path().filename().string(),
        [file] {
          ir::Model model = io::import_onnx(file);
          ir::bind_input_shapes(model, ir::default_input_shapes(model, {}));
          ir::infer_shapes(model);
          return model;
        },
        options.seed);
  }
  return list;
}

void print_errors(const char* name, std::span<const ValidationRow> rows,
                  const std::function<bool(const ValidationRow&)>& keep) {
  const latency::ValidationError error = latency::summarize_errors(rows, keep);
  if (error.networks == 0) return;
  const latency::ValidationError floor = latency::noise_floor(rows, keep);
  fmt::print(
      "{:<22} {:>4} nets  MAPE {:5.2f}%  RMSPE {:5.2f}%  +-5% {:5.1f}%  +-10% "
      "{:5.1f}%  in p5..p95 {:5.1f}%   noise floor: MAPE {:5.2f}%  +-10% "
      "{:5.1f}%\n",
      name, error.networks, 100 * error.mape, 100 * error.rmspe,
      100 * error.within_5, 100 * error.within_10, 100 * error.coverage,
      100 * floor.mape, 100 * floor.within_10);
}

bool is_int8(const ValidationRow& row) { return row.name.ends_with(" int8"); }

void compare(const LatencyModel& device, const Options& options) {
  latency::ValidationOptions validation;
  validation.threads = options.threads;
  validation.seconds = options.seconds;
  std::vector<ValidationSubject> good;
  const std::vector<ValidationSubject> all = subjects(options);
  for (const ValidationSubject& subject : all) {
    try {
      subject.build();
      good.push_back(subject);
    } catch (const Error& error) {
      fmt::print("left out: {}: {}\n", subject.name, error.what());
    }
  }
  const auto start = Clock::now();
  const auto rows = latency::validate_estimates(
      device, good, validation, silent_progress(), /*cancel=*/nullptr);
  fmt::print("\n{:<44} {:>10} {:>10} {:>8} {:>10} {:>10} {:>8} {:>7}\n",
             "network", "measured", "estimate", "error", "p5", "p95", "again",
             "unseen");
  for (const ValidationRow& row : rows)
    fmt::print(
        "{:<44} {:>9.1f}u {:>9.1f}u {:>+7.1f}% {:>9.1f}u {:>9.1f}u {:>+7.1f}% "
        "{:>6.1f}%{}\n",
        row.name, row.measured_us(), row.estimate.p50_us, 100 * row.error(),
        row.estimate.p5_us, row.estimate.p95_us, 100 * row.repeat_error(),
        100 * row.unseen_share, row.noisy() ? " noisy" : "");
  fmt::print("\nmeasured and estimated within {:.0f} s\n",
             seconds_since(start));
  const auto large = [](const ValidationRow& row) {
    return row.measured_us() >= 3000;
  };
  print_errors("all", rows, {});
  print_errors("3 ms and more", rows, large);
  print_errors("3 ms and more, fp32", rows, [&](const ValidationRow& row) {
    return large(row) && !is_int8(row);
  });
  print_errors("3 ms and more, int8", rows, [&](const ValidationRow& row) {
    return large(row) && is_int8(row);
  });
  print_errors("3 ms and more, quiet", rows, [&](const ValidationRow& row) {
    return large(row) && !row.noisy();
  });
  print_errors("below 3 ms", rows,
               [&](const ValidationRow& row) { return !large(row); });
  print_errors("below 3 ms, quiet", rows, [&](const ValidationRow& row) {
    return !large(row) && !row.noisy();
  });
  int64_t small = 0, good_small = 0;
  for (const ValidationRow& row : rows) {
    if (large(row)) continue;
    ++small;
    good_small += std::abs(row.estimate.p50_us - row.measured_us()) <=
                  std::max(0.1 * row.measured_us(), 15.0);
  }
  if (small > 0)
    fmt::print(
        "below 3 ms: error at most 10% or 15 us for {} of {} ({:.1f}%)\n",
        good_small, small,
        100.0 * static_cast<double>(good_small) / static_cast<double>(small));
}

void rank(const LatencyModel& device, const Options& options) {
  if (options.ranking < 2) return;
  for (const auto& [name, build] : std::initializer_list<
           std::pair<const char*, ir::Model (*)(uint64_t, int64_t)>>{
           {"ResNet-18", &zoo::random_width_resnet18},
           {"MobileNetV2", &zoo::random_width_mobilenet_v2}}) {
    std::vector<ValidationSubject> list;
    for (int i = 0; i < options.ranking; ++i)
      list.push_back({fmt::format("{} #{}", name, i),
                      [build = build,
                       seed = options.seed + 5000 + static_cast<uint64_t>(i)] {
                        return build(seed, 224);
                      }});
    latency::ValidationOptions validation;
    validation.threads = options.threads;
    validation.seconds = options.seconds;
    const auto rows = latency::validate_estimates(
        device, list, validation, silent_progress(), /*cancel=*/nullptr);
    std::vector<double> estimated, measured, first, second;
    for (const ValidationRow& row : rows) {
      estimated.push_back(row.estimate.p50_us);
      measured.push_back(row.measured_us());
      first.push_back(row.passes[0].low_us);
      second.push_back(row.passes[1].low_us);
    }
    fmt::print(
        "ranking, {} random-width {}: Spearman {:.4f} (the two "
        "measurements of each: {:.4f})\n",
        rows.size(), name, latency::spearman(estimated, measured),
        latency::spearman(first, second));
    print_errors(name, rows, {});
  }
}

void time_queries(const LatencyModel& device, const Options& options) {
  const auto* estimator = dynamic_cast<const latency::Estimator*>(&device);
  if (!estimator) return;
  const ir::Model model = zoo::build_zoo_model("resnet50", options.seed);
  auto start = Clock::now();
  const auto kernels = estimator->prepare(model);
  fmt::print("ResNet-50: prepared in {:.0f} ms, {} kernels\n",
             1e3 * seconds_since(start), kernels.size());
  start = Clock::now();
  GraphEstimate estimate = estimator->estimate(kernels);
  fmt::print("ResNet-50: first estimate {:.3f} ms", 1e3 * seconds_since(start));
  constexpr int kRuns = 200;
  start = Clock::now();
  for (int i = 0; i < kRuns; ++i) estimate = estimator->estimate(kernels);
  fmt::print(", then {:.3f} ms each\n", 1e3 * seconds_since(start) / kRuns);
  // A solver's questions: every kernel at widths that come again.
  std::vector<KernelDescriptor> questions;
  for (const KernelEstimate& kernel : estimate.kernels)
    for (int64_t width = 8; width <= 256; width += 8)
      questions.push_back(with_widths(kernel.descriptor, width, width));
  double sum = 0;
  start = Clock::now();
  for (const KernelDescriptor& question : questions)
    sum += device.kernel(question).p50_us;
  fmt::print("kernel queries, new: {:.0f} a second\n",
             static_cast<double>(questions.size()) / seconds_since(start));
  start = Clock::now();
  int64_t asked = 0;
  while (seconds_since(start) < 1)
    for (const KernelDescriptor& question : questions) {
      sum += device.kernel(question).p50_us;
      ++asked;
    }
  fmt::print("kernel queries, memoised: {:.0f} a second (checksum {:.3g})\n",
             static_cast<double>(asked) / seconds_since(start), sum);
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("How good and how fast the latency estimator is here");
  app.add_option("--device", options.device,
                 "profile; default: this machine's");
  app.add_option("--shared", options.shared, "folder with models/");
  app.add_option("--threads", options.threads, "as profiled");
  app.add_option("--ranking", options.ranking, "variants to rank; 0: none");
  app.add_option("--widths", options.widths,
                 "random-width networks of each family");
  app.add_option("--seconds", options.seconds, "a network and pass");
  app.add_option("--seed", options.seed, "of widths and weights");
  app.add_flag("--no-zoo", options.no_zoo, "without the architectures");
  CLI11_PARSE(app, argc, argv);
  try {
    const latency::OpenedDevice device =
        latency::open_device(options.device, options.threads);
    fmt::print("{} '{}', {} thread(s)\n", device.source, device.model->device(),
               options.threads);
    if (const auto* estimator =
            dynamic_cast<const latency::Estimator*>(device.model.get()))
      fmt::print("profiled in {:.0f} s, {} networks in this column\n",
                 estimator->file().seconds, estimator->column().networks);
    time_queries(*device.model, options);
    compare(*device.model, options);
    rank(*device.model, options);
  } catch (const Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return exit_code(error.kind());
  }
  return 0;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) { return lathe::run(argc, argv); }
