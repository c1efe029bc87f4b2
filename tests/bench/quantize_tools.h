// The two quantizers as child processes, and what a run of them took.
#pragma once

#include <iterator>
#include <optional>
#include <sstream>

#include "tests/bench/measuring.h"
#include "tests/bench/quantize_subjects.h"

namespace lathe::bench {

struct ToolOptions {
  std::string lathe;        // the program; empty: of this build
  std::string peer;         // command; empty: there is no peer
  std::string peer_folder;  // HOST=INNER
  std::string peer_check;   // command
};

// A tool's runs over one subject.
struct ToolRuns {
  std::vector<double> seconds, processor;
  std::vector<double> quantize;  // as the peer's script says, without the rest
  std::vector<double> peak;      // bytes
  std::string failure;           // of any run

  bool done() const { return failure.empty(); }
  Json json() const {
    if (!done()) return {{"fails", failure}};
    Json json = {{"seconds", median(seconds)},
                 {"processor_seconds", median(processor)},
                 {"peak_bytes", median(peak)},
                 {"runs", seconds.size()},
                 {"all_seconds", seconds}};
    if (!quantize.empty()) json["quantize_seconds"] = median(quantize);
    return json;
  }
};

class Tools {
 public:
  explicit Tools(ToolOptions options)
      : options_(std::move(options)), cores_(first_cores(2)) {
    const size_t equals = options_.peer_folder.find('=');
    if (!options_.peer_folder.empty() && equals == std::string::npos)
      throw Error(ErrorKind::kUsage, "--peer-folder",
                  "found '" + options_.peer_folder + "', expected HOST=INNER");
    fs::path parent = fs::temp_directory_path();
    if (equals != std::string::npos) {
      parent = options_.peer_folder.substr(0, equals);
      inner_ = options_.peer_folder.substr(equals + 1);
    }
    std::string pattern = (parent / "quantize-bench-XXXXXX").string();
    if (!::mkdtemp(pattern.data()))
      throw Error(ErrorKind::kIo, parent.string(), "no folder can be made");
    root_ = pattern;
    inner_ = inner_.empty() ? root_ : inner_ / root_.filename();
    const fs::path self = fs::read_symlink("/proc/self/exe");
    if (options_.lathe.empty())
      options_.lathe = self.parent_path().parent_path() / "lathe";
  }
  ~Tools() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  Tools(const Tools&) = delete;
  Tools& operator=(const Tools&) = delete;

  const ToolOptions& options() const { return options_; }
  const std::vector<int>& cores() const { return cores_; }

  Subject prepare(const std::string& name, int64_t samples) {
    return prepare_subject(name, root_ / std::to_string(++prepared_), samples);
  }

  // Runs that fail from the start where there is no peer for the subject.
  ToolRuns peer_runs(const Subject& subject) const {
    ToolRuns runs;
    runs.failure = options_.peer.empty() ? "no --peer" : subject.peer_fails;
    return runs;
  }

  void run_lathe(const Subject& subject, const std::string& data,
                 int64_t samples, const std::vector<std::string>& more,
                 ToolRuns& runs) const {
    const fs::path result = subject.result("lathe");
    std::vector<std::string> args = {options_.lathe, "quantize",
                                     subject.model().string(), "-q"};
    for (const auto& [flag, value] :
         {std::pair<std::string, std::string>{"--data", data},
          {"-o", result.string()},
          {"--samples", std::to_string(samples)},
          {"--jobs", std::to_string(cores_.size())}})
      args.insert(args.end(), {flag, value});
    args.insert(args.end(), subject.shape_flags.begin(),
                subject.shape_flags.end());
    args.insert(args.end(), more.begin(), more.end());
    run(args, result, runs);
  }

  // `method` as lathe spells it. Nothing where the runs have failed.
  void run_peer(const Subject& subject, const std::string& method,
                int64_t samples, ToolRuns& runs) const {
    if (!runs.done()) return;
    const fs::path result = subject.result("peer");
    const std::string spelled = method == "min-max"   ? "MinMax"
                                : method == "entropy" ? "Entropy"
                                                      : "Percentile";
    std::vector<std::string> args =
        command(options_.peer, {subject.model(), result});
    args.insert(args.end(),
                {spelled, std::to_string(samples),
                 as_peer_sees(subject.folder / "peer.npz").string()});
    const Json printed = last_object(run(args, result, runs).out);
    if (printed.contains("quantize_s"))
      runs.quantize.push_back(printed["quantize_s"]);
  }

  // Latency of `after` over that of `before` in the peer's runtime.
  std::optional<double> in_peer_runtime(const fs::path& before,
                                        const fs::path& after) const {
    const ChildUsage usage =
        run_child(command(options_.peer_check, {before, after}), cores_, root_);
    const Json printed = last_object(usage.out);
    if (!printed.contains("median_us")) {
      fmt::print("  the peer's runtime: {}\n", last_line(usage.err));
      return std::nullopt;
    }
    const auto latency_us = printed["median_us"].get<std::vector<double>>();
    return latency_us.at(1) / latency_us.at(0);
  }

 private:
  fs::path as_peer_sees(const fs::path& path) const {
    return inner_ / path.lexically_relative(root_);
  }

  std::vector<std::string> command(const std::string& text,
                                   const std::vector<fs::path>& files) const {
    std::istringstream stream(text);
    std::vector<std::string> args{std::istream_iterator<std::string>(stream),
                                  {}};
    for (const fs::path& file : files)
      args.push_back(as_peer_sees(file).string());
    return args;
  }

  // What a script printed last, where that is a JSON object; else an empty one.
  static Json last_object(const std::string& text) {
    const size_t start = text.rfind('{');
    Json json = Json::object();
    if (start != std::string::npos)
      json = Json::parse(text.substr(start), nullptr,
                         /*allow_exceptions=*/false);
    return json.is_object() ? json : Json::object();
  }

  ChildUsage run(const std::vector<std::string>& args, const fs::path& result,
                 ToolRuns& runs) const {
    fs::remove(result);
    ChildUsage usage = run_child(args, cores_, root_);
    runs.seconds.push_back(usage.seconds);
    runs.processor.push_back(usage.processor_seconds);
    runs.peak.push_back(static_cast<double>(usage.peak_bytes));
    // 3: done, with a result that misses a gate.
    const bool ended = usage.code == 0 || usage.code == 3;
    if (runs.done() && (!ended || !fs::exists(result)))
      runs.failure = last_line(usage.err.empty() ? usage.out : usage.err);
    return usage;
  }

  ToolOptions options_;
  std::vector<int> cores_;
  fs::path root_, inner_;  // the folder of this run, here and as the peer sees
  int prepared_ = 0;
};

}  // namespace lathe::bench
