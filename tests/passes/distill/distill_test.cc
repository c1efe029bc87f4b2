// Small students of a small teacher.
#include "passes/base/file.h"
#include "passes/io/onnx/onnx.h"
#include "tests/passes/distill/distill_support.h"
#include "tests/passes/quantize/support.h"
#include "tests/support/shared.h"

namespace lathe::distill::test {
namespace {

double first_loss(const Distilled& made) {
  return made.training["curve"].front()["loss"];
}
double last_loss(const Distilled& made) {
  return made.training["curve"].back()["loss"];
}

// What the teacher says, for three in four samples.
std::vector<int64_t> labels_of(const ir::Model& teacher) {
  std::vector<int64_t> labels;
  const at::Tensor chosen = scores(teacher).argmax(1);
  for (int64_t i = 0; i < kSamples; ++i)
    labels.push_back((chosen[i].item<int64_t>() + (i % 4 == 0 ? 1 : 0)) %
                     kClasses);
  return labels;
}

// Stops a run at the step.
class StopAt final : public ProgressSink {
 public:
  explicit StopAt(int64_t step) : left_(step) {}
  void advance(uint64_t steps, std::string_view) override {
    left_ -= static_cast<int64_t>(steps);
    if (steps > 0 && left_ <= 0) token.cancel();
  }
  CancelToken token;

 private:
  int64_t left_;
};

ir::Model int8(const ir::Model& model) {
  ir::Model result = ir::clone(model);
  // Too narrow, all of them: [-1, 1].
  quantize::test::FixedRanges ranges;
  PassContext context;
  context.ranges = &ranges;
  quantize::make_quantize_static({})->run(result, context);
  return result;
}

std::string operators(const ir::Model& model) {
  std::string all;
  for (const auto& node : model.graph->nodes()) all += node->op_type + " ";
  return all;
}

TEST_CASE("distill: without labels a student comes to agree") {
  const ir::Model teacher = conv_net(8, 1);
  ir::Model student = conv_net(4, 2);
  const double before = agreement(student, teacher);
  Bench bench;
  const Distilled made = bench.run(student, teacher, quick(300));
  CHECK(last_loss(made) < 0.4 * first_loss(made));
  CHECK(agreement(student, teacher) > before + 0.2);
  CHECK(made.result.changes == 1);
  CHECK(made.remarks().starts_with(
      "loss: 1 kl\ntrained with a BatchNormalization behind each convolution, "
      "which is folded into it again\ntrained for 300 steps of 32 "
      "samples in "));
  CHECK(made.training["samples"] == 300 * 32);
  CHECK(made.training["curve"].back().contains("held_out_accuracy"));
  CHECK(operators(student) == operators(teacher));
}

TEST_CASE("distill: with labels, several losses, an average and mixup") {
  const ir::Model teacher = conv_net(8, 1);
  Bench bench;
  bench.samples = image_samples(labels_of(teacher));
  for (const double mixup : {0.0, 0.3}) {
    CAPTURE(mixup);
    ir::Model student = conv_net(4, 2);
    const double before = agreement(student, teacher);
    DistillOptions options = quick();
    options.train.mixup = mixup;
    options.train.ema_decay = 0.95;
    const Distilled made = bench.run(student, teacher, options);
    CHECK(made.remarks().starts_with("loss: 1 kl + 0.5 cross_entropy\n"));
    CHECK(last_loss(made) < 0.6 * first_loss(made));
    CHECK(agreement(student, teacher) > before + 0.2);
    const Json& terms = made.training["curve"].back()["terms"];
    CHECK(terms.size() == 2);
    CHECK(terms["kl"].get<double>() + terms["cross_entropy"].get<double>() ==
          doctest::Approx(last_loss(made)).epsilon(1e-4));
  }
}

TEST_CASE("distill: labels that are no classes") {
  const ir::Model teacher = conv_net(8, 1);
  Bench bench;
  bench.samples = image_samples(std::vector<int64_t>(kSamples, kClasses));
  for (const double mixup : {0.0, 0.3}) {
    ir::Model student = conv_net(4, 2);
    DistillOptions options = quick(2);
    options.train.mixup = mixup;
    CHECK(error_of(ErrorKind::kInput,
                   [&] { bench.run(student, teacher, options); }) ==
          "labels: found label 4, but the model has classes 0 to 3 (the data "
          "must have the model's classes)");
  }
}

TEST_CASE("distill: features, through adapters") {
  const ir::Model teacher = conv_net(8, 1);
  ir::Model student = conv_net(4, 2);
  Bench bench;
  DistillOptions options = quick();
  options.losses = {{.loss = "kl"}, {.loss = "features", .weight = 0.5}};
  const Distilled made = bench.run(student, teacher, options);
  CHECK(made.remarks().find("(4 channels) is held to ") != std::string::npos);
  const Json& curve = made.training["curve"];
  CHECK(curve.back()["terms"]["features"].get<double>() <
        0.8 * curve.front()["terms"]["features"].get<double>());
  // Adapters are no part of the result.
  CHECK(operators(student) == operators(teacher));
  CHECK(student.graph->initializers().size() == 6);
}

TEST_CASE("distill: a quantized student stays quantized, and runs") {
  const ir::Model teacher = conv_net(8, 1);
  ir::Model student = int8(teacher);
  const std::string before = operators(student);
  const double off =
      (scores(student) - scores(teacher)).square().mean().item<double>();
  Bench bench;
  DistillOptions options = quick(100);
  options.losses = {{.loss = "mse"}};
  options.train.optimizer = {};
  bench.run(student, teacher, options);
  CHECK(operators(student) == before);
  CHECK(before.find("DequantizeLinear") != std::string::npos);
  CHECK((scores(student) - scores(teacher)).square().mean().item<double>() <
        0.5 * off);
}

TEST_CASE("distill: blocks come nearer, each by itself") {
  const ir::Model teacher = conv_net(8, 1);
  // The teacher's own weights, disturbed.
  ir::Model student = ir::clone(teacher);
  for (ir::Value* value : student.graph->initializers()) {
    Random random(derive_seed(9, value->name()));
    std::vector<float> values = value->tensor().to_floats();
    for (float& v : values) v += static_cast<float>(0.05 * random.normal());
    value->set_tensor(ir::Tensor::from<float>(value->tensor().dims(), values));
  }
  const double before = agreement(student, teacher);
  Bench bench;
  DistillOptions options = quick();
  options.mode = TrainingMode::kBlocks;
  options.block_samples = 256;
  options.block_epochs = 20;
  const Distilled made = bench.run(student, teacher, options);
  CHECK(made.result.changes == 2);
  REQUIRE(made.result.remarks.size() == 3);
  CHECK(made.result.remarks[0].reason ==
        "2 blocks were trained, on 256 samples, 20 times each");
  for (size_t i = 1; i < 3; ++i) {
    const std::string& text = made.result.remarks[i].reason;
    double from = 0, to = 0;
    REQUIRE(std::sscanf(text.c_str(), "loss %lf before, %lf after", &from,
                        &to) == 2);
    CAPTURE(text);
    CHECK(to < 0.5 * from);
  }
  CHECK(made.result.remarks[2].node == "outputs");
  CHECK(agreement(student, teacher) > before);
}

TEST_CASE("distill: the same seed gives the same bytes") {
  const ir::Model teacher = conv_net(8, 1);
  Bench bench;
  const auto bytes = [&](const DistillOptions& options) {
    ir::Model student = conv_net(4, 2);
    bench.run(student, teacher, options);
    return io::export_onnx_bytes(student);
  };
  DistillOptions features = quick(20);
  features.losses = {{.loss = "features"}};
  DistillOptions blocks = quick();
  blocks.mode = TrainingMode::kBlocks;
  blocks.block_epochs = 2;
  for (const DistillOptions& options : {quick(20), features, blocks}) {
    bench.context.seed = 5;
    const std::string first = bytes(options);
    CHECK(first == bytes(options));
    bench.context.seed = 6;
    CHECK(first != bytes(options));
  }
}

TEST_CASE("distill: stopped, it goes on to the same bytes") {
  const ir::Model teacher = conv_net(8, 1);
  DistillOptions options = quick(30);
  options.losses = {{.loss = "kl"}};
  Bench bench;
  ir::Model whole = conv_net(4, 2);
  bench.run(whole, teacher, options);
  const std::string wanted = io::export_onnx_bytes(whole);
  const lathe::test::TempDir folder;
  bench.context.work_folder = folder.path() / "work";
  {
    StopAt stop(13);
    bench.context.progress = &stop;
    bench.context.cancel = &stop.token;
    ir::Model student = conv_net(4, 2);
    CHECK(error_of(ErrorKind::kInterrupted,
                   [&] { bench.run(student, teacher, options); }) ==
          "training: stopped after step 13 of 30 (the same command goes on "
          "from there)");
  }
  bench.context.progress = &silent_progress();
  bench.context.cancel = nullptr;
  ir::Model student = conv_net(4, 2);
  const Distilled resumed = bench.run(student, teacher, options);
  CHECK(resumed.training["resumed_at"] == 13);
  CHECK(
      resumed.remarks().ends_with("went on after step 13 of an earlier run\n"));
  CHECK(io::export_onnx_bytes(student) == wanted);
  // Answers of the teacher were kept: 256 records of four floats.
  const auto kept = bench.context.work_folder / kTeacherCacheFile;
  CHECK(std::filesystem::file_size(kept) == 4096 + kSamples * (16 + 8));
  // What is of no use any more goes, and what was killed while it was written.
  write_file_atomic(bench.context.work_folder / ".checkpoint.7-0.tmp", "half");
  forget_progress(bench.context.work_folder);
  std::vector<std::string> left;
  for (const auto& entry :
       std::filesystem::directory_iterator(bench.context.work_folder))
    left.push_back(entry.path().filename().string());
  CHECK(left == std::vector<std::string>{"metrics.jsonl"});
}

TEST_CASE("distill: another student's checkpoint is refused") {
  const ir::Model teacher = conv_net(8, 1);
  const lathe::test::TempDir folder;
  Bench bench;
  bench.context.work_folder = folder.path();
  ir::Model student = conv_net(4, 2);
  bench.run(student, teacher, quick(2));
  ir::Model other = conv_net(4, 3);
  const std::string refused =
      (folder.path() / exec::kCheckpointFile).string() +
      ": is the checkpoint of a run with other models, data or options (give "
      "what it was started with, or --restart to throw it away)";
  CHECK(error_of(ErrorKind::kInput,
                 [&] { bench.run(other, teacher, quick(2)); }) == refused);
  DistillOptions options = quick(2);
  options.text = "{\"steps\": 2}";
  student = conv_net(4, 2);
  CHECK(error_of(ErrorKind::kInput,
                 [&] { bench.run(student, teacher, options); }) == refused);
  options.train.restart = true;
  bench.run(other, teacher, options);
}

TEST_CASE("distill: how large weights are does not matter") {
  const ir::Model teacher = conv_net(16, 1);
  DistillOptions options = quick(80);
  options.train.optimizer = {};
  options.learning_rate = 0.03;
  for (const bool unfold : {false, true}) {
    CAPTURE(unfold);
    options.unfold_batch_norm = unfold;
    double last[2];
    for (const bool scales : {false, true}) {
      ir::Model student = conv_net(8, 2);
      if (scales) scale_inside(student, 100);
      Bench bench;
      last[scales ? 1 : 0] = last_loss(bench.run(student, teacher, options));
    }
    CHECK(last[1] < 1.25 * last[0]);
    CHECK(last[1] > 0.8 * last[0]);
  }
}

TEST_CASE("distill: a loss that is not finite leaves the last good model") {
  const ir::Model teacher = conv_net(8, 1);
  ir::Model student = conv_net(4, 2);
  const std::string before = io::export_onnx_bytes(student);
  const lathe::test::TempDir folder;
  Bench bench;
  bench.context.work_folder = folder.path();
  DistillOptions options = quick(40);
  options.unfold_batch_norm = false;
  options.learning_rate = 1e30;
  options.train.optimizer = {.weight_decay = 0};
  const std::string file = (folder.path() / "last_good.onnx").string();
  const std::string found = error_of(
      ErrorKind::kInternal, [&] { bench.run(student, teacher, options); });
  CHECK(found.starts_with("training step 2: the loss (its part 'kl') is "));
  CHECK(found.ends_with(
      "; the last good weights are in " + file +
      " (start anew with a lower learning rate, such as 1e+29)"));
  CHECK(io::export_onnx_bytes(io::import_onnx(file)) == before);
  CHECK(io::export_onnx_bytes(student) == before);
}

TEST_CASE("distill: a model that fixes its batch") {
  const ir::Model teacher = conv_net(8, 1, "8");
  ir::Model student = conv_net(4, 2, "8");
  Bench bench;
  bench.samples = image_samples({}, 60);
  DistillOptions options = quick(6);
  options.train.batch_size = 20;
  options.train.held_out = 20;
  const Distilled made = bench.run(student, teacher, options);
  CHECK(made.remarks().starts_with(
      "the model takes 8 samples at a time: 2 of them make a step\nloss: 1 "
      "kl\n"));
  CHECK(made.training["samples"] == 6 * 16);
  CHECK(made.training["curve"].back().contains("held_out_loss"));
}

TEST_CASE("distill: what it needs") {
  const ir::Model teacher = conv_net(8, 1);
  ir::Model student = conv_net(4, 2);
  PassContext context;
  const auto run = [&] { make_distill(quick(2))->run(student, context); };
  CHECK(error_of(ErrorKind::kUsage, run) ==
        "distill: needs samples to train on (give --data)");
  auto samples = image_samples();
  context.data = &samples;
  CHECK(error_of(ErrorKind::kUsage, run) ==
        "distill: needs a teacher (give --teacher)");
  Bench bench;
  DistillOptions options = quick(2);
  options.train.augment = true;
  options.train.augmentation.flip = true;
  CHECK(error_of(ErrorKind::kUsage,
                 [&] { bench.run(student, teacher, options); }) ==
        "augment: varies images that are read from files, but the data is "
        "memory (leave it out)");
  options = quick(2);
  options.mode = TrainingMode::kBlocks;
  options.losses = {{.loss = "features"}};
  CHECK(error_of(ErrorKind::kUsage,
                 [&] { bench.run(student, teacher, options); }) ==
        "losses: blocks are held to the teacher's values by themselves; only "
        "losses on outputs can be chosen (leave 'features' out)");
  bench.samples.synthetic = true;
  CHECK(bench.run(student, teacher, quick(2))
            .remarks()
            .starts_with("the student learns from synthetic samples: it will "
                         "be like its teacher on those alone\n"));
  const lathe::test::TempDir folder;
  write_file_atomic(folder.path() / "file", "");
  bench.context.work_folder = folder.path() / "file" / "below";
  CHECK(error_of(ErrorKind::kIo,
                 [&] { bench.run(student, teacher, quick(2)); }) ==
        bench.context.work_folder.string() +
            ": cannot be made: Not a directory");
}

}  // namespace
}  // namespace lathe::distill::test
