// Lathe's static quantizer beside that of ONNX Runtime for Python, which a
// script runs (IN OUT METHOD N DATA.npz, the samples as array x):
//   quantize_bench [--tables ABC] [--json FILE] [--lathe PROGRAM]
//                  [--peer COMMAND [--peer-folder HOST=INNER]
//                   [--peer-check COMMAND]] …
// A: time and memory of the tools, by calibration method. B: latency of what
// they make, in the runtime that is linked here, and in the peer's with
// --peer-check (two models, prints their median_us). C: memory over the number
// of samples. A peer in another root is given the folder that both see: HOST
// here, INNER there.
#include <CLI/CLI.hpp>
#include <cmath>

#include "calibration/latency/session.h"
#include "passes/base/text.h"
#include "tests/bench/quantize_tools.h"

namespace lathe::bench {
namespace {

struct Options {
  std::string tables = "ABC", json;
  ToolOptions tools;
  // A
  std::string model = "resnet50";
  int64_t samples = 64;
  int rounds = 3;
  std::vector<std::string> methods = {"min-max", "entropy", "percentile"};
  // B
  std::vector<std::string> models;
  int64_t model_samples = 8;
  double seconds = 1;
  // C
  std::string memory_model = "mobilenet_v2";
  std::vector<int64_t> memory_samples = {64, 512, 4096};
};

using Row = std::vector<std::string>;

std::string ratio_text(double ratio) { return fmt::format("{:.3f}", ratio); }
std::string us_text(double us) { return fmt::format("{:.1f}", us); }
std::string seconds_text(double seconds) {
  return fmt::format("{:.2f}", seconds);
}
std::string bytes_text(double bytes) {
  return format_bytes(static_cast<uint64_t>(bytes));
}

std::string size_text(const fs::path& file) {
  std::error_code missing;
  const uintmax_t bytes = fs::file_size(file, missing);
  return missing ? "" : format_bytes(bytes);
}

// Columns as wide as their widest cell.
void print_table(const std::string& title, const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows[0].size());
  for (const Row& row : rows)
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  fmt::print("\n{}\n", title);
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += fmt::format("{:{}}  ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
  std::fflush(stdout);
}

Row tool_row(const std::string& tool, const std::string& method,
             const ToolRuns& runs) {
  if (!runs.done()) return {tool, method, "fails: " + runs.failure};
  return {tool,
          method,
          seconds_text(median(runs.seconds)),
          runs.quantize.empty() ? "" : seconds_text(median(runs.quantize)),
          seconds_text(median(runs.processor)),
          bytes_text(median(runs.peak))};
}

Json tool_speed(const Options& options, Tools& tools) {
  const Subject subject = tools.prepare(options.model, options.samples);
  std::vector<Row> rows = {{"tool", "method", "seconds", "quantize_s", "user s",
                            "peak", "time / peer's", "time / quantize_s",
                            "peak / peer's"}};
  Json json = {{"model", options.model},
               {"samples", options.samples},
               {"rows", Json::array()}};
  for (const std::string& method : options.methods) {
    ToolRuns lathe, peer = tools.peer_runs(subject);
    for (int round = 0; round < options.rounds; ++round) {
      tools.run_lathe(subject, subject.data, options.samples,
                      {"--calibration", method}, lathe);
      tools.run_peer(subject, method, options.samples, peer);
    }
    Json figures = {
        {"method", method}, {"lathe", lathe.json()}, {"peer", peer.json()}};
    rows.push_back(tool_row("lathe", method, lathe));
    if (lathe.done() && peer.done()) {
      figures["ratio"] = median(lathe.seconds) / median(peer.seconds);
      figures["peak_ratio"] = median(lathe.peak) / median(peer.peak);
      if (!peer.quantize.empty())
        figures["quantize_ratio"] =
            median(lathe.seconds) / median(peer.quantize);
      for (const char* key : {"ratio", "quantize_ratio", "peak_ratio"})
        rows.back().push_back(figures.contains(key) ? ratio_text(figures[key])
                                                    : "");
    }
    rows.push_back(tool_row("peer", method, peer));
    json["rows"].push_back(std::move(figures));
  }
  print_table(fmt::format("A. speed of the tool: {} ({}), {} samples, medians "
                          "of {} rounds",
                          options.model, size_text(subject.model()),
                          options.samples, options.rounds),
              rows);
  return json;
}

Json memory(const Options& options, Tools& tools) {
  const Subject subject = tools.prepare(options.memory_model, /*samples=*/1);
  std::vector<Row> rows = {
      {"samples", "method", "seconds", "peak", "peak / that of the fewest"}};
  Json json = {{"model", options.memory_model}, {"rows", Json::array()}};
  for (const char* method : {"min-max", "percentile"}) {
    std::optional<double> first;
    for (const int64_t samples : options.memory_samples) {
      ToolRuns runs;
      tools.run_lathe(subject, "synthetic", samples, {"--calibration", method},
                      runs);
      const double peak = runs.peak[0];
      if (!first) first = peak;
      rows.push_back({std::to_string(samples), method});
      if (runs.done())
        rows.back().insert(rows.back().end(),
                           {seconds_text(runs.seconds[0]), bytes_text(peak),
                            ratio_text(peak / *first)});
      else
        rows.back().push_back("fails: " + runs.failure);
      Json figures = runs.json();
      figures.update({{"method", method}, {"samples", samples}});
      json["rows"].push_back(std::move(figures));
    }
  }
  print_table(fmt::format("C. memory: {} ({}), synthetic samples",
                          options.memory_model, size_text(subject.model())),
              rows);
  return json;
}

// The figures of one model, as keys of the JSON document. The peer fails where
// the runtime refuses what it made.
Json measure(const Options& options, const Tools& tools, const Subject& subject,
             ToolRuns& peer) {
  const NamedArrays inputs =
      bench_inputs(io::import_onnx(subject.model()), subject.name);
  std::vector<std::unique_ptr<latency::Session>> sessions;
  std::vector<latency::BenchSubject> subjects;
  const auto add = [&](const fs::path& file) {
    sessions.push_back(latency::Session::open(file));
    subjects.push_back({file.string(), sessions.back().get(), inputs});
  };
  add(subject.model());
  add(subject.result("lathe"));
  add(subject.result("lathe"));
  try {
    if (peer.done()) add(subject.result("peer"));
  } catch (const Error& error) {
    peer.failure = last_line(error.message());
  }
  latency::BenchOptions bench;
  bench.min_seconds = options.seconds;
  const auto measured =
      latency::bench(subjects, bench, silent_progress(), nullptr);
  const double lathe = measured[1].median_us;
  const double again = measured[2].median_us / lathe;
  Json figures = {{"fp32_us", measured[0].median_us},
                  {"lathe_us", lathe},
                  {"lathe_over_fp32", lathe / measured[0].median_us},
                  {"noise", std::max(again, 1 / again)}};
  bool noisy = false;
  for (const MeasuredLatency& one : measured) noisy = noisy || one.noisy;
  figures["noisy"] = noisy;
  if (peer.done()) {
    figures["peer_us"] = measured[3].median_us;
    figures["lathe_over_peer"] = lathe / measured[3].median_us;
  }
  if (tools.options().peer_check.empty()) return figures;
  const auto check = [&](const char* key, const fs::path& before) {
    const auto ratio = tools.in_peer_runtime(before, subject.result("lathe"));
    if (ratio) figures[key] = *ratio;
  };
  if (peer.done()) check("peer_runtime_over_peer", subject.result("peer"));
  check("peer_runtime_over_fp32", subject.model());
  return figures;
}

// What a reader must look at.
Row marks_of(const Json& figures) {
  const double noise = figures["noise"];
  const double over_peer = figures.value("lathe_over_peer", 0.0);
  const double over_fp32 = figures["lathe_over_fp32"];
  Row marks;
  if (over_peer > 1.02 && over_peer > noise)
    marks.push_back("slower than the peer's");
  if (over_fp32 > 1)
    marks.push_back(over_fp32 > noise ? "slower than fp32" : "as fp32");
  if (figures["noisy"]) marks.push_back("noisy");
  return marks;
}

constexpr const char* kTimes[] = {"fp32_us", "peer_us", "lathe_us"};
constexpr const char* kRatios[] = {"lathe_over_peer", "lathe_over_fp32",
                                   "noise", "peer_runtime_over_peer",
                                   "peer_runtime_over_fp32"};

// A model's row of table B; `figures` gets what the document says.
Row compare_results(const Options& options, Tools& tools,
                    const std::string& name, Json& figures) {
  Row row = {name};
  try {
    const Subject subject = tools.prepare(name, options.model_samples);
    ToolRuns lathe, peer = tools.peer_runs(subject);
    tools.run_lathe(subject, subject.data, options.model_samples, {}, lathe);
    tools.run_peer(subject, "min-max", options.model_samples, peer);
    if (lathe.done()) figures.update(measure(options, tools, subject, peer));
    if (!peer.done()) figures["peer_fails"] = peer.failure;
    if (!lathe.done()) figures["lathe_fails"] = lathe.failure;
    for (const char* key : kTimes)
      row.push_back(figures.contains(key) ? us_text(figures[key]) : "");
    for (const char* key : kRatios)
      row.push_back(figures.contains(key) ? ratio_text(figures[key]) : "");
    row.push_back(size_text(subject.model()));
    for (const char* tool : {"peer", "lathe"}) {
      const fs::path file = subject.result(tool);
      row.push_back(size_text(file));
      if (fs::exists(file))
        figures[std::string(tool) + "_bytes"] = fs::file_size(file);
    }
    figures["fp32_bytes"] = fs::file_size(subject.model());
    Row marks =
        lathe.done() ? marks_of(figures) : Row{"lathe fails: " + lathe.failure};
    if (!peer.done()) marks.push_back("the peer fails: " + peer.failure);
    row.push_back(join(marks, "; "));
    fs::remove_all(subject.folder);
  } catch (const Error& error) {
    figures["fails"] = error.what();
    row.resize(12);
    row.push_back("fails: " + last_line(error.what()));
  }
  return row;
}

std::vector<std::string> default_models() {
  std::vector<std::string> models = {
      "resnet50",      "mobilenet_v2", "efficientnet_b0", "squeezenet1_1",
      "convnext_tiny", "vit_tiny",     "bert_tiny"};
  for (const test::RealModel& model : test::real_models())
    if (fs::exists(shared_model(model.file))) models.push_back(model.file);
  return models;
}

Json result_speed(const Options& options, Tools& tools) {
  Json json = {{"samples", options.model_samples}, {"rows", Json::array()}};
  std::vector<Row> rows = {{"model", "fp32 us", "peer us", "lathe us",
                            "lathe / peer", "lathe / fp32", "noise",
                            "there / peer", "there / fp32", "fp32", "peer",
                            "lathe", ""}};
  double sum = 0;
  int64_t count = 0;
  for (const std::string& model :
       options.models.empty() ? default_models() : options.models) {
    Json figures = {{"model", model}};
    rows.push_back(compare_results(options, tools, model, figures));
    fmt::print("{}\n", join(rows.back(), "  "));
    std::fflush(stdout);
    if (figures.contains("lathe_over_peer")) {
      sum += std::log(figures["lathe_over_peer"].get<double>());
      ++count;
    }
    json["rows"].push_back(std::move(figures));
  }
  print_table(
      "B. speed of the result: one thread, interleaved, medians (there: in "
      "the peer's runtime)",
      rows);
  if (count == 0) return json;
  const double mean = std::exp(sum / static_cast<double>(count));
  json["geometric_mean_over_peer"] = mean;
  fmt::print("geometric mean of lathe / peer over {} models: {:.3f}\n", count,
             mean);
  return json;
}

void add_options(CLI::App& app, Options& options) {
  app.add_option("--tables", options.tables, "any of A, B and C");
  app.add_option("--json", options.json, "write all figures to this file");
  app.add_option("--lathe", options.tools.lathe,
                 "the program (default: of this build)");
  app.add_option("--peer", options.tools.peer, "command of the peer's script");
  app.add_option("--peer-folder", options.tools.peer_folder,
                 "HOST=INNER, a folder as seen here and by the peer");
  app.add_option("--peer-check", options.tools.peer_check,
                 "command that measures two models in the peer's runtime");
  app.add_option("--rounds", options.rounds, "A: repeats, alternating")
      ->check(CLI::PositiveNumber);
  app.add_option("--model", options.model, "A: a file or a name of the zoo");
  app.add_option("--samples", options.samples, "A: random samples")
      ->check(CLI::PositiveNumber);
  app.add_option("--methods", options.methods, "A: of calibration");
  app.add_option("--models", options.models,
                 "B: names of the zoo, files, or names below the shared "
                 "folder's models");
  app.add_option("--model-samples", options.model_samples, "B: samples")
      ->check(CLI::PositiveNumber);
  app.add_option("--seconds", options.seconds, "B: least time of measuring");
  app.add_option("--memory-model", options.memory_model, "C: as --model");
  app.add_option("--memory-samples", options.memory_samples, "C: samples");
}

void run(const Options& options) {
  Tools tools(options.tools);
  Json document = {{"lathe", tools.options().lathe},
                   {"peer", tools.options().peer},
                   {"runtime", latency::runtime_version()},
                   {"cores", tools.cores()}};
  fmt::print("cores {}, ONNX Runtime {}\n", fmt::join(tools.cores(), ", "),
             latency::runtime_version());
  const auto wants = [&](char table) {
    return options.tables.find(table) != std::string::npos;
  };
  // B comes last: what it loads stays in this process, and a child's memory
  // cannot be seen below its parent's.
  if (wants('A')) document["speed_of_tool"] = tool_speed(options, tools);
  if (wants('C')) document["memory"] = memory(options, tools);
  if (wants('B')) document["speed_of_result"] = result_speed(options, tools);
  if (!options.json.empty())
    write_file_atomic(options.json, document.dump(2) + "\n");
}

}  // namespace
}  // namespace lathe::bench

int main(int argc, char** argv) {
  lathe::bench::Options options;
  CLI::App app("Quantizers side by side");
  lathe::bench::add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    lathe::bench::run(options);
    return 0;
  } catch (const lathe::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return lathe::exit_code(error.kind());
  }
}
