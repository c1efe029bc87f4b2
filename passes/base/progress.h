// Progress and cancellation of long work.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace lathe {

// Where long work says how far it is. Implementations are thread-safe; the
// terminal's lives in tools/. The default one is silent.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  // Starts a task of `total` steps (0: unknown), ending the last one.
  virtual void begin(std::string_view task, uint64_t total);
  virtual void advance(uint64_t steps, std::string_view note = {});
  virtual void end();
  // A line for a person: a warning is shown even with -q.
  virtual void info(std::string_view line);
  virtual void warn(std::string_view line);
};

ProgressSink& silent_progress();

// Set from a signal handler or another thread.
class CancelToken {
 public:
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  // Throws Error{kInterrupted}.
  void check() const;

 private:
  std::atomic<bool> cancelled_{false};
};

}  // namespace lathe
