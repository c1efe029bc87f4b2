// Progress and messages on stderr.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

#include "passes/base/error.h"
#include "passes/base/progress.h"

namespace lathe::cli {

// "auto": on when the stream is a terminal, NO_COLOR is unset or empty and
// TERM is not "dumb".
bool use_color(const std::string& choice, int fd);

struct TerminalOptions {
  bool quiet = false;    // no progress, no info
  bool verbose = false;  // detail() lines
  bool json = false;     // errors as JSON; progress only on a terminal
  std::string color = "auto";
};

// On a terminal one line with a bar, redrawn; elsewhere a line as each task
// begins, and every ten seconds one of a task that says how it goes.
// Thread-safe.
class Terminal final : public ProgressSink {
 public:
  explicit Terminal(const TerminalOptions& options = {});
  ~Terminal() override;

  void begin(std::string_view task, uint64_t total) override;
  void advance(uint64_t steps, std::string_view note = {}) override;
  void end() override;
  void info(std::string_view line) override;
  void warn(std::string_view line) override;
  // Stands before the names of tasks that begin from now on: "stage: task".
  void set_stage(const std::string& name);
  // Only with -v.
  void detail(std::string_view line);
  // "error: where: what" and "hint: …", or the JSON line.
  void error(const Error& error);

  bool colored() const { return color_; }

 private:
  std::string line() const;
  void draw();
  void clear();
  void print(std::string_view label, const char* color, std::string_view line);

  TerminalOptions options_;
  bool is_terminal_, color_;
  std::mutex mutex_;
  bool active_ = false, drawn_ = false;
  std::string stage_, task_, note_;
  uint64_t total_ = 0, done_ = 0;
  std::chrono::steady_clock::time_point started_, last_drawn_;
};

}  // namespace lathe::cli
