// The network is written once, as a template over what carries it out: Trainer
// computes LibTorch tensors, Exporter adds nodes to a graph.
//
//   3x3 stem of stride 2 -> stages of residual blocks (two 3x3 convolutions, a
//   1x1 shortcut where the shape changes) -> global average -> linear
//   classifier
//
// Training: SGD with Nesterov momentum, cosine schedule with linear warm-up
// (Loshchilov and Hutter 2017), weight decay on convolution and classifier
// weights only.
#include "passes/distill/demo_teacher.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <thread>

#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/base/random.h"

namespace lathe::distill {
namespace {

constexpr int64_t kStemWidth = 32;
constexpr int64_t kStageWidths[] = {32, 64, 128};
constexpr int kBlocksPerStage = 1;
constexpr double kEpsilon = 1e-5;

template <class Builder>
typename Builder::Value network(Builder& b, typename Builder::Value x,
                                int64_t channels, int64_t classes) {
  auto unit = [&](const std::string& name, typename Builder::Value in,
                  int64_t from, int64_t to, int64_t kernel, int64_t stride) {
    return b.batch_norm(
        name + ".bn", b.conv(name + ".conv", in, from, to, kernel, stride), to);
  };
  x = b.relu(unit("stem", x, channels, kStemWidth, 3, 2));
  int64_t width = kStemWidth;
  for (size_t s = 0; s < std::size(kStageWidths); ++s) {
    for (int block = 0; block < kBlocksPerStage; ++block) {
      std::string name = fmt::format("stage{}.block{}", s + 1, block + 1);
      int64_t to = kStageWidths[s];
      int64_t stride = s > 0 && block == 0 ? 2 : 1;
      auto y = b.relu(unit(name + ".a", x, width, to, 3, stride));
      y = unit(name + ".b", y, to, to, 3, 1);
      if (stride != 1 || width != to)
        x = unit(name + ".shortcut", x, width, to, 1, stride);
      x = b.relu(b.add(y, x));
      width = to;
    }
  }
  return b.linear("classifier", b.global_average(x), width, classes);
}

// Named parameters and running statistics, created at first use.
struct Parameters {
  std::map<std::string, torch::Tensor> tensors;
  Random random{0};

  torch::Tensor normal(const std::string& name, std::vector<int64_t> shape,
                       double deviation) {
    return get(name, shape, /*trained=*/true,
               [&] { return static_cast<float>(deviation * random.normal()); });
  }
  torch::Tensor constant(const std::string& name, std::vector<int64_t> shape,
                         float value, bool trained) {
    return get(name, shape, trained, [&] { return value; });
  }

 private:
  template <class F>
  torch::Tensor get(const std::string& name, const std::vector<int64_t>& shape,
                    bool trained, F element) {
    auto it = tensors.find(name);
    if (it != tensors.end()) return it->second;
    torch::Tensor tensor = torch::empty(shape);
    float* data = tensor.data_ptr<float>();
    for (int64_t i = 0; i < tensor.numel(); ++i) data[i] = element();
    tensor.set_requires_grad(trained);
    tensors.emplace(name, tensor);
    return tensor;
  }
};

struct Trainer {
  using Value = torch::Tensor;
  Parameters& parameters;
  bool training = true;

  Value conv(const std::string& name, Value x, int64_t from, int64_t to,
             int64_t kernel, int64_t stride) {
    // He et al. 2015: variance 2 / fan-in.
    double deviation =
        std::sqrt(2.0 / static_cast<double>(from * kernel * kernel));
    Value weight = parameters.normal(name + ".weight",
                                     {to, from, kernel, kernel}, deviation);
    return torch::conv2d(x, weight, {}, stride, kernel / 2);
  }
  Value batch_norm(const std::string& name, Value x, int64_t channels) {
    return torch::batch_norm(
        x, parameters.constant(name + ".scale", {channels}, 1, true),
        parameters.constant(name + ".bias", {channels}, 0, true),
        parameters.constant(name + ".mean", {channels}, 0, false),
        parameters.constant(name + ".var", {channels}, 1, false), training,
        /*momentum=*/0.1, kEpsilon, /*cudnn_enabled=*/false);
  }
  Value relu(Value x) { return torch::relu(x); }
  Value add(Value a, Value b) { return a + b; }
  Value global_average(Value x) { return x.mean({2, 3}); }
  Value linear(const std::string& name, Value x, int64_t from, int64_t to) {
    return torch::linear(
        x,
        parameters.normal(name + ".weight", {to, from},
                          1.0 / std::sqrt(static_cast<double>(from))),
        parameters.constant(name + ".bias", {to}, 0, true));
  }
};

struct Exporter {
  using Value = ir::Value*;
  ir::Graph& graph;
  const Parameters& parameters;

  Value initializer(const std::string& name) {
    torch::Tensor tensor = parameters.tensors.at(name).detach().contiguous();
    std::span<const float> values(tensor.data_ptr<float>(),
                                  static_cast<size_t>(tensor.numel()));
    return graph.add_initializer(
        name, ir::Tensor::from<float>(tensor.sizes().vec(), values));
  }
  ir::Node* node(const char* op, const std::string& name,
                 std::vector<Value> inputs) {
    std::vector<std::string> outputs = {name + ".out"};
    ir::Node* added = graph.add_node(op, std::move(inputs), outputs);
    added->name = name;
    return added;
  }
  std::string numbered(const char* base) {
    return fmt::format("{}{}", base, ++counts[base]);
  }
  Value conv(const std::string& name, Value x, int64_t, int64_t, int64_t kernel,
             int64_t stride) {
    ir::Node* n = node("Conv", name, {x, initializer(name + ".weight")});
    n->set_attr("kernel_shape", std::vector<int64_t>{kernel, kernel});
    n->set_attr("strides", std::vector<int64_t>{stride, stride});
    n->set_attr("pads", std::vector<int64_t>(4, kernel / 2));
    return n->output();
  }
  Value batch_norm(const std::string& name, Value x, int64_t) {
    ir::Node* n =
        node("BatchNormalization", name,
             {x, initializer(name + ".scale"), initializer(name + ".bias"),
              initializer(name + ".mean"), initializer(name + ".var")});
    n->set_attr("epsilon", static_cast<float>(kEpsilon));
    return n->output();
  }
  Value relu(Value x) { return node("Relu", numbered("relu"), {x})->output(); }
  Value add(Value a, Value b) {
    return node("Add", numbered("add"), {a, b})->output();
  }
  Value global_average(Value x) {
    Value pooled = node("GlobalAveragePool", "pool", {x})->output();
    ir::Node* flat = node("Flatten", "flatten", {pooled});
    flat->set_attr("axis", int64_t{1});
    return flat->output();
  }
  Value linear(const std::string& name, Value x, int64_t, int64_t) {
    ir::Node* n =
        node("Gemm", name,
             {x, initializer(name + ".weight"), initializer(name + ".bias")});
    n->set_attr("transB", int64_t{1});
    return n->output();
  }
  std::map<std::string, int> counts;
};

torch::Tensor to_torch(const ir::Tensor& tensor) {
  // from_blob does not own; clone() does.
  return torch::from_blob(const_cast<float*>(tensor.data<float>().data()),
                          tensor.dims(), torch::kFloat)
      .clone();
}

// Learning rate at `step` of `steps`: linear warm-up over a twentieth, then a
// half cosine to zero.
double learning_rate(double peak, int64_t step, int64_t steps) {
  double warm_up = std::max(1.0, static_cast<double>(steps) / 20);
  double at = static_cast<double>(step);
  if (at < warm_up) return peak * (at + 1) / warm_up;
  double rest = std::max(1.0, static_cast<double>(steps) - warm_up);
  return peak * 0.5 * (1 + std::cos(std::numbers::pi * (at - warm_up) / rest));
}

torch::optim::SGD make_optimizer(const Parameters& parameters) {
  std::vector<torch::Tensor> decayed, plain;
  for (const auto& [name, tensor] : parameters.tensors) {
    if (!tensor.requires_grad()) continue;
    (name.ends_with(".weight") ? decayed : plain).push_back(tensor);
  }
  auto options = [](double weight_decay) {
    return std::make_unique<torch::optim::SGDOptions>(
        torch::optim::SGDOptions(0.1).momentum(0.9).nesterov(true).weight_decay(
            weight_decay));
  };
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(decayed, options(5e-4));
  groups.emplace_back(plain, options(0));
  return torch::optim::SGD(groups, torch::optim::SGDOptions(0.1));
}

}  // namespace

ir::Model train_demo_teacher(BatchSource& data, int64_t classes,
                             const TeacherOptions& options,
                             ProgressSink& progress,
                             const CancelToken* cancel) {
  if (!data.has_labels())
    throw Error(ErrorKind::kUsage, data.description(),
                "training the teacher needs labelled data");
  at::set_num_threads(effective_jobs(options.jobs));

  Parameters parameters;
  parameters.random = Random(derive_seed(options.seed, "teacher weights"));
  Trainer trainer{parameters};
  std::optional<torch::optim::SGD> optimizer;

  const int64_t steps_per_epoch = data.size() / options.batch_size;
  const int64_t steps = steps_per_epoch * options.epochs;
  if (steps_per_epoch == 0)
    throw Error(ErrorKind::kUsage, data.description(),
                fmt::format("has {} samples, fewer than one batch of {}",
                            data.size(), options.batch_size));
  progress.begin("train teacher", static_cast<uint64_t>(steps));
  int64_t channels = 0, height = 0, width = 0, step = 0;
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    ReadOptions read;
    read.batch_size = options.batch_size;
    read.shuffle_seed =
        static_cast<int64_t>(derive_seed(options.seed, "teacher order") >> 1);
    read.epoch = epoch;
    read.drop_last = true;
    auto reader = data.read(read);
    double loss_sum = 0;
    int64_t correct = 0, seen = 0;
    while (auto batch = reader->next()) {
      if (cancel) cancel->check();
      const ir::Tensor& images = batch->inputs.at(0).second;
      if (images.rank() != 4)
        throw Error(ErrorKind::kUsage, data.description(),
                    "the teacher trains on images [N, C, H, W]");
      channels = images.dims()[1];
      height = images.dims()[2];
      width = images.dims()[3];
      torch::Tensor target =
          torch::tensor(batch->labels, torch::TensorOptions(torch::kInt64));
      torch::Tensor logits =
          network(trainer, to_torch(images), channels, classes);
      torch::Tensor loss =
          torch::nll_loss(torch::log_softmax(logits, 1), target);
      // The first forward pass created the parameters.
      if (!optimizer) optimizer.emplace(make_optimizer(parameters));
      for (auto& group : optimizer->param_groups())
        static_cast<torch::optim::SGDOptions&>(group.options())
            .lr(learning_rate(0.1, step, steps));
      optimizer->zero_grad();
      loss.backward();
      optimizer->step();
      double value = loss.item<double>();
      if (!std::isfinite(value))
        throw Error(ErrorKind::kInternal, "train teacher",
                    fmt::format("the loss is not finite at step {}", step));
      loss_sum += value * static_cast<double>(batch->samples);
      correct += (logits.argmax(1) == target).sum().item<int64_t>();
      seen += batch->samples;
      ++step;
      progress.advance(
          1, fmt::format("epoch {}/{} loss {:.3f} accuracy {:.1f}%", epoch + 1,
                         options.epochs, loss_sum / static_cast<double>(seen),
                         100.0 * static_cast<double>(correct) /
                             static_cast<double>(seen)));
    }
  }
  progress.end();

  ir::Model model;
  model.ir_version = 8;
  model.opset_imports[""] = 17;
  model.producer_name = "lathe";
  model.graph->name = "demo_teacher";
  ir::ValueType input;
  input.elem = ir::DataType::kFloat;
  input.shape = {{ir::Dim::named("batch"), channels, height, width}};
  ir::Value* image = model.graph->add_input("image", input);
  Exporter exporter{*model.graph, parameters, {}};
  ir::Value* logits = network(exporter, image, channels, classes);
  model.graph->rename(logits, "logits");
  logits->type.elem = ir::DataType::kFloat;
  logits->type.shape = {{ir::Dim::named("batch"), classes}};
  model.graph->add_output(logits);
  return model;
}

}  // namespace lathe::distill
