// Networks with the data that they are pruned, trained and evaluated on.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "calibration/accuracy/accuracy.h"
#include "calibration/data/data.h"
#include "passes/base/json.h"
#include "passes/io/onnx/onnx.h"
#include "passes/latency_model.h"
#include "passes/prune/prune.h"
#include "passes/rewrite/rewrite.h"
#include "tests/support/shared.h"

namespace lathe::bench {

// Without data, where there is none.
struct Subject {
  std::string name;
  ir::Model model;
  std::unique_ptr<BatchSource> train, test;
};

inline ir::Model simplified(ir::Model model) {
  PassContext context;
  rewrite::make_simplify()->run(model, context);
  return model;
}

inline std::filesystem::path cifar_file(const std::string& name) {
  return test::shared_dir() / "models" / ("cifar10_" + name) / "model.onnx";
}

// "resnet20" as its file has it: BatchNormalization kept.
inline ir::Model cifar_model(const std::string& name) {
  return io::import_onnx(cifar_file(name));
}

inline constexpr const char* kCifarTrain = "cifar10_jpeg_train50k.tar.gz";
inline constexpr const char* kCifarTest = "cifar10_jpeg_test_dev5k.tar.gz";

// Of an archive's images, shuffled.
inline Json cifar_descriptor(const char* archive) {
  return {{"format", "image-folder"},
          {"path", std::filesystem::absolute(test::shared_dir() /
                                             "data/cifar10" / archive)
                       .string()},
          {"image",
           {{"scale", 1.0 / 255},
            {"mean", {0.485, 0.456, 0.406}},
            {"std", {0.229, 0.224, 0.225}}}},
          {"shuffle_seed", 0}};
}

// The first `limit` images of an archive; 0: all.
inline std::unique_ptr<BatchSource> open_cifar(const ir::Model& model,
                                               const char* archive,
                                               int64_t limit, int jobs) {
  data::OpenOptions open;
  open.limit = limit;
  open.jobs = jobs;
  return data::open_descriptor(
      JsonText::wrap(cifar_descriptor(archive), "bench"), "", ".", model, open);
}

// `model` with so many images of the training and the test set.
inline Subject with_cifar(std::string name, ir::Model model, int64_t train,
                          int64_t test, int jobs = 0) {
  Subject subject{std::move(name), std::move(model), nullptr, nullptr};
  subject.train =
      open_cifar(subject.model, "cifar10_jpeg_train50k.tar.gz", train, jobs);
  subject.test =
      open_cifar(subject.model, "cifar10_jpeg_test_dev5k.tar.gz", test, jobs);
  return subject;
}

inline double top1(const ir::Model& model, BatchSource& data) {
  return accuracy::evaluate(model, nullptr, data, {}, silent_progress(),
                            nullptr)
      .top1.value_or(0);
}

inline PassContext context_for(const Subject& subject,
                               const LatencyModel& latency) {
  PassContext context;
  context.latency = &latency;
  context.data = subject.train.get();
  return context;
}

// Pruned to `ratio` of the latency; repaired where there is data. `plan` may be
// null.
inline ir::Model pruned(const Subject& subject, double ratio,
                        prune::PruneOptions options,
                        const LatencyModel& latency, Json* plan = nullptr) {
  options.latency_limit_us = [=](double us) { return ratio * us; };
  options.repair = subject.train != nullptr;
  PassContext context = context_for(subject, latency);
  ir::Model model = ir::clone(subject.model);
  const PassResult result =
      prune::make_prune_channels(std::move(options))->run(model, context);
  if (plan) *plan = Json::parse(result.plan);
  return model;
}

}  // namespace lathe::bench
