// The commands: one file each (cmd_<name>.cc) and one row in command_table().
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "passes/base/progress.h"
#include "passes/ir/shape_inference.h"
#include "tools/terminal.h"

namespace CLI {
class App;
}

namespace lathe::cli {

inline constexpr int kSchemaVersion = 1;  // of every document on stdout

// The flags that every command takes.
struct SharedFlags {
  bool json = false, quiet = false, verbose = false;
  std::string color = "auto";
  int64_t threads = 1, jobs = 0, samples = 0;
  std::vector<int64_t> thread_counts{1};  // several for `lathe profile` only
  uint64_t seed = 0;
  ir::InputShapes input_shapes;
  // Long names of the flags that stood on the command line, "--threads": what
  // a recipe says holds where a flag did not.
  std::set<std::string> given;
};

// What a command runs with.
struct Context {
  const SharedFlags& flags;
  Terminal& terminal;  // progress and messages; stderr
  const CancelToken& cancel;
  int jobs() const { return static_cast<int>(flags.jobs); }
  int threads() const { return static_cast<int>(flags.threads); }
};

// Does the work after the flags are read; returns the exit code.
using Action = std::function<int(Context&)>;

struct Command {
  const char* name;
  const char* summary;  // one line, for the list and the help
  const char* group;
  // Adds the command's flags and, as the footer, two examples.
  Action (*setup)(CLI::App& app);
  bool several_threads = false;  // --threads takes a list
};

std::span<const Command> command_table();
std::vector<std::string> command_names();

Action setup_bench(CLI::App& app);
Action setup_compare(CLI::App& app);
Action setup_compress(CLI::App& app);
Action setup_convert(CLI::App& app);
Action setup_demo(CLI::App& app);
Action setup_distill(CLI::App& app);
Action setup_estimate(CLI::App& app);
Action setup_eval(CLI::App& app);
Action setup_inspect(CLI::App& app);
Action setup_list(CLI::App& app);
Action setup_profile(CLI::App& app);
Action setup_prune(CLI::App& app);
Action setup_quantize(CLI::App& app);
Action setup_run(CLI::App& app);
Action setup_validate(CLI::App& app);

}  // namespace lathe::cli
