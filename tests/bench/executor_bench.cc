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
#include <algorithm>
#include <chrono>
#include <ctime>

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/exec/program.h"
#include "passes/ir/shape_inference.h"
#include "tests/passes/exec/live_memory.h"

namespace lathe {
namespace {

struct Time {
  double wall_ms, cpu_ms;
};

Time now() {
  const auto of = [](clockid_t clock) {
    timespec time;
    clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) * 1e3 +
           static_cast<double>(time.tv_nsec) / 1e6;
  };
  return {of(CLOCK_MONOTONIC), of(CLOCK_PROCESS_CPUTIME_ID)};
}

struct Options {
  int threads = 2;
  int64_t batch = 64;
  int rounds = 15;
  int64_t segments = exec::kCheckpointsBySize;
};

// The network as a graph, batch free.
class GraphNet {
 public:
  explicit GraphNet(int64_t batch) : random_(1) {
    model_.opset_imports[""] = 17;
    ir::Value* x = graph().add_input(
        "x", {ir::DataType::kFloat, ir::to_shape({batch, 3, 32, 32})});
    x = relu(norm(conv(x, 3, 16, 1), 16));
    int64_t in = 16;
    for (int64_t width : {16, 32, 64})
      for (int block = 0; block < 3; ++block) {
        x = residual(x, in, width);
        in = width;
      }
    x = node("GlobalAveragePool", {x});
    x = node("Flatten", {x});
    x = node("Gemm", {x, weight({10, 64}, 0.1f), weight({10}, 0)});
    x->producer()->set_attr("transB", int64_t{1});
    graph().add_output(x);
    ir::infer_shapes(model_);
  }
  const ir::Model& model() const { return model_; }

 private:
  ir::Graph& graph() { return *model_.graph; }
  ir::Value* node(const std::string& op, std::vector<ir::Value*> inputs) {
    return graph()
        .add_node(op, std::move(inputs),
                  std::vector<std::string>{graph().unique_name(op)})
        ->output();
  }
  ir::Value* weight(std::vector<int64_t> dims, float scale, float offset = 0) {
    int64_t count = 1;
    for (int64_t size : dims) count *= size;
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values)
      value = offset + scale * static_cast<float>(random_.normal());
    return graph().add_constant(
        "w", ir::Tensor::from<float>(std::move(dims), values));
  }
  ir::Value* conv(ir::Value* x, int64_t in, int64_t out, int64_t stride) {
    ir::Value* y = node("Conv", {x, weight({out, in, 3, 3}, 0.1f)});
    y->producer()->set_attr("pads", std::vector<int64_t>{1, 1, 1, 1});
    y->producer()->set_attr("strides", std::vector<int64_t>{stride, stride});
    return y;
  }
  ir::Value* norm(ir::Value* x, int64_t width) {
    return node("BatchNormalization",
                {x, weight({width}, 0, 1), weight({width}, 0),
                 weight({width}, 0), weight({width}, 0, 1)});
  }
  ir::Value* relu(ir::Value* x) { return node("Relu", {x}); }
  ir::Value* integers(const std::vector<int64_t>& values) {
    return graph().add_constant("i", ir::Tensor::vector_i64(values));
  }
  ir::Value* residual(ir::Value* x, int64_t in, int64_t width) {
    const int64_t stride = in == width ? 1 : 2;
    ir::Value* y = relu(norm(conv(x, in, width, stride), width));
    y = norm(conv(y, width, width, 1), width);
    if (stride == 2) {
      const int64_t pad = (width - in) / 2;
      x = node("Slice", {x, integers({0, 0}), integers({1 << 30, 1 << 30}),
                         integers({2, 3}), integers({2, 2})});
      x = node("Pad", {x, integers({0, pad, 0, 0, 0, pad, 0, 0})});
    }
    return relu(node("Add", {y, x}));
  }

  ir::Model model_;
  Random random_;
};

struct BlockImpl : torch::nn::Module {
  BlockImpl(int64_t in, int64_t out)
      : stride(in == out ? 1 : 2),
        pad((out - in) / 2),
        first(register_module(
            "first", torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3)
                                           .stride(stride)
                                           .padding(1)
                                           .bias(false)))),
        second(register_module(
            "second",
            torch::nn::Conv2d(
                torch::nn::Conv2dOptions(out, out, 3).padding(1).bias(false)))),
        first_norm(register_module("first_norm", torch::nn::BatchNorm2d(out))),
        second_norm(
            register_module("second_norm", torch::nn::BatchNorm2d(out))) {}

  at::Tensor forward(at::Tensor x) {
    at::Tensor y = torch::relu(first_norm(first(x)));
    y = second_norm(second(y));
    if (stride == 2) {
      x = x.slice(2, 0, INT64_MAX, 2).slice(3, 0, INT64_MAX, 2);
      x = at::constant_pad_nd(x, {0, 0, 0, 0, pad, pad}, 0);
    }
    return torch::relu(y + x);
  }

  int64_t stride, pad;
  torch::nn::Conv2d first, second;
  torch::nn::BatchNorm2d first_norm, second_norm;
};
TORCH_MODULE(Block);

struct HandNet : torch::nn::Module {
  HandNet()
      : stem(register_module(
            "stem",
            torch::nn::Conv2d(
                torch::nn::Conv2dOptions(3, 16, 3).padding(1).bias(false)))),
        norm(register_module("norm", torch::nn::BatchNorm2d(16))),
        head(register_module("head", torch::nn::Linear(64, 10))) {
    int64_t in = 16;
    for (int64_t width : {16, 32, 64})
      for (int block = 0; block < 3; ++block) {
        blocks->push_back(Block(in, width));
        in = width;
      }
    register_module("blocks", blocks);
  }
  at::Tensor forward(at::Tensor x) {
    x = torch::relu(norm(stem(x)));
    x = blocks->forward(x);
    return head(at::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
  }
  torch::nn::Conv2d stem;
  torch::nn::BatchNorm2d norm;
  torch::nn::Sequential blocks;
  torch::nn::Linear head;
};

double median(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// What some rounds took.
struct Times {
  std::vector<double> wall, cpu;

  void add(const std::function<void()>& step) {
    const Time start = now();
    step();
    const Time end = now();
    wall.push_back(end.wall_ms - start.wall_ms);
    cpu.push_back(end.cpu_ms - start.cpu_ms);
  }
};

// Runs both in turns; which of them begins changes as well.
void compare(const char* what, int rounds, const std::function<void()>& mine,
             const char* other, const std::function<void()>& theirs) {
  for (int round = 0; round < 2; ++round) {  // warm-up
    mine();
    theirs();
  }
  Times a, b;
  for (int round = 0; round < rounds; ++round) {
    if (round % 2) b.add(theirs);
    a.add(mine);
    if (round % 2 == 0) b.add(theirs);
  }
  fmt::print(
      "{:<11} {:8.2f} ms, {} {:8.2f} ms, ratio {:.3f}; processor {:.3f}\n",
      what, median(a.wall), other, median(b.wall),
      median(a.wall) / median(b.wall), median(a.cpu) / median(b.cpu));
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
    const GraphNet net(options.batch);
    const auto program = exec::Program::compile(net.model());
    exec::CompileOptions checkpoints;
    checkpoints.checkpoint_segments = options.segments;
    const auto sparing = exec::Program::compile(net.model(), checkpoints);
    HandNet by_hand;
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
