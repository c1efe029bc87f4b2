// What pruning makes of latency and accuracy:
//   prune_bench [--tables A B C D S] [--seconds S] [--steps N] [--samples N]
//               [--evaluate N] [--json F]
// A: targets of 0.8, 0.6, 0.4 and 0.25 of the dense latency, estimated and
//    measured, interleaved with the dense model.
// B: ResNet-56 at half its latency against uniform pruning by L1 (every group
//    by the same ratio, widths a multiple of 8) to the same measured latency;
//    both repaired alike, then trained for a few steps on the labels.
// C: seconds and memory for twelve targets of ResNet-50.
// D: transformers at 0.6.
// S: the staircase: one width of ResNet-18 from 4 channels to all.
// A and B need the shared folder (LATHE_SHARED).
#include <fmt/format.h>
#include <sys/resource.h>
#include <torch/torch.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "calibration/latency/bench.h"
#include "calibration/latency/estimator/devices.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/exec/program.h"
#include "passes/prune/repair.h"
#include "passes/prune/saliency.h"
#include "passes/prune/solver.h"
#include "tests/bench/cifar_subjects.h"
#include "tests/bench/guarded_main.h"
#include "tests/bench/measuring.h"
#include "tests/zoo/zoo.h"

namespace lathe {
namespace {

struct Options {
  std::vector<std::string> tables{"A", "B", "C", "D"};
  double seconds = 3;
  int64_t steps = 1000, batch = 64, samples = 1024, evaluate = 5000;
  double rate = 0.005;
  std::string json;
};

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options), device_(latency::open_device("", 1)) {
    fmt::print("device {} ({}), runtime {}\n", device_.model->device(),
               device_.source, latency::runtime_version());
  }

  void run() {
    for (const std::string& table : options_.tables) {
      if (table == "A") targets();
      if (table == "B") quality();
      if (table == "C") solving();
      if (table == "D") transformers();
      if (table == "S") staircase();
    }
    if (!options_.json.empty())
      write_file_atomic(options_.json, json_.dump(1) + "\n");
  }

 private:
  // Without data its weights decide.
  using Subject = bench::Subject;

  Subject real(const std::string& name) const {
    return bench::with_cifar(name, bench::simplified(bench::cifar_model(name)),
                             /*train=*/20000, options_.evaluate);
  }

  static Subject from_zoo(const std::string& name) {
    return {name, zoo::build_zoo_model(name, 1), nullptr, nullptr};
  }

  PassContext context_for(const Subject& subject) const {
    return bench::context_for(subject, *device_.model);
  }

  ir::Model pruned(const Subject& subject, double ratio,
                   const std::string& saliency, Json* plan = nullptr) const {
    prune::PruneOptions options;
    options.saliency = saliency;
    options.samples = options_.samples;
    return bench::pruned(subject, ratio, std::move(options), *device_.model,
                         plan);
  }

  double estimate(const ir::Model& model) const {
    ir::Model bound = ir::clone(model);
    ir::bind_input_shapes(bound, ir::default_input_shapes(bound));
    ir::infer_shapes(bound);
    return device_.model->estimate(bound).latency.p50_us;
  }

  // Medians, interleaved.
  std::vector<MeasuredLatency> measure(
      const std::vector<const ir::Model*>& models) const {
    std::vector<std::unique_ptr<latency::Session>> sessions;
    std::vector<latency::BenchSubject> subjects;
    for (const ir::Model* model : models) {
      sessions.push_back(latency::Session::open(*model));
      subjects.push_back({"", sessions.back().get(),
                          latency::random_inputs(
                              *model, ir::default_input_shapes(*model), 1)});
    }
    latency::BenchOptions options;
    options.min_seconds = options_.seconds;
    options.max_runs = 4000;
    return latency::bench(subjects, options, silent_progress(), nullptr);
  }

  void row(const std::string& table, const Json& values) {
    json_[table].push_back(values);
  }

  void compare(const std::string& table, const Subject& subject,
               const std::vector<double>& ratios, const std::string& saliency) {
    std::vector<ir::Model> models;
    std::vector<Json> plans;
    std::vector<const ir::Model*> list{&subject.model};
    for (const double ratio : ratios) {
      plans.emplace_back();
      models.push_back(pruned(subject, ratio, saliency, &plans.back()));
    }
    for (const ir::Model& model : models) list.push_back(&model);
    const auto measured = measure(list);
    const double dense_us = estimate(subject.model);
    for (size_t i = 0; i < ratios.size(); ++i) {
      const double estimated = estimate(models[i]) / dense_us;
      const double is = measured[i + 1].median_us / measured[0].median_us;
      const double off = is / ratios[i] - 1;
      std::string accuracy;
      for (Json& group : plans[i]["groups"]) group.erase("removed");
      Json values = {{"model", subject.name},
                     {"target", ratios[i]},
                     {"estimated_ratio", estimated},
                     {"measured_ratio", is},
                     {"dense_us", measured[0].median_us},
                     {"noisy", measured[0].noisy || measured[i + 1].noisy},
                     {"groups", plans[i]["groups"]},
                     {"removed_blocks", plans[i]["removed_blocks"]}};
      if (subject.test) {
        values["top1"] = bench::top1(models[i], *subject.test);
        accuracy =
            fmt::format("  top-1 {:.2f}%", 100 * values["top1"].get<double>());
      }
      fmt::print(
          "{:<14} target {:.2f}  estimated {:.3f}  measured {:.3f}  ({:+.1f}%)"
          "{}{}\n",
          subject.name, ratios[i], estimated, is, 100 * off,
          values["noisy"].get<bool>() ? "  noisy" : "", accuracy);
      row(table, values);
    }
    std::fflush(stdout);
  }

  void targets() {
    fmt::print("\nA. targets of the dense latency\n");
    const std::vector<double> ratios{0.8, 0.6, 0.4, 0.25};
    for (const char* name : {"resnet20", "resnet56"})
      compare("A", real(name), ratios, "");
    for (const char* name : {"resnet50", "mobilenet_v2"})
      compare("A", from_zoo(name), ratios, "l1");
  }

  void transformers() {
    fmt::print("\nD. transformers, heads and feed-forward widths\n");
    for (const char* name : {"vit_tiny", "bert_tiny"})
      compare("D", from_zoo(name), {0.6}, "l1");
  }

  void solving() {
    const Subject subject = from_zoo("resnet50");
    const bench::Time start = bench::now();
    ir::Model bound = ir::clone(subject.model);
    const prune::ChannelGroups groups(bound);
    PassContext context = context_for(subject);
    prune::SaliencyOptions by_norm;
    by_norm.method = "l1";
    const auto loss = prune::measure_saliency(bound, groups, by_norm, context);
    const auto blocks = prune::find_residual_blocks(bound);
    const prune::WidthPricer pricer(bound, groups, blocks, *device_.model);
    prune::SolverOptions options;
    for (const auto& group : groups.groups())
      options.frozen.push_back(!group.frozen.empty() || group.rescaling);
    prune::WidthSolver solver(pricer, groups, blocks, loss, options);
    std::vector<double> limits;
    for (const double ratio :
         {0.9, 0.8, 0.7, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.27, 0.25})
      limits.push_back(ratio * solver.dense_latency_us());
    solver.solve(limits, silent_progress(), nullptr);
    const double seconds = (bench::now().wall_ms - start.wall_ms) / 1e3;
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    fmt::print(
        "\nC. ResNet-50, {} targets: {:.1f} s, peak of the process {} "
        "MiB\n",
        limits.size(), seconds, usage.ru_maxrss / 1024);
    row("C", {{"seconds", seconds}, {"peak_mib", usage.ru_maxrss / 1024}});
  }

  // Every group by the same ratio, to multiples of 8, by L1.
  ir::Model uniform(const Subject& subject, double ratio) const {
    PassContext context = context_for(subject);
    const prune::ChannelGroups groups(subject.model);
    prune::SaliencyOptions by_norm;
    by_norm.method = "l1";
    const auto loss =
        prune::measure_saliency(subject.model, groups, by_norm, context);
    prune::Selection selection = groups.everything();
    for (size_t i = 0; i < selection.size(); ++i) {
      const prune::ChannelGroup& group = groups.groups()[i];
      if (!group.frozen.empty()) continue;
      const int64_t width = std::clamp<int64_t>(
          8 * std::llround(ratio * static_cast<double>(group.units) / 8), 8,
          group.units);
      std::vector<size_t> order(selection[i].size());
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(
          order, [&](size_t a, size_t b) { return loss[i][a] > loss[i][b]; });
      for (size_t k = static_cast<size_t>(width); k < order.size(); ++k)
        selection[i][order[k]] = false;
    }
    ir::Model model = ir::clone(subject.model);
    prune::shrink(model, groups, selection);
    prune::RepairOptions repair;
    repair.samples = options_.samples;
    prune::repair(model, subject.model, groups, selection, repair, context);
    return model;
  }

  // SGD with momentum on the labels, cosine rate, gradients clipped at a norm
  // of 1; without augmentation.
  ir::Model trained(const ir::Model& model, BatchSource& data) const {
    ir::Model result = ir::clone(model);
    auto program = exec::Program::compile(result);
    program->set_training(true);
    std::vector<at::Tensor> parameters;
    for (const auto& parameter : program->parameters())
      parameters.push_back(parameter.tensor);
    torch::optim::SGD sgd(parameters, torch::optim::SGDOptions(options_.rate)
                                          .momentum(0.9)
                                          .weight_decay(1e-4));
    ReadOptions read;
    read.batch_size = options_.batch;
    read.shuffle_seed = 1;
    read.drop_last = true;
    std::unique_ptr<BatchReader> reader = data.read(read);
    for (int64_t step = 0; step < options_.steps; ++step) {
      auto batch = reader->next();
      if (!batch) {
        ++read.epoch;
        reader = data.read(read);
        batch = reader->next();
      }
      for (auto& group : sgd.param_groups())
        static_cast<torch::optim::SGDOptions&>(group.options())
            .lr(options_.rate * 0.5 *
                (1 + std::cos(M_PI * static_cast<double>(step) /
                              static_cast<double>(options_.steps))));
      exec::Program::Named inputs;
      for (const auto& [name, tensor] : batch->inputs)
        inputs.emplace_back(name, exec::to_torch(tensor));
      const at::Tensor labels = torch::tensor(batch->labels, at::kLong);
      sgd.zero_grad();
      torch::nn::functional::cross_entropy(program->run(inputs)[0], labels)
          .backward();
      torch::nn::utils::clip_grad_norm_(parameters, 1.0);
      sgd.step();
    }
    program->set_training(false);
    program->store(result);
    return result;
  }

  void quality() {
    fmt::print("\nB. ResNet-56 at half its latency\n");
    const Subject subject = real("resnet56");
    // Uniform ratios are few: what is measured nearest to the half, below it
    // where it can be, is what both are held to.
    std::vector<ir::Model> uniforms;
    std::vector<const ir::Model*> list{&subject.model};
    std::vector<double> ratios{0.9, 0.75, 0.6, 0.5, 0.3};
    for (const double ratio : ratios)
      uniforms.push_back(uniform(subject, ratio));
    for (const ir::Model& model : uniforms) list.push_back(&model);
    const auto measured = measure(list);
    size_t best = 0;
    double best_ratio = 1;
    for (size_t i = 0; i < uniforms.size(); ++i) {
      const double is = measured[i + 1].median_us / measured[0].median_us;
      const double accuracy = bench::top1(uniforms[i], *subject.test);
      fmt::print("uniform {:.2f}: measured {:.3f}  top-1 {:.2f}%\n", ratios[i],
                 is, 100 * accuracy);
      row("uniform",
          {{"share", ratios[i]}, {"measured_ratio", is}, {"top1", accuracy}});
      if (std::abs(is - 0.5) < std::abs(best_ratio - 0.5)) {
        best = i;
        best_ratio = is;
      }
    }
    const double target = std::min(0.5, best_ratio);
    const ir::Model mine = pruned(subject, target, "");
    const ir::Model* both[] = {&subject.model, &uniforms[best], &mine};
    const auto again = measure({both[0], both[1], both[2]});
    fmt::print("dense: top-1 {:.2f}%\n",
               100 * bench::top1(subject.model, *subject.test));
    for (size_t i = 1; i < 3; ++i) {
      const double before = bench::top1(*both[i], *subject.test);
      const double after =
          options_.steps > 0
              ? bench::top1(trained(*both[i], *subject.train), *subject.test)
              : 0;
      const double is = again[i].median_us / again[0].median_us;
      const char* name = i == 1 ? "uniform L1" : "Lathe";
      fmt::print(
          "{:<11} measured {:.3f}  top-1 {:.2f}% repaired, {:.2f}% after "
          "{} steps\n",
          name, is, 100 * before, 100 * after, options_.steps);
      std::fflush(stdout);
      row("B", {{"method", name},
                {"measured_ratio", is},
                {"top1", before},
                {"top1_trained", after},
                {"steps", options_.steps}});
    }
  }

  // One group of a dense network narrowed in steps, estimated and measured.
  void staircase() {
    const Subject subject = from_zoo("resnet18");
    const prune::ChannelGroups groups(subject.model);
    size_t chosen = 0;
    for (size_t i = 0; i < groups.groups().size(); ++i)
      if (groups.groups()[i].units == 128 && chosen == 0) chosen = i;
    const prune::ChannelGroup& group = groups.groups()[chosen];
    fmt::print("\nS. ResNet-18, the {} channels of {}\n", group.units,
               group.name);
    std::vector<ir::Model> models;
    std::vector<const ir::Model*> list{&subject.model};
    std::vector<int64_t> widths;
    for (int64_t width = 4; width < group.units; width += 4) {
      prune::Selection selection = groups.everything();
      for (int64_t unit = width; unit < group.units; ++unit)
        selection[chosen][static_cast<size_t>(unit)] = false;
      models.push_back(ir::clone(subject.model));
      prune::shrink(models.back(), groups, selection);
      widths.push_back(width);
    }
    for (const ir::Model& model : models) list.push_back(&model);
    const auto measured = measure(list);
    for (size_t i = 0; i < models.size(); ++i) {
      const double estimated = estimate(models[i]);
      fmt::print("{:>4} channels: estimated {:.0f} us, measured {:.0f} us\n",
                 widths[i], estimated, measured[i + 1].median_us);
      row("S", {{"width", widths[i]},
                {"estimated_us", estimated},
                {"measured_us", measured[i + 1].median_us}});
    }
  }

  const Options& options_;
  latency::OpenedDevice device_;
  Json json_ = Json::object();
};

int run(int argc, char** argv) {
  Options options;
  CLI::App app("What pruning makes of latency and accuracy", "prune_bench");
  app.add_option("--tables", options.tables, "A, B, C, D");
  app.add_option("--seconds", options.seconds, "measured for each model");
  app.add_option("--steps", options.steps, "of training in table B");
  app.add_option("--batch", options.batch, "of training");
  app.add_option("--rate", options.rate, "of training, at first");
  app.add_option("--samples", options.samples, "for saliency and repair");
  app.add_option("--evaluate", options.evaluate, "test images");
  app.add_option("--json", options.json, "file for the figures");
  CLI11_PARSE(app, argc, argv);
  Bench(options).run();
  return 0;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  return lathe::bench::guarded_main("prune_bench", lathe::run, argc, argv);
}
