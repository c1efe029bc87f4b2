// How fast the executor trains and evaluates, beside the same network written
// by hand in LibTorch's modules:
//   executor_bench [--threads N] [--batch N] [--rounds N] [--segments N]
// ResNet-20 on 32x32 images (He et al. 2016), with BatchNormalization and
// shortcuts that stride and pad channels with zeros. Both are run in turns;
// what counts are ratios of medians, of the wall clock's and of the processor's
// time, which other work on the machine disturbs less. Then memory: a training
// step with and without gradient checkpointing.
#include <fmt/format.h>
#include <torch/torch.h>

#include <CLI/CLI.hpp>

#include "passes/base/error.h"
#include "passes/exec/program.h"
#include "tests/bench/hand_net.h"
#include "tests/bench/measuring.h"
#include "tests/passes/exec/live_memory.h"

namespace lathe {
namespace {

struct Options {
  int threads = 2;
  int64_t batch = 64;
  int rounds = 15;
  int64_t segments = exec::kCheckpointsBySize;
};

// Runs both in turns.
void compare(const char* what, int rounds, const std::function<void()>& mine,
             const char* other, const std::function<void()>& theirs) {
  const auto [a, b] = bench::in_turns(rounds, /*warm_up=*/2, mine, theirs);
  fmt::print(
      "{:<11} {:8.2f} ms, {} {:8.2f} ms, ratio {:.3f}; processor {:.3f}\n",
      what, a.wall_ms, other, b.wall_ms, a.wall_ms / b.wall_ms,
      a.cpu_ms / b.cpu_ms);
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("The executor beside hand-written LibTorch modules");
  app.add_option("--threads", options.threads, "of LibTorch");
  app.add_option("--batch", options.batch, "images a step");
  app.add_option("--rounds", options.rounds, "of both, in turns");
  app.add_option("--segments", options.segments,
                 "of gradient checkpointing; -1: by the network's size, 0: "
                 "none");
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(options.threads);
  try {
    const bench::GraphNet net(options.batch);
    const auto program = exec::Program::compile(net.model());
    exec::CompileOptions checkpoints;
    checkpoints.checkpoint_segments = options.segments;
    const auto sparing = exec::Program::compile(net.model(), checkpoints);
    bench::HandNet by_hand;
    const at::Tensor x = at::randn({options.batch, 3, 32, 32});
    const at::Tensor labels =
        at::randint(10, {options.batch}, at::TensorOptions(at::kLong));
    const auto parameters_of = [](const exec::Program& of) {
      std::vector<at::Tensor> parameters;
      for (const auto& parameter : of.parameters())
        parameters.push_back(parameter.tensor);
      return parameters;
    };
    torch::optim::SGD mine_sgd(parameters_of(*program), 0.01),
        sparing_sgd(parameters_of(*sparing), 0.01),
        hand_sgd(by_hand.parameters(), 0.01);
    const auto step = [&](torch::optim::SGD& sgd,
                          const std::function<at::Tensor()>& forward) {
      sgd.zero_grad();
      torch::nn::functional::cross_entropy(forward(), labels).backward();
      sgd.step();
    };
    fmt::print("ResNet-20, batch {}, {} threads, {} and {} parameters\n",
               options.batch, options.threads, program->parameters().size(),
               by_hand.parameters().size());
    program->set_training(true);
    sparing->set_training(true);
    by_hand.train();
    const auto mine = [&] {
      step(mine_sgd, [&] { return program->run({{"x", x}})[0]; });
    };
    const auto hand = [&] {
      step(hand_sgd, [&] { return by_hand.forward(x); });
    };
    const auto with_checkpoints = [&] {
      step(sparing_sgd, [&] { return sparing->run({{"x", x}})[0]; });
    };
    compare("training", options.rounds, mine, "by hand", hand);
    const bool checkpointed = options.segments < 0 || options.segments > 1;
    if (checkpointed)
      compare("checkpoints", options.rounds, with_checkpoints, "without", mine);
    const auto mebibytes = [](const std::function<void()>& run) {
      return static_cast<double>(test::most_live_bytes(run)) / (1 << 20);
    };
    fmt::print(
        "memory      {:.1f} MiB, by hand {:.1f} MiB, checkpoints {:.1f} "
        "MiB\n",
        mebibytes(mine), mebibytes(hand), mebibytes(with_checkpoints));
    program->set_training(false);
    by_hand.eval();
    at::NoGradGuard no_grad;
    compare(
        "evaluation", 3 * options.rounds,
        [&] {
          program->run({{"x", x}});
        },
        "by hand", [&] { by_hand.forward(x); });
  } catch (const Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return exit_code(error.kind());
  }
  return 0;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) { return lathe::run(argc, argv); }
