#include "tests/cli/process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

extern char** environ;

namespace lathe::test {
namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// Takes what is there; closes and clears the descriptor at the end.
void drain(int& fd, std::string& text) {
  char chunk[4096];
  const ssize_t count = ::read(fd, chunk, sizeof(chunk));
  if (count > 0) {
    text.append(chunk, static_cast<size_t>(count));
  } else {
    ::close(fd);
    fd = -1;
  }
}

}  // namespace

Process::Process(const std::vector<std::string>& args,
                 const ProcessOptions& options) {
  int out[2], err[2];
  REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
  REQUIRE(::pipe2(err, O_CLOEXEC) == 0);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
                                     O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
  if (!options.folder.empty())
    ::posix_spawn_file_actions_addchdir_np(&actions, options.folder.c_str());
  std::vector<std::string> words{options.program};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<std::string> environment = options.environment;
  for (char** one = environ; *one; ++one) environment.emplace_back(*one);
  const int failure =
      ::posix_spawn(&pid_, words[0].c_str(), &actions, /*attrp=*/nullptr,
                    pointers(words).data(), pointers(environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]);
  ::close(err[1]);
  out_ = out[0];
  err_ = err[0];
  REQUIRE_MESSAGE(failure == 0, "cannot start " << words[0]);
}

Process::~Process() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  if (out_ >= 0) ::close(out_);
  if (err_ >= 0) ::close(err_);
}

void Process::signal(int number) { ::kill(pid_, number); }

bool Process::read_some() {
  pollfd polled[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
  if (out_ < 0 && err_ < 0) return false;
  ::poll(polled, 2, /*timeout=*/-1);
  if (out_ >= 0 && polled[0].revents) drain(out_, result_.out);
  if (err_ >= 0 && polled[1].revents) drain(err_, result_.err);
  return true;
}

bool Process::wait_for_stderr(const std::string& text) {
  while (result_.err.find(text) == std::string::npos)
    if (!read_some()) return false;
  return true;
}

ProcessResult Process::finish() {
  while (read_some()) {
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  result_.code =
      WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result_;
}

ProcessResult run_lathe(const std::vector<std::string>& args,
                        const ProcessOptions& options) {
  return Process(args, options).finish();
}

}  // namespace lathe::test
