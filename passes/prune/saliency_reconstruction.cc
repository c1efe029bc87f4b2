// Saliency from the Gram matrix G of what a weight W reads: the squared error
// of its product that is left when the rows S of W go and the others, and a
// bias, are fitted again by least squares (so G is taken about the mean),
//
//   tr(W_S^T ((G^-1)_SS)^-1 W_S)
//
// (Hassibi and Stork 1993, "Second Order Derivatives for Network Pruning", for
// one weight; a block at a time, Kurtic et al. 2022, arXiv 2203.07259). Divided
// by the product's sum of squares about its mean, and summed over all that
// reads the unit.
#include <algorithm>
#include <tuple>
#include <utility>

#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/exec/program.h"
#include "passes/exec/single_thread.h"
#include "passes/exec/torch.h"
#include "passes/prune/feature_sets.h"
#include "passes/prune/saliency_methods.h"

namespace lathe::prune {
namespace {

constexpr double kRidge = 1e-4;  // times the mean of G's diagonal
constexpr int kAttempts = 6;     // each with ten times the ridge
// Variances below so much of a square are what float sums leave of none.
constexpr double kRounding = 1e-6;
// Of the Gram matrices that one pass over the data gathers.
constexpr int64_t kMostBytes = int64_t{512} << 20;
constexpr int64_t kMostGathered = int64_t{4} << 20;  // elements of W_S

at::Tensor square_matrix(const exec::GramMatrix& gram) {
  at::Tensor matrix = at::empty({gram.size, gram.size});
  std::ranges::copy(gram.sums, matrix.data_ptr<float>());
  return matrix.to(at::kDouble);
}

// (G + ridge)^-1
at::Tensor damped_inverse(const at::Tensor& gram, double mean) {
  double ridge = kRidge;
  for (int attempt = 0; attempt < kAttempts; ++attempt, ridge *= 10) {
    at::Tensor work = gram.clone();
    work.diagonal().add_(ridge * mean);
    at::Tensor info;
    std::tie(work, info) = at::linalg_cholesky_ex(work);
    if (info.item<int>() == 0) return at::cholesky_inverse(work);
  }
  throw_internal("saliency", "the Gram matrix cannot be factored");
}

// About the mean of the rows, of which the last feature, 1, has the sums.
at::Tensor centered(const at::Tensor& gram) {
  const int64_t size = gram.size(0) - 1;
  const at::Tensor sums = gram[-1].slice(0, 0, size);
  return gram.slice(0, 0, size).slice(1, 0, size) -
         at::outer(sums, sums) / gram[-1][-1];
}

// Likewise about the channels' means, over all channels, with a trace of 1:
// `gram` is a sum over the offsets. Undefined where nothing varies.
at::Tensor centered_offsets(const at::Tensor& offsets, const at::Tensor& gram) {
  const at::Tensor sums = gram[-1].slice(0, 0, gram.size(0) - 1);
  const at::Tensor means = (sums * sums).sum() / gram[-1][-1];
  const at::Tensor result = offsets - means / offsets.size(0);
  const double trace = result.trace().item<double>();
  return trace > 0 ? result / trace : at::Tensor();
}

// The second moments of a block's channels, and what follows from them.
class Block {
 public:
  // `gram`: channels and the feature that is always 1. `offsets`: undefined
  // where there is one.
  Block(const at::Tensor& gram, at::Tensor offsets)
      : offsets_(std::move(offsets)), centered_(centered(gram)) {
    const double mean = centered_.diagonal().mean().item<double>();
    const double raw =
        gram.diagonal().slice(0, 0, centered_.size(0)).mean().item<double>();
    if (mean > kRounding * raw) inverse_ = damped_inverse(centered_, mean);
  }

  // [units]: errors without the channels at `positions` [units, n]. `weight`:
  // [channels, offsets, outputs]. Adds the product's own sum of squares.
  at::Tensor errors(const at::Tensor& weight, const at::Tensor& positions,
                    double& energy) const {
    const int64_t units = positions.size(0), each = positions.size(1);
    at::Tensor errors = at::zeros({units}, at::kDouble);
    if (!inverse_.defined()) return errors;
    const at::Tensor spread =
        (offsets_.defined() ? at::matmul(offsets_, weight) : weight)
            .reshape({weight.size(0), -1});
    const at::Tensor plain = weight.reshape({weight.size(0), -1});
    energy += (at::mm(centered_, spread) * plain).sum().item<double>();
    const int64_t step = std::max<int64_t>(
        1, kMostGathered / std::max<int64_t>(1, each * plain.size(1)));
    for (int64_t begin = 0; begin < units; begin += step) {
      const at::Tensor at = positions.slice(0, begin, begin + step);
      const at::Tensor of_units =
          inverse_.index({at.unsqueeze(2), at.unsqueeze(1)});
      const at::Tensor fitted =
          at::cholesky_solve(spread.index({at}), at::linalg_cholesky(of_units));
      errors.slice(0, begin, begin + step)
          .copy_((fitted * plain.index({at})).sum(at::IntArrayRef{1, 2}));
    }
    return errors.clamp_min_(0);
  }

  // [units]: the share that they have of the channels' own sum of squares.
  at::Tensor shares(const at::Tensor& positions) const {
    const at::Tensor squares = centered_.diagonal();
    const double all = squares.sum().item<double>();
    const at::Tensor own = squares.index({positions}).sum(1);
    return all > 0 ? own / all : at::zeros_like(own);
  }

 private:
  at::Tensor offsets_, centered_, inverse_;
};

// [units, n]
at::Tensor index_of(const Positions& positions) {
  std::vector<int64_t> flat;
  for (const std::vector<int64_t>& unit : positions)
    flat.insert(flat.end(), unit.begin(), unit.end());
  return at::tensor(flat, at::kLong)
      .reshape({static_cast<int64_t>(positions.size()), -1});
}

// [blocks, channels, offsets, outputs] of the reader.
at::Tensor weight_of(const ir::Model& model, const FeatureReader& reader,
                     int64_t window) {
  const at::Tensor weight =
      exec::to_torch(model.graph->find(reader.weight->weight)->tensor())
          .to(at::kDouble)
          .movedim(reader.weight->axis, 0);
  return weight.reshape({weight.size(0), reader.blocks, -1, window})
      .permute({1, 0, 3, 2})
      .contiguous();
}

// [units] of each of the set's readers.
std::vector<at::Tensor> set_errors(const SaliencyTask& task,
                                   const FeatureSet& set,
                                   const FeatureGrams& grams) {
  std::vector<at::Tensor> results;
  if (grams.channels.size == 0) return results;
  const at::Tensor gram = square_matrix(grams.channels);
  const at::Tensor offsets =
      set.convolution ? centered_offsets(square_matrix(grams.offsets), gram)
                      : at::Tensor();
  int64_t blocks = 0;
  std::vector<Block> parts;
  for (const FeatureReader& reader : set.readers) {
    const at::Tensor positions = index_of(*reader.positions);
    if (parts.empty() || blocks != reader.blocks) {
      blocks = reader.blocks;
      parts.clear();
      const int64_t each = (gram.size(0) - 1) / blocks;
      for (int64_t b = 0; b < blocks; ++b) {
        const at::Tensor own =
            at::cat({at::arange(b * each, (b + 1) * each),
                     at::tensor({gram.size(0) - 1}, at::kLong)});
        parts.emplace_back(
            blocks == 1 ? gram : gram.index_select(0, own).index_select(1, own),
            offsets);
      }
    }
    if (!reader.weight) {
      results.push_back(parts[0].shares(positions));
      continue;
    }
    const at::Tensor weight = weight_of(task.model, reader, set.window);
    double energy = 0;
    at::Tensor errors = at::zeros({positions.size(0)}, at::kDouble);
    for (int64_t b = 0; b < blocks; ++b)
      errors +=
          parts[static_cast<size_t>(b)].errors(weight[b], positions, energy);
    results.push_back(energy > 0 ? errors / energy : at::zeros_like(errors));
  }
  return results;
}

}  // namespace

Saliency reconstruction_saliency(const SaliencyTask& task) {
  const exec::SingleThread outer;
  const at::NoGradGuard no_grad;
  const std::vector<FeatureSet> sets = feature_sets(task);
  Saliency saliency = no_saliency(task.groups.groups());
  for (size_t begin = 0, end = 0; begin < sets.size(); begin = end) {
    int64_t bytes = 0;
    while (end < sets.size()) {
      bytes += sets[end].channels * sets[end].channels * int64_t{sizeof(float)};
      if (end > begin && bytes > kMostBytes) break;
      ++end;
    }
    const std::span<const FeatureSet> part(sets.data() + begin, end - begin);
    const std::vector<FeatureGrams> grams = feature_grams(task, part);
    std::vector<std::vector<at::Tensor>> errors(part.size());
    parallel_for(part.size(), task.context.jobs, [&](size_t i) {
      task.context.check_cancelled();
      const exec::SingleThread single;
      const at::NoGradGuard no_grad_here;
      errors[i] = set_errors(task, part[i], grams[i]);
    });
    for (size_t i = 0; i < part.size(); ++i)
      for (size_t r = 0; r < errors[i].size(); ++r) {
        const double* of_units = errors[i][r].data_ptr<double>();
        std::vector<double>& units = saliency[part[i].readers[r].group];
        for (size_t u = 0; u < units.size(); ++u) units[u] += of_units[u];
      }
  }
  return saliency;
}

}  // namespace lathe::prune
