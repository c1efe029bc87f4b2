// lathe-probe: measures the machine it runs on and writes what it saw, for
// `lathe profile --from FILE` to fit elsewhere. It loads libc, libstdc++, libm
// and ONNX Runtime, nothing else: it is copied to boards.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "calibration/latency/probe/describe_device.h"
#include "calibration/latency/probe/measure.h"
#include "calibration/latency/probe/measurements.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/text.h"
#include "tools/flags.h"
#include "tools/terminal.h"

namespace lathe::cli {
namespace {

namespace fs = std::filesystem;

constexpr double kDefaultSeconds = 180;  // a thread count
constexpr int kMaxThreads = 1024;
// More than any budget reaches.
constexpr size_t kPlanned = 20'000;

CancelToken cancel_token;

// The first signal asks the work to end; the second one kills.
void on_signal(int) { cancel_token.cancel(); }

void install_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = &on_signal;
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

struct Options {
  std::string output = "probe.json", threads = "1", budget;
  std::string seed = "0";
  bool quiet = false;
};

template <class T>
T parse_number(const std::string& flag, const std::string& text, T low,
               T high) {
  T value{};
  const auto [end, code] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < low ||
      value > high)
    throw Error(ErrorKind::kUsage, flag,
                "found '" + text + "', expected a whole number from " +
                    std::to_string(low) + " to " + std::to_string(high));
  return value;
}

// "1,2,4": ascending, each once.
std::vector<int> parse_threads(const std::string& text) {
  std::vector<int> counts;
  for (const std::string& part : split(text, ','))
    counts.push_back(parse_number("--threads", part, 1, kMaxThreads));
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  return counts;
}

// False: help was asked for.
bool parse(int argc, char** argv, Options& options) {
  CLI::App app(
      "Measures this machine for `lathe profile --from`: random networks, "
      "kernel by kernel.",
      "lathe-probe");
  app.add_option("-o,--output", options.output, "the measurements")
      ->type_name("FILE")
      ->capture_default_str();
  app.add_option("--threads", options.threads,
                 "threads of the runtime; each count is measured for itself")
      ->type_name("N[,M...]")
      ->capture_default_str();
  app.add_option("--budget", options.budget,
                 "time to measure for, in all (180s for each thread count)")
      ->type_name("TIME");
  app.add_option("--seed", options.seed, "seed of the networks")
      ->type_name("N")
      ->capture_default_str();
  app.add_flag("-q,--quiet", options.quiet,
               "no progress; warnings and errors stay");
  app.footer(
      "Examples:\n  lathe-probe\n  lathe-probe -o board.json --threads 1,4 "
      "--budget 6min");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const std::string text = app.help();
    std::fwrite(text.data(), 1, text.size(), stdout);
    return false;
  } catch (const CLI::ParseError& error) {
    throw Error(ErrorKind::kUsage, "lathe-probe", error.what(),
                "see 'lathe-probe --help'");
  }
  return true;
}

void check_output(const fs::path& output) {
  const fs::path folder = output.parent_path();
  std::error_code ignored;
  if (!folder.empty() && !fs::is_directory(folder, ignored))
    throw Error(ErrorKind::kUsage, "-o",
                "there is no folder " + folder.string());
}

int measure(const Options& options, Terminal& terminal) {
  const std::vector<int> threads = parse_threads(options.threads);
  const double budget_s =
      options.budget.empty()
          ? kDefaultSeconds * static_cast<double>(threads.size())
          : parse_seconds("--budget", options.budget);
  check_output(options.output);
  latency::Measurements measurements;
  measurements.device = latency::describe_device();
  measurements.seed =
      parse_number<uint64_t>("--seed", options.seed, 0, uint64_t{1} << 53);
  terminal.info(measurements.device.name + ": " + measurements.device.cpu +
                ", ONNX Runtime " + measurements.device.runtime_version);
  const std::vector<latency::NetworkSpec> plan = latency::first_plan(
      kPlanned, measurements.seed, latency::runtime_has_fp16());
  for (const int count : threads) {
    latency::MeasureOptions measure;
    measure.threads = count;
    measure.budget_s = budget_s / static_cast<double>(threads.size());
    latency::NetworkMeasurer measurer(measure);
    terminal.begin("measuring with " + std::to_string(count) +
                       (count == 1 ? " thread" : " threads"),
                   static_cast<uint64_t>(std::max(1.0, measure.budget_s * 10)));
    measurer.measure(
        plan,
        [&](std::span<const latency::NetworkSample> samples) {
          measurements.networks.insert(measurements.networks.end(),
                                       samples.begin(), samples.end());
        },
        terminal, &cancel_token);
    terminal.end();
    measurements.seconds += measurer.seconds();
    measurements.noise.push_back(measurer.noise());
  }
  if (measurements.networks.empty())
    throw Error(ErrorKind::kUsage, "lathe-probe",
                "no network could be measured in " + options.budget,
                "give a larger --budget, or a machine with less to do");
  write_file_atomic(options.output, to_json(measurements).dump() + "\n");
  terminal.info("measured " + std::to_string(measurements.networks.size()) +
                " networks; fit them with `lathe profile --from " +
                options.output + "`");
  return 0;
}

int run(int argc, char** argv) {
  install_signal_handlers();
  TerminalOptions terminal_options;
  Terminal early(terminal_options);
  const auto fail = [&](const Error& error) {
    early.error(error);
    return exit_code(error.kind());
  };
  try {
    Options options;
    if (!parse(argc, argv, options)) return 0;
    terminal_options.quiet = options.quiet;
    Terminal terminal(terminal_options);
    return measure(options, terminal);
  } catch (const Error& error) {
    return fail(error);
  } catch (const std::exception& error) {
    return fail(Error(ErrorKind::kInternal, "lathe-probe", error.what(),
                      "this is a bug in Lathe; please report it"));
  }
}

}  // namespace
}  // namespace lathe::cli

int main(int argc, char** argv) { return lathe::cli::run(argc, argv); }
