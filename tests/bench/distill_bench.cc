// What distillation costs and gains:
//   distill_bench [--tables A B C] [--steps N] [--batch N] [--rounds N]
//                 [--threads N] [--rate R] [--train N] [--evaluate N] [--plain]
//                 [--student FILE] [--trained] [--json FILE]
// A: samples a second of training ResNet-20 by ResNet-56 with KL alone, SGD
//    with Nesterov momentum, images decoded and varied meanwhile; beside the
//    same work written by hand in LibTorch with the same reader, in turns.
// B: what each loss gains for a minute of the processor: ResNet-56 pruned to
//    half its latency (or --student) trained for so many steps, losses on
//    features with KL beside them; last what `lathe distill` takes by itself.
// C: ResNet-20 from random weights (--trained: from those of its file), on
//    labels alone and with ResNet-56 as its teacher, for the same steps.
// Without the shared folder (LATHE_SHARED) A takes random weights and synthetic
// images; B and C need it.
#include <fmt/format.h>
#include <torch/torch.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "calibration/latency/estimator/devices.h"
#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/random.h"
#include "passes/distill/distill_task.h"
#include "passes/distill/model_shapes.h"
#include "passes/exec/training_data.h"
#include "passes/exec/training_step.h"
#include "tests/bench/cifar_subjects.h"
#include "tests/bench/guarded_main.h"
#include "tests/bench/hand_net.h"
#include "tests/bench/measuring.h"

namespace lathe {
namespace {

using bench::Subject;
using bench::Time;

constexpr bench::ResNetSize kStudentSize{.blocks = 3},
    kTeacherSize{.blocks = 9};
constexpr int64_t kRoundSteps = 4;      // of table A
constexpr int64_t kReadSamples = 5120;  // of table A, by the reader alone

struct Options {
  std::vector<std::string> tables{"A", "B", "C"};
  int64_t steps = 300, batch = 128, train = 50000, evaluate = 5000;
  int threads = 2, rounds = 9;
  double rate = 0;
  bool plain = false, trained = false;
  std::string student, json;
};

distill::LossSpec loss_spec(const std::string& name) {
  distill::LossSpec spec;
  spec.loss = name;
  spec.settings = distill::find_loss(name).defaults;
  return spec;
}

// What `lathe distill` does between a batch and the next one.
class LatheSide {
 public:
  LatheSide(const ir::Model& student, const ir::Model& teacher,
            BatchSource& data, const exec::TrainOptions& options, int threads)
      : executor_(latency::make_runtime_executor(threads, /*spin=*/false)),
        twin_(student),
        task_(parts(student, teacher, data)),
        data_(data, options, /*seed=*/0, /*rank=*/0, /*ranks=*/1),
        step_(task_, options, {}, data_, /*seed=*/0),
        rate_(options.optimizer.learning_rate) {
    task_.set_training(true);
  }

  // The reader begins anew where it is, so that nothing is read ahead.
  void begin() { data_.seek(data_.position()); }
  double step() { return step_.run(steps_++, rate_).loss; }
  double waited_s() const { return data_.waited_s(); }

 private:
  distill::DistillTask::Parts parts(const ir::Model& student,
                                    const ir::Model& model,
                                    const BatchSource& data) const {
    PassContext context;
    context.input = &model;
    const ir::Model teacher = distill::simplified_teacher(context);
    distill::DistillOptions options;
    options.losses = {loss_spec("kl")};
    distill::DistillTask::Parts made;
    made.twin = &twin_;
    made.objective = distill::make_objective(
        options, distill::with_shapes(student, context),
        distill::with_shapes(teacher, context), data.has_labels());
    made.teacher =
        std::make_unique<distill::Teacher>(teacher, std::vector<std::string>(),
                                           at::kCPU, executor_.get(), nullptr);
    return made;
  }

  std::unique_ptr<Executor> executor_;
  distill::TrainingTwin twin_;
  distill::DistillTask task_;
  exec::TrainingData data_;
  exec::TrainingStep step_;
  double rate_;
  int64_t steps_ = 0;
};

// The same as people write it.
class HandSide {
 public:
  HandSide(const ir::Model& student, const ir::Model& teacher,
           BatchSource& data, const exec::TrainOptions& options)
      : student_(kStudentSize),
        teacher_(kTeacherSize),
        data_(data),
        clip_norm_(options.clip_norm),
        sgd_(groups(student_, options.optimizer), sgd(options.optimizer)) {
    bench::load_weights(student_, student);
    bench::load_weights(teacher_, teacher);
    student_.train();
    teacher_.eval();
    read_.batch_size = options.batch_size;
    read_.shuffle_seed = static_cast<int64_t>(derive_seed(0, "order") >> 1);
    read_.drop_last = true;
    read_.augment = options.augment && data.has_images();
    if (read_.augment) read_.augmentation = options.augmentation;
  }

  void begin() { reader_ = data_.read(read_); }

  double step() {
    const Batch batch = next();
    const at::Tensor x = exec::to_torch(batch.inputs[0].second);
    at::Tensor wanted;
    {
      const torch::NoGradGuard no_grad;
      wanted = at::softmax(teacher_.forward(x) / kTemperature, 1);
    }
    sgd_.zero_grad();
    const at::Tensor log_scores =
        at::log_softmax(student_.forward(x) / kTemperature, 1);
    const at::Tensor loss =
        torch::nn::functional::kl_div(
            log_scores, wanted,
            torch::nn::functional::KLDivFuncOptions().reduction(
                torch::kBatchMean)) *
        (kTemperature * kTemperature);
    loss.backward();
    if (clip_norm_ > 0)
      torch::nn::utils::clip_grad_norm_(student_.parameters(), clip_norm_);
    sgd_.step();
    return loss.item<double>();
  }
  double waited_s() const { return waited_s_; }

 private:
  static constexpr double kTemperature = 4;

  static torch::optim::SGDOptions sgd(const exec::OptimizerOptions& options) {
    return torch::optim::SGDOptions(options.learning_rate)
        .momentum(options.momentum)
        .nesterov(options.nesterov)
        .weight_decay(options.weight_decay);
  }

  // Weights decay, what is a vector does not.
  static std::vector<torch::optim::OptimizerParamGroup> groups(
      const bench::HandNet& net, const exec::OptimizerOptions& options) {
    std::vector<at::Tensor> decaying, plain;
    for (const at::Tensor& tensor : net.parameters())
      (tensor.dim() > 1 ? decaying : plain).push_back(tensor);
    return {
        {decaying, std::make_unique<torch::optim::SGDOptions>(sgd(options))},
        {plain, std::make_unique<torch::optim::SGDOptions>(
                    sgd(options).weight_decay(0))}};
  }

  Batch next() {
    const Time start = bench::now();
    std::optional<Batch> batch = reader_->next();
    if (!batch) {
      ++read_.epoch;
      read_.first_sample = 0;
      begin();
      batch = reader_->next();
    }
    read_.first_sample += batch->samples;
    waited_s_ += (bench::now().wall_ms - start.wall_ms) / 1e3;
    return *std::move(batch);
  }

  bench::HandNet student_, teacher_;
  BatchSource& data_;
  ReadOptions read_;
  std::unique_ptr<BatchReader> reader_;
  double clip_norm_;
  torch::optim::SGD sgd_;
  double waited_s_ = 0;
};

// Normal weights of He et al. 2015 (arXiv 1502.01852, equation 10), zeros for
// biases, normalizations that have seen nothing. Gemm as [out, in].
void forget_weights(ir::Model& model, uint64_t seed) {
  Random random(seed);
  const auto fill = [&](ir::Value* value, double mean, double deviation) {
    if (!value) return;
    std::vector<float> values(static_cast<size_t>(value->tensor().size()));
    for (float& number : values)
      number = static_cast<float>(mean + deviation * random.normal());
    value->set_tensor(ir::Tensor::from<float>(value->tensor().dims(), values));
  };
  for (const ir::Node* node : model.graph->node_list()) {
    if (node->is("Conv") || node->is("Gemm")) {
      const ir::Tensor& weight = node->input(1)->tensor();
      const auto fan_in = static_cast<double>(weight.size() / weight.dims()[0]);
      fill(node->input(1), 0, std::sqrt(2 / fan_in));
      fill(node->input(2), 0, 0);
    } else if (node->is("BatchNormalization")) {
      const double neutral[] = {1, 0, 0, 1};
      for (size_t i = 0; i < 4; ++i) fill(node->input(i + 1), neutral[i], 0);
    }
  }
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {
    at::set_num_threads(options.threads);
  }

  void run() {
    for (const std::string& table : options_.tables) {
      if (table == "A") throughput();
      if (table == "B") losses();
      if (table == "C") labels_or_teacher();
    }
    if (!options_.json.empty())
      write_file_atomic(options_.json, json_.dump(1) + "\n");
  }

 private:
  exec::TrainOptions train_options() const {
    exec::TrainOptions train;
    train.steps = options_.steps;
    train.batch_size = options_.batch;
    if (options_.rate > 0) train.optimizer.learning_rate = options_.rate;
    train.augment = !options_.plain;
    train.augmentation.flip = true;  // He et al. 2016, section 4.2
    train.augmentation.shift = 4;
    return train;
  }

  void row(const std::string& table, const Json& values) {
    json_[table].push_back(values);
  }

  // --- A ---------------------------------------------------------------------

  // Samples a second of the reader while nothing else computes.
  static double read_alone(BatchSource& data, const exec::TrainOptions& train) {
    ReadOptions read;
    read.batch_size = train.batch_size;
    read.shuffle_seed = 1;
    read.augment = train.augment && data.has_images();
    if (read.augment) read.augmentation = train.augmentation;
    int64_t samples = 0;
    const Time took = bench::measure([&] {
      const auto reader = data.read(read);
      while (samples < kReadSamples) {
        const auto batch = reader->next();
        if (!batch) break;
        samples += batch->samples;
      }
    });
    return static_cast<double>(samples) / took.wall_ms * 1e3;
  }

  void throughput() {
    const bool real = std::filesystem::exists(bench::cifar_file("resnet56"));
    const auto model = [&](const char* name, bench::ResNetSize size) {
      return real ? bench::cifar_model(name)
                  : ir::clone(bench::GraphNet(options_.batch, size).model());
    };
    const ir::Model student = model("resnet20", kStudentSize);
    const ir::Model teacher = model("resnet56", kTeacherSize);
    data::OpenOptions open;
    open.jobs = options_.threads;
    open.limit = options_.train;
    const std::unique_ptr<BatchSource> data =
        real ? bench::open_cifar(student, bench::kCifarTrain, options_.train,
                                 options_.threads)
             : data::open_data("synthetic", student, open);
    const exec::TrainOptions train = train_options();
    LatheSide lathe(student, teacher, *data, train, options_.threads);
    HandSide hand(student, teacher, *data, train);
    fmt::print(
        "\nA. ResNet-20 from ResNet-56 by KL, batch {}, {} threads, {} rounds "
        "of {} steps in turns, {}\n",
        options_.batch, options_.threads, options_.rounds, kRoundSteps,
        data->description());
    double wall_s[2] = {}, first[2] = {NAN, NAN}, last[2] = {};
    const auto round = [&](auto& side, int which) {
      return [&, which] {
        const double start = bench::now().wall_ms;
        side.begin();
        for (int64_t i = 0; i < kRoundSteps; ++i) {
          last[which] = side.step();
          if (std::isnan(first[which])) first[which] = last[which];
        }
        wall_s[which] += (bench::now().wall_ms - start) / 1e3;
      };
    };
    const auto [mine, theirs] = bench::in_turns(
        options_.rounds, /*warm_up=*/1, round(lathe, 0), round(hand, 1));
    const auto rate = [&](const Time& time) {
      return static_cast<double>(kRoundSteps * options_.batch) / time.wall_ms *
             1e3;
    };
    const double alone = read_alone(*data, train);
    const double waited = lathe.waited_s() / wall_s[0],
                 hand_waited = hand.waited_s() / wall_s[1];
    fmt::print(
        "samples/s    Lathe {:.1f}, by hand {:.1f}, ratio {:.3f}; processor "
        "{:.3f}\n"
        "loader       waited for {:.2f}% of the time, by hand {:.2f}%; {:.0f} "
        "samples/s alone\n"
        "loss         {:.5f} at first, by hand {:.5f}; {:.5f} at last, by hand "
        "{:.5f}\n",
        rate(mine), rate(theirs), rate(mine) / rate(theirs),
        theirs.cpu_ms / mine.cpu_ms, 100 * waited, 100 * hand_waited, alone,
        first[0], first[1], last[0], last[1]);
    std::fflush(stdout);
    row("A", {{"samples_per_s", rate(mine)},
              {"by_hand_samples_per_s", rate(theirs)},
              {"ratio", rate(mine) / rate(theirs)},
              {"processor_ratio", theirs.cpu_ms / mine.cpu_ms},
              {"waited_share", waited},
              {"by_hand_waited_share", hand_waited},
              {"reader_samples_per_s", alone},
              {"first_loss", first[0]},
              {"by_hand_first_loss", first[1]},
              {"real", real}});
  }

  // --- B and C ---------------------------------------------------------------

  // Trains a copy by the pass; prints and keeps a row.
  void train(const std::string& table, const std::string& name,
             const ir::Model& student, double before, const Subject& teacher,
             std::vector<distill::LossSpec> losses) {
    distill::DistillOptions options;
    options.losses = std::move(losses);
    options.train = train_options();
    if (options_.rate > 0) options.learning_rate = options_.rate;
    const std::unique_ptr<Executor> executor =
        latency::make_runtime_executor(options_.threads, /*spin=*/false);
    PassContext context;
    context.jobs = options_.threads;
    context.data = teacher.train.get();
    context.input = &teacher.model;
    context.batch_executor = executor.get();
    ir::Model model = ir::clone(student);
    Json training;
    const Time took = bench::measure([&] {
      training = Json::parse(
          distill::make_distill(options)->run(model, context).training);
    });
    const double minutes = took.cpu_ms / 60e3;
    const double after = bench::top1(model, *teacher.test);
    const double gained = 100 * (after - before);
    fmt::print(
        "{:<14} {:>8.2f} {:>8.1f} {:>8.2f} {:>8.2f} {:>8.2f} {:>10.2f}\n", name,
        minutes, took.wall_ms / 1e3, 100 * before, 100 * after, gained,
        gained / minutes);
    std::fflush(stdout);
    row(table, {{"name", name},
                {"steps", options_.steps},
                {"batch", options_.batch},
                {"cpu_minutes", minutes},
                {"seconds", took.wall_ms / 1e3},
                {"top1_before", before},
                {"top1", after},
                {"points_per_cpu_minute", gained / minutes},
                {"training", training}});
  }

  void head(const char* title, double teacher) const {
    fmt::print(
        "\n{}: {} steps of {}; the teacher has {:.2f}%\n"
        "{:<14} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10}\n",
        title, options_.steps, options_.batch, 100 * teacher, "", "CPU min",
        "seconds", "before", "top-1", "gained", "per CPU min");
    std::fflush(stdout);
  }

  Subject teacher() const {
    return bench::with_cifar(
        "resnet56", bench::simplified(bench::cifar_model("resnet56")),
        options_.train, options_.evaluate, options_.threads);
  }

  ir::Model half_the_latency(const Subject& dense) const {
    if (options_.student.empty())
      return bench::pruned(dense, 0.5, {}, *latency::open_device("", 1).model);
    ir::Model model = ir::clone(dense.model);
    PassContext context;
    distill::make_load_student(options_.student)->run(model, context);
    return model;
  }

  void losses() {
    const Subject dense = teacher();
    const ir::Model student = half_the_latency(dense);
    const double before = bench::top1(student, *dense.test);
    head("B. losses", bench::top1(dense.model, *dense.test));
    for (const distill::LossRow& loss : distill::loss_table()) {
      std::vector<distill::LossSpec> sum{loss_spec(loss.name)};
      std::string name = loss.name;
      if (loss.place == distill::LossPlace::kFeature) {
        sum.push_back(loss_spec("kl"));
        name += " + kl";
      }
      train("B", name, student, before, dense, std::move(sum));
    }
    train("B", "default", student, before, dense, {});
  }

  void labels_or_teacher() {
    const Subject large = teacher();
    ir::Model student = bench::cifar_model("resnet20");
    if (!options_.trained) forget_weights(student, /*seed=*/1);
    const double before = bench::top1(student, *large.test);
    head("C. ResNet-20", bench::top1(large.model, *large.test));
    train("C", "labels alone", student, before, large,
          {loss_spec("cross_entropy")});
    train("C", "with a teacher", student, before, large, {});
  }

  const Options& options_;
  Json json_ = Json::object();
};

int run(int argc, char** argv) {
  Options options;
  CLI::App app("What distillation costs and gains", "distill_bench");
  app.add_option("--tables", options.tables, "A, B, C");
  app.add_option("--steps", options.steps, "of training in tables B and C");
  app.add_option("--batch", options.batch, "samples to a step");
  app.add_option("--rounds", options.rounds, "of table A, in turns");
  app.add_option("--threads", options.threads, "of everything");
  app.add_option("--rate", options.rate,
                 "learning rate; 0: 0.01, from random weights 0.05");
  app.add_option("--train", options.train, "training images");
  app.add_option("--evaluate", options.evaluate, "test images");
  app.add_flag("--plain", options.plain, "images as they are, not varied");
  app.add_flag("--trained", options.trained,
               "table C begins with the weights of the student's file");
  app.add_option("--student", options.student,
                 "model file for table B, in place of one pruned here");
  app.add_option("--json", options.json, "file for the figures");
  CLI11_PARSE(app, argc, argv);
  Bench(options).run();
  return 0;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  return lathe::bench::guarded_main("distill_bench", lathe::run, argc, argv);
}
