// Training runs of `lathe` that are killed, and that are shared by two ranks:
// what is the same afterwards.
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>

#include "passes/base/hash.h"
#include "passes/base/json.h"
#include "passes/base/random.h"
#include "passes/base/text.h"
#include "tests/bench/child_process.h"
#include "tests/bench/cifar_subjects.h"
#include "tests/bench/guarded_main.h"
#include "tests/support/shared.h"

namespace lathe::bench {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string tables = "K,R";
  std::string lathe = LATHE_BINARY_DIR "/lathe";
  int64_t kills = 30, steps = 60;
  double longest = 6;  // seconds before a kill
  uint64_t seed = 0;
};

using Words = std::vector<std::string>;

// `environment`: "NAME=value".
pid_t start(const Words& args, const Words& environment = {}) {
  const pid_t child = start_process();
  if (child != 0) return child;
  for (const std::string& setting : environment)
    ::putenv(const_cast<char*>(setting.c_str()));
  ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
  std::vector<char*> words;
  for (const std::string& arg : args)
    words.push_back(const_cast<char*>(arg.c_str()));
  words.push_back(nullptr);
  ::execvp(words[0], words.data());
  std::perror(words[0]);
  ::_exit(127);
}

void finish(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw Error(ErrorKind::kIo, "lathe", "a run failed");
}

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options), data_((folder_.path() / "data.json").string()) {
    write_file_atomic(data_, cifar_descriptor(kCifarTrain).dump());
  }

  void run() {
    for (const std::string& table : split(options_.tables, ',')) {
      if (table == "K") kills();
      if (table == "R") ranks();
    }
  }

 private:
  std::string path(const std::string& name) const {
    return (folder_.path() / name).string();
  }

  Words command(const Words& more, const std::string& output) const {
    Words words = {options_.lathe, "distill", "--data",    data_,
                   "-q",           "-o",      path(output)};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  void kills() {
    const Words training = {"--teacher",
                            cifar_file("resnet20").string(),
                            "--student-width",
                            "0.5",
                            "--samples",
                            "1500",
                            "--steps",
                            std::to_string(options_.steps),
                            "--batch-size",
                            "32",
                            "--held-out",
                            "100",
                            "--ema",
                            "0.99",
                            "--augment",
                            "flip,shift=4",
                            "--checkpoint-interval",
                            "0.4s"};
    finish(start(command(training, "whole.onnx")));
    const std::string wanted = sha256_file(path("whole.onnx"));
    Random random(options_.seed);
    int64_t killed = 0, runs = 0, same = 0;
    while (killed < options_.kills) {
      const std::string name = fmt::format("run{}.onnx", runs++);
      const Words words = command(training, name);
      while (killed < options_.kills && !fs::exists(path(name))) {
        const pid_t child = start(words);
        std::this_thread::sleep_for(std::chrono::duration<double>(
            random.uniform(0.3, options_.longest)));
        ::kill(child, SIGKILL);
        int status = 0;
        ::waitpid(child, &status, 0);
        killed += WIFSIGNALED(status);
      }
      if (!fs::exists(path(name))) finish(start(words));
      same += sha256_file(path(name)) == wanted;
    }
    fmt::print(
        "K. ResNet-20 at half its width, {} steps: {} kills in {} runs, {} of "
        "them the bytes of a run that was not killed\n",
        options_.steps, killed, runs, same);
  }

  std::vector<double> losses(const std::string& output) const {
    std::vector<double> losses;
    const std::string text =
        read_file(path(output) + ".training/distill/metrics.jsonl");
    for (const std::string& line : split(text, '\n'))
      if (!line.empty())
        losses.push_back(Json::parse(line).at("loss").get<double>());
    return losses;
  }

  void ranks() {
    const auto training = [&](const char* batch) {
      return Words{"--teacher",    cifar_file("resnet56").string(),
                   "--student",    cifar_file("resnet20").string(),
                   "--samples",    "2000",
                   "--steps",      "12",
                   "--held-out",   "128",
                   "--jobs",       "1",
                   "--batch-size", batch};
    };
    finish(start(command(training("64"), "one.onnx")));
    const auto rank = [&](const char* number) {
      return start(command(training("32"), "two.onnx"),
                   {fmt::format("RANK={}", number), "WORLD_SIZE=2",
                    "MASTER_PORT=29517"});
    };
    const pid_t other = rank("1"), first = rank("0");
    finish(first);
    finish(other);
    const std::vector<double> one = losses("one.onnx"),
                              two = losses("two.onnx");
    double largest = 0;
    for (size_t i = 0; i < one.size(); ++i)
      largest = std::max(largest, std::abs(two.at(i) / one[i] - 1));
    fmt::print(
        "R. ResNet-20 from ResNet-56, {} steps: losses of two ranks of 32 and "
        "one of 64 differ by at most {:.1e} of themselves\n",
        one.size(), largest);
  }

  const Options& options_;
  const test::TempDir folder_;
  const std::string data_;
};

int run(int argc, char** argv) {
  Options options;
  CLI::App app("Training that is killed, and shared by ranks", "resume_bench");
  app.add_option("--tables", options.tables, "K, R");
  app.add_option("--lathe", options.lathe, "the program");
  app.add_option("--kills", options.kills, "in table K");
  app.add_option("--steps", options.steps, "of a run in table K");
  app.add_option("--longest", options.longest, "seconds before a kill");
  app.add_option("--seed", options.seed, "of the moments");
  CLI11_PARSE(app, argc, argv);
  Bench(options).run();
  return 0;
}

}  // namespace
}  // namespace lathe::bench

int main(int argc, char** argv) {
  return lathe::bench::guarded_main("resume_bench", lathe::bench::run, argc,
                                    argv);
}
