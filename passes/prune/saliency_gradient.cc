// Saliency from gradients. A gate of 1 stands before everything that reads a
// unit; s, the loss's derivative by it, is the sum of activation * gradient
// over all of these places and their positions, because a unit goes from all of
// them at once. One run of the model, forth and back, gives s of every unit for
// one sample.
//
// taylor: E|s| (Molchanov et al. 2017, arXiv 1611.06440, equation 8, and 2019,
// arXiv 1906.10771). fisher: E s^2 / 2 (Theis et al. 2018, arXiv 1801.05787;
// over the members of a group, Liu et al. 2021, arXiv 2108.00708).
//
// Without labels the loss is how far the outputs move from what they are. Its
// gradient is 0 there; what is differentiated instead is a random projection of
// the outputs, drawn for each sample, whose square is expected to be the second
// derivative (Hutchinson's estimator): with signs v, of outputs y the
// projection v y / |y|, of probabilities v y / sqrt(y), whose square is the
// Fisher information with each class weighed by its probability (Martens 2020,
// arXiv 1412.1193, section 6).
#include <algorithm>
#include <cmath>

#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/base/random.h"
#include "passes/batch_source.h"
#include "passes/exec/model_part.h"
#include "passes/exec/program.h"
#include "passes/exec/single_thread.h"
#include "passes/exec/torch.h"
#include "passes/prune/gated_model.h"
#include "passes/prune/saliency_methods.h"

namespace lathe::prune {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr double kLeastProbability = 1e-12;

// --- What is differentiated ---------------------------------------------

// Probabilities along that axis; -1: none.
int64_t probability_axis(const at::Tensor& output) {
  if (output.dim() < 2 || output.numel() == 0 ||
      output.min().item<double>() < 0)
    return -1;
  for (const int64_t axis : {int64_t{1}, output.dim() - 1})
    if (output.size(axis) > 1 &&
        (output.sum(axis) - 1).abs().max().item<double>() < 1e-3)
      return axis;
  return -1;
}

at::Tensor signs_like(const at::Tensor& output, Random& random) {
  at::Tensor signs = at::empty(output.sizes());
  float* data = signs.data_ptr<float>();
  uint64_t bits = 0;
  for (int64_t i = 0; i < signs.numel(); ++i, bits >>= 1) {
    if (i % 64 == 0) bits = random.next();
    data[i] = bits & 1 ? 1.0f : -1.0f;
  }
  return signs.to(output.scalar_type());
}

void require_class_scores(const at::Tensor& output, const Batch& batch) {
  const int64_t samples = static_cast<int64_t>(batch.labels.size());
  if (output.dim() < 2 || output.size(0) != samples || output.size(1) < 2 ||
      output.numel() != samples * output.size(1))
    throw Error(ErrorKind::kUsage, "saliency",
                "labels are to count, but the first output is not [N, "
                "classes]",
                "without them, the model's own outputs are what counts");
}

// The gradient of the cross-entropy, each sample's own.
at::Tensor cross_entropy_seed(const at::Tensor& output,
                              const std::vector<int64_t>& labels) {
  const int64_t samples = output.size(0), classes = output.size(1);
  const at::Tensor rows = output.reshape({samples, classes});
  const bool probabilities = probability_axis(rows) == 1;
  at::Tensor seed = probabilities ? at::zeros_like(rows) : at::softmax(rows, 1);
  for (int64_t i = 0; i < samples; ++i) {
    const int64_t label = labels[static_cast<size_t>(i)];
    if (label < 0 || label >= classes)
      throw_input("label " + std::to_string(label),
                  "it is outside the model's classes, 0 to " +
                      std::to_string(classes - 1));
    at::Tensor right = seed[i][label];
    if (probabilities)
      right.sub_(rows[i][label].clamp_min(kLeastProbability).reciprocal());
    else
      right.sub_(1);
  }
  return seed.reshape(output.sizes());
}

// Its product with a small change of the output has an expected square of twice
// the divergence: Kullback and Leibler's, a mean over positions, of
// probabilities; of other outputs half the squared error over the output's own
// square. Of each sample, where the first axis counts them.
at::Tensor divergence_seed(const at::Tensor& output, int64_t samples,
                           Random& random) {
  const at::Tensor signs = signs_like(output, random);
  const int64_t axis = probability_axis(output);
  if (axis >= 0)
    return signs / output.clamp_min(kLeastProbability).sqrt() *
           std::sqrt(static_cast<double>(output.size(axis) * samples) /
                     static_cast<double>(output.numel()));
  const at::Tensor norms =
      output.reshape({samples, -1}).norm(2, 1, /*keepdim=*/true);
  return (signs.reshape({samples, -1}) / norms)
      .nan_to_num(0, 0, 0)
      .reshape(output.sizes());
}

// One backward pass.
struct Seeds {
  Tensors outputs, gradients;
};

// One a sample, or one in all where a batch cannot be told apart.
std::vector<Seeds> seeds_of(const Tensors& outputs, const Batch& batch,
                            bool labels, Random random) {
  const int64_t given = std::max<int64_t>(batch.samples, 1);
  const bool apart = std::ranges::all_of(outputs, [&](const at::Tensor& out) {
    return out.dim() > 0 && out.size(0) == given;
  });
  const int64_t samples = apart ? given : 1;
  if (labels) require_class_scores(outputs[0], batch);
  std::vector<Seeds> seeds(static_cast<size_t>(samples));
  for (const at::Tensor& output : outputs) {
    if (!output.requires_grad()) continue;
    const at::Tensor whole =
        labels ? cross_entropy_seed(output.detach(), batch.labels)
               : divergence_seed(output.detach(), samples, random);
    for (int64_t i = 0; i < samples; ++i) {
      at::Tensor own = samples > 1 ? at::zeros_like(whole) : whole;
      if (samples > 1) own[i].copy_(whole[i]);
      seeds[static_cast<size_t>(i)].outputs.push_back(output);
      seeds[static_cast<size_t>(i)].gradients.push_back(own);
    }
    if (labels) break;
  }
  return seeds;
}

// --- A sample -----------------------------------------------------------

// What the hooks of a run that goes on in this thread saw, one a site.
thread_local Tensors* t_seen = nullptr;

at::Tensor see(size_t site, const at::Tensor& value) {
  if (!t_seen || !value.is_floating_point()) return value;
  at::Tensor seen = value.requires_grad() ? value.view_as(value)
                                          : value.detach().requires_grad_(true);
  (*t_seen)[site] = seen;
  return seen;
}

// Adds the sums of value * gradient at each unit's positions.
void add_products(const at::Tensor& value, const at::Tensor& gradient,
                  const std::vector<Gate>& gates, Saliency& sums) {
  const at::NoGradGuard no_grad;
  const at::Tensor product = value.detach() * gradient;
  for (const Gate& gate : gates) {
    const at::Tensor along = product.movedim(gate.axis, 0)
                                 .reshape({product.size(gate.axis), -1})
                                 .sum(1)
                                 .to(at::kDouble);
    const double* data = along.data_ptr<double>();
    std::vector<double>& units = sums[gate.group];
    for (size_t u = 0; u < units.size(); ++u)
      for (const int64_t at : (*gate.positions)[u]) units[u] += data[at];
  }
}

class Differentiator {
 public:
  explicit Differentiator(const SaliencyTask& task)
      : task_(task),
        gated_(task.model, task.groups.groups()),
        program_(exec::Program::compile(gated_.model(),
                                        {.trainable =
                                             [this](const ir::Value& value) {
                                               return gated_.weights().contains(
                                                   value.name());
                                             }})),
        seed_(derive_seed(task.context.seed, "saliency")) {
    for (size_t i = 0; i < gated_.sites().size(); ++i)
      program_->set_hook(gated_.sites()[i].value, [i](const at::Tensor& value) {
        return see(i, value);
      });
    for (const exec::Program::Parameter& parameter : program_->parameters())
      weights_.emplace_back(parameter.tensor,
                            &gated_.weights().at(parameter.name));
  }

  // The derivatives by the gates, [backward pass][group][unit].
  std::vector<Saliency> gates_of(const Batch& batch, uint64_t index) const {
    const exec::SingleThread single;
    const at::AutoGradMode with_gradients(true);
    exec::Program::Named inputs;
    for (const auto& [name, tensor] : batch.inputs)
      inputs.emplace_back(name, exec::to_torch(tensor));
    Tensors seen(gated_.sites().size());
    t_seen = &seen;
    Tensors outputs;
    try {
      outputs = program_->run(inputs);
    } catch (...) {
      t_seen = nullptr;
      throw;
    }
    t_seen = nullptr;

    Tensors sources;
    std::vector<const std::vector<Gate>*> gates;
    for (size_t i = 0; i < seen.size(); ++i) {
      if (!seen[i].defined()) continue;
      sources.push_back(seen[i]);
      gates.push_back(&gated_.sites()[i].gates);
    }
    for (const auto& [tensor, of_weight] : weights_) {
      sources.push_back(tensor);
      gates.push_back(of_weight);
    }
    std::vector<Saliency> results;
    const std::vector<Seeds> seeds =
        seeds_of(outputs, batch, task_.labels, Random(seed_ + index));
    for (size_t pass = 0; pass < seeds.size(); ++pass) {
      results.push_back(no_saliency(task_.groups.groups()));
      if (seeds[pass].outputs.empty()) continue;
      const Tensors gradients = torch::autograd::grad(
          seeds[pass].outputs, sources, seeds[pass].gradients,
          /*retain_graph=*/pass + 1 < seeds.size(), /*create_graph=*/false,
          /*allow_unused=*/true);
      for (size_t i = 0; i < sources.size(); ++i)
        if (gradients[i].defined())
          add_products(sources[i], gradients[i], *gates[i], results.back());
    }
    return results;
  }

 private:
  const SaliencyTask& task_;
  const GatedModel gated_;
  const std::unique_ptr<exec::Program> program_;
  const uint64_t seed_;
  std::vector<std::pair<at::Tensor, const std::vector<Gate>*>> weights_;
};

// --- All samples --------------------------------------------------------

// The mean over samples of term(s).
template <class F>
Saliency mean_over_samples(const SaliencyTask& task, F&& term) {
  PassContext& context = task.context;
  const exec::SingleThread outer;
  const Differentiator differentiator(task);
  ReadOptions read;
  read.batch_size = exec::fixed_batch_size(*task.model.graph).value_or(1);
  read.drop_last =
      read.batch_size > 1 && context.data->size() >= read.batch_size;
  read.shuffle_seed =
      static_cast<int64_t>(derive_seed(context.seed, "saliency samples") >> 1);
  const std::unique_ptr<BatchReader> reader = context.data->read(read);
  const int jobs = effective_jobs(context.jobs);
  Saliency total = no_saliency(task.groups.groups());
  int64_t left = std::min(task.samples, context.data->size());
  uint64_t index = 0;
  double passes = 0;
  context.progress->begin("measure saliency",
                          static_cast<uint64_t>(std::max<int64_t>(left, 0)));
  while (left > 0) {
    std::vector<Batch> wave;
    int64_t samples = 0;
    while (static_cast<int>(wave.size()) < jobs && samples < left) {
      std::optional<Batch> batch = reader->next();
      if (!batch) break;
      samples += std::max<int64_t>(batch->samples, 1);
      wave.push_back(std::move(*batch));
    }
    if (wave.empty()) break;
    std::vector<std::vector<Saliency>> gates(wave.size());
    parallel_for(wave.size(), jobs, [&](size_t i) {
      context.check_cancelled();
      gates[i] = differentiator.gates_of(wave[i], index + i);
    });
    index += wave.size();
    for (const std::vector<Saliency>& of_batch : gates)
      for (const Saliency& of_sample : of_batch) {
        for (size_t g = 0; g < total.size(); ++g)
          for (size_t u = 0; u < total[g].size(); ++u)
            total[g][u] += term(of_sample[g][u]);
        ++passes;
      }
    left -= samples;
    context.progress->advance(static_cast<uint64_t>(samples));
  }
  context.progress->end();
  if (passes == 0)
    throw_input(context.data->description(), "the data has no samples");
  for (std::vector<double>& units : total)
    for (double& unit : units) unit /= passes;
  return total;
}

}  // namespace

Saliency taylor_saliency(const SaliencyTask& task) {
  return mean_over_samples(task, [](double s) { return std::abs(s); });
}

Saliency fisher_saliency(const SaliencyTask& task) {
  return mean_over_samples(task, [](double s) { return 0.5 * s * s; });
}

}  // namespace lathe::prune
