// Processes whose time and memory are measured, for the benchmarks.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "passes/base/error.h"
#include "passes/base/file.h"

namespace lathe::bench {

inline double to_seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) +
         1e-6 * static_cast<double>(time.tv_usec);
}

inline pid_t start_process() {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child < 0)
    throw Error(ErrorKind::kIo, "fork", "no process could be started");
  return child;
}

// Runs `body` in a child; false when it failed.
template <class Body>
bool in_child(const Body& body) {
  const pid_t child = start_process();
  if (child == 0) {
    int status = 0;
    try {
      body();
    } catch (const Error& error) {
      fmt::print(stderr, "error: {}\n", error.what());
      status = exit_code(error.kind());
    }
    std::fflush(stdout);
    ::_exit(status);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0;
}

// The first `count` of the cores that this process may use.
inline std::vector<int> first_cores(size_t count) {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof(set), &set);
  std::vector<int> cores;
  for (int i = 0; i < CPU_SETSIZE && cores.size() < count; ++i)
    if (CPU_ISSET(i, &set)) cores.push_back(i);
  return cores;
}

struct ChildUsage {
  int code = -1;                 // 128 + signal when one ended it
  double seconds = 0;            // of the clock
  double processor_seconds = 0;  // user mode, its own children included
  // The largest of it and its children. A child begins as a copy of this
  // process: no peak below its own can be seen.
  uint64_t peak_bytes = 0;
  std::string out, err;
};

// Runs a program to its end on these cores; `scratch` is a folder for what it
// prints.
inline ChildUsage run_child(const std::vector<std::string>& args,
                            const std::vector<int>& cores,
                            const std::filesystem::path& scratch) {
  const std::string out = (scratch / "stdout").string();
  const std::string err = (scratch / "stderr").string();
  std::vector<char*> words;
  for (const std::string& arg : args)
    words.push_back(const_cast<char*>(arg.c_str()));
  words.push_back(nullptr);
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(core, &set);
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = start_process();
  if (child == 0) {
    constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
    ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
    ::dup2(::open(out.c_str(), kFlags, 0600), STDOUT_FILENO);
    ::dup2(::open(err.c_str(), kFlags, 0600), STDERR_FILENO);
    ::sched_setaffinity(0, sizeof(set), &set);
    ::execvp(words[0], words.data());
    std::perror(words[0]);
    ::_exit(127);
  }
  ChildUsage usage;
  int status = 0;
  rusage used{};
  ::wait4(child, &status, 0, &used);
  usage.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  usage.processor_seconds = to_seconds(used.ru_utime);
  usage.peak_bytes = static_cast<uint64_t>(used.ru_maxrss) << 10;
  usage.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  usage.out = read_file(out);
  usage.err = read_file(err);
  return usage;
}

// The last line that says something, for a table.
inline std::string last_line(std::string_view text) {
  constexpr size_t kLongest = 120;
  const size_t end = text.find_last_not_of(" \r\n");
  if (end == std::string_view::npos) return "no message";
  text = text.substr(0, end + 1);
  const size_t start = text.find_last_of('\n');
  if (start != std::string_view::npos) text = text.substr(start + 1);
  std::string line(text.substr(0, kLongest));
  return text.size() > kLongest ? line + "…" : line;
}

}  // namespace lathe::bench
