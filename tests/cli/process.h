// Runs the real program as a process.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace lathe::test {

struct ProcessResult {
  int code = -1;  // 128 + signal when one ended it
  std::string out, err;
};

struct ProcessOptions {
  std::filesystem::path folder;          // working folder; empty: this one
  std::vector<std::string> environment;  // "NAME=value", added
  std::string program = LATHE_BINARY_DIR "/lathe";
};

class Process {
 public:
  // Starts the program with the arguments, standard input empty.
  explicit Process(const std::vector<std::string>& args,
                   const ProcessOptions& options = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void signal(int number);
  // Reads until stderr holds `text`; false when the process ends before.
  bool wait_for_stderr(const std::string& text);
  // Reads everything and waits for the end.
  ProcessResult finish();

 private:
  bool read_some();  // false at the end of both streams

  pid_t pid_ = -1;
  int out_ = -1, err_ = -1;
  ProcessResult result_;
};

ProcessResult run_lathe(const std::vector<std::string>& args,
                        const ProcessOptions& options = {});

}  // namespace lathe::test
