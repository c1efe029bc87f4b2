// The real program, as a process.
#include <doctest/doctest.h>
#include <elf.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <set>
#include <string>
#include <vector>

#include "calibration/latency/probe/measurements.h"
#include "passes/base/file.h"
#include "tests/support/shared.h"

extern char** environ;

namespace lathe::latency {
namespace {

namespace fs = std::filesystem;

fs::path program() { return fs::path(LATHE_BINARY_DIR) / "lathe-probe"; }

bool is_built() {
  if (fs::exists(program())) return true;
  std::cerr << "skipped: " << program().string() << " is not built\n";
  return false;
}

struct Result {
  int code = -1;
  std::string out, err;
};

Result run(std::vector<std::string> args) {
  test::TempDir folder;
  fs::path out = folder.path() / "out", err = folder.path() / "err";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (auto [number, path] : {std::pair{1, &out}, std::pair{2, &err}})
    posix_spawn_file_actions_addopen(&actions, number, path->c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
  args.insert(args.begin(), program().string());
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  pid_t pid = -1;
  REQUIRE(posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ) ==
          0);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  waitpid(pid, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          read_file(out), read_file(err)};
}

template <class T>
T at(const std::string& file, size_t offset) {
  REQUIRE(offset + sizeof(T) <= file.size());
  T value;
  std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

// The shared libraries that a 64-bit ELF file asks for.
std::set<std::string> needed_libraries(const std::string& file) {
  auto header = at<Elf64_Ehdr>(file, 0);
  REQUIRE(std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0);
  std::set<std::string> names;
  for (int i = 0; i < header.e_shnum; ++i) {
    auto section =
        at<Elf64_Shdr>(file, header.e_shoff + i * sizeof(Elf64_Shdr));
    if (section.sh_type != SHT_DYNAMIC) continue;
    auto strings = at<Elf64_Shdr>(
        file, header.e_shoff + section.sh_link * sizeof(Elf64_Shdr));
    for (size_t entry = 0; entry < section.sh_size / sizeof(Elf64_Dyn);
         ++entry) {
      auto dynamic =
          at<Elf64_Dyn>(file, section.sh_offset + entry * sizeof(Elf64_Dyn));
      if (dynamic.d_tag == DT_NEEDED)
        names.insert(file.c_str() + strings.sh_offset + dynamic.d_un.d_val);
    }
  }
  return names;
}

TEST_CASE("it loads the C and C++ libraries and the runtime, nothing else") {
  if (!is_built()) return;
  std::set<std::string> needed = needed_libraries(read_file(program()));
  CHECK(needed.contains("libonnxruntime.so.1"));
  for (const std::string& name : needed) {
    CAPTURE(name);
    bool allowed = false;
    for (const char* library :
         {"libc.so.", "libm.so.", "libstdc++.so.", "libgcc_s.so.", "ld-linux",
          "libonnxruntime.so."})
      allowed = allowed || name.starts_with(library);
    CHECK(allowed);
  }
}

TEST_CASE("it measures and writes what can be read") {
  if (!is_built()) return;
  test::TempDir folder;
  fs::path file = folder.path() / "probe.json";
  Result result =
      run({"-q", "-o", file.string(), "--budget", "3s", "--seed", "9"});
  CAPTURE(result.err);
  // A machine that is busy all the time has nothing to tell; it says so.
  if (result.code != 0) {
    CHECK(result.code == 2);
    CHECK(result.err.find("no network could be measured in 3s") !=
          std::string::npos);
    CHECK(!fs::exists(file));
    return;
  }
  CHECK(result.out.empty());
  Measurements measurements = measurements_from_json(JsonText::read(file));
  CHECK(measurements.seed == 9);
  CHECK(measurements.seconds > 0);
  CHECK(measurements.seconds < 30);
  CHECK(!measurements.networks.empty());
  CHECK(measurements.noise.size() == 1);
  CHECK(measurements.device.runtime == "onnxruntime");
}

TEST_CASE("help and wrong flags") {
  if (!is_built()) return;
  Result help = run({"--help"});
  CHECK(help.code == 0);
  CHECK(help.err.empty());
  for (const char* flag : {"--output", "--threads", "--budget", "--seed"})
    CHECK(help.out.find(flag) != std::string::npos);
  Result bad = run({"--threads", "0"});
  CHECK(bad.code == 2);
  CHECK(bad.err ==
        "error: --threads: found '0', expected a whole number from 1 to "
        "1024\n");
  CHECK(run({"--budget", "soon"}).err ==
        "error: --budget: found 'soon', expected a time like 180s or 3min\n");
  CHECK(run({"-o", "/no/such/folder/probe.json"}).err ==
        "error: -o: there is no folder /no/such/folder\n");
  CHECK(run({"--colour"}).code == 2);
}

}  // namespace
}  // namespace lathe::latency
