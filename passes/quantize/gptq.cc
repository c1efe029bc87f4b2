// GPTQ (Frantar et al. 2022, arXiv 2210.17323, algorithm 1).
//
// Row by row of W, a row's rounding error is spread over the rows that are not
// rounded yet so that the layer's output changes least:
//
//   e_i = (w_i - rounded(w_i)) / U_ii,   w_j -= U_ij e_i  for j > i
//
// with U the upper Cholesky factor of the inverse Hessian, H^-1 = U^T U. H is
// reversed before it is factored, which gives H = R R^T with R upper and
// U = R^-1: neither the inverse nor a second factoring is needed.
//
// An error in row i costs e_i^2, so squared errors are weighed by 1 / U_ii^2
// where a block's scale is searched; with act_order, when U is not known yet,
// by the diagonal of H.
//
// Rows are taken kLazyRows at a time (more where blocks are larger): inside,
// the rows before correct each other; what follows is corrected by one matrix
// product. Columns are independent of each other. A row whose input was always
// 0 is rounded to nearest.
#include "passes/quantize/gptq.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/exec/single_thread.h"

namespace lathe::quantize {
namespace {

constexpr int64_t kLazyRows = 128;
constexpr int64_t kSliceColumns = 64;
constexpr int kAttempts = 6;  // each with ten times the damping

// R^-1 of H + damping = R R^T; undefined where that cannot be factored.
// `reversed`: H with rows and columns from the last to the first.
at::Tensor damped_factor(const at::Tensor& reversed, double damping) {
  at::Tensor work = reversed.to(at::kDouble);
  work.diagonal().add_(damping);
  at::Tensor info;
  std::tie(work, info) = at::linalg_cholesky_ex(work);
  if (info.item<int>() != 0) return {};
  work = work.flip({0, 1});
  const at::Tensor unit = at::eye(work.size(0), work.options());
  work = at::linalg_solve_triangular(work, unit, /*upper=*/true);
  return work.to(at::kFloat).contiguous();
}

// U, upper; `order` gives H's rows in the order in which W's are taken.
at::Tensor inverse_factor(const at::Tensor& hessian, const at::Tensor& order,
                          double damping) {
  const at::Tensor last_first = order.flip(0);
  const at::Tensor reversed =
      hessian.index_select(0, last_first).index_select(1, last_first);
  const at::Tensor diagonal = reversed.diagonal();
  const at::Tensor live = diagonal > 0;
  const int64_t living = live.sum().item<int64_t>();
  const double mean = living > 0 ? diagonal.sum(at::kDouble).item<double>() /
                                       static_cast<double>(living)
                                 : 1;
  diagonal.masked_fill_(live.logical_not(), mean);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const at::Tensor factor = damped_factor(reversed, damping * mean);
    if (factor.defined()) return factor;
    damping = std::max(damping, 1e-6) * 10;
  }
  throw_internal("gptq", "the Hessian cannot be factored");
}

class Rounder {
 public:
  Rounder(at::Tensor weights, at::Tensor factor, std::vector<int64_t> order,
          bool fixed_scales, BlockCodes& result)
      : weights_(std::move(weights)),
        factor_(std::move(factor)),
        order_(std::move(order)),
        fixed_scales_(fixed_scales),
        result_(result),
        w_(weights_.data_ptr<float>()),
        u_(factor_.data_ptr<float>()) {
    for (int64_t i = 0; i < result_.depth; ++i) {
      const float u = u_[i * result_.depth + i];
      importance_.push_back(1 / (u * u));
    }
  }

  void run(int jobs) {
    const int64_t depth = result_.depth, columns = result_.columns;
    const int64_t lazy = std::max(kLazyRows, result_.format.block_size);
    const int64_t slices = (columns + kSliceColumns - 1) / kSliceColumns;
    const at::Tensor errors = at::empty({std::min(lazy, depth), columns});
    for (int64_t begin = 0; begin < depth; begin += lazy) {
      const int64_t end = std::min(begin + lazy, depth);
      const at::Tensor spread =
          factor_.slice(0, begin, end).slice(1, end, depth).t();
      parallel_for(static_cast<size_t>(slices), jobs, [&](size_t slice) {
        const at::NoGradGuard no_grad;
        const exec::SingleThread single;
        const int64_t left = static_cast<int64_t>(slice) * kSliceColumns;
        const int64_t right = std::min(left + kSliceColumns, columns);
        round(begin, end, left, right, errors.data_ptr<float>());
        if (end < depth)
          weights_.slice(0, end, depth)
              .slice(1, left, right)
              .addmm_(spread,
                      errors.slice(0, 0, end - begin).slice(1, left, right),
                      /*beta=*/1, /*alpha=*/-1);
      });
    }
  }

 private:
  // Rows begin to end, columns left to right; errors [end - begin, columns].
  void round(int64_t begin, int64_t end, int64_t left, int64_t right,
             float* errors) {
    const int64_t columns = result_.columns, depth = result_.depth;
    const int64_t size = result_.format.block_size;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = order_[i], block = row / size;
      if (!fixed_scales_ && row % size == 0)
        choose_scales({w_ + i * columns, columns, std::min(size, depth - i),
                       left, right, importance_.data() + i},
                      block, result_);
      float* error = errors + (i - begin) * columns;
      for (int64_t c = left; c < right; ++c) {
        const float weight = w_[i * columns + c];
        const uint8_t code = block_code(result_, block, c, weight);
        const int64_t p = block * columns + c;
        result_.codes[row * columns + c] = code;
        error[c] =
            (weight - result_.scales[p] *
                          static_cast<float>(code - result_.zero_points[p])) /
            u_[i * depth + i];
      }
      for (int64_t j = i + 1; j < end; ++j) {
        const float share = u_[i * depth + j];
        if (share == 0) continue;
        for (int64_t c = left; c < right; ++c)
          w_[j * columns + c] -= share * error[c];
      }
    }
  }

  at::Tensor weights_, factor_;
  std::vector<int64_t> order_;
  bool fixed_scales_;
  BlockCodes& result_;
  std::vector<float> importance_;
  float* w_;        // [depth, columns], rows in order
  const float* u_;  // [depth, depth]
};

}  // namespace

BlockCodes gptq(std::span<const float> weights, int64_t depth, int64_t columns,
                const BlockFormat& format, const exec::GramMatrix& gram,
                const GptqOptions& options) {
  if (gram.size != depth ||
      weights.size() != static_cast<size_t>(depth * columns))
    throw_internal("gptq", "sizes of weights and Gram matrix disagree");
  const at::NoGradGuard no_grad;
  const exec::SingleThread single;
  const at::Tensor given =
      at::from_blob(const_cast<float*>(weights.data()), {depth, columns});
  const at::Tensor hessian =
      at::from_blob(const_cast<float*>(gram.sums.data()), {depth, depth});
  at::Tensor order = at::arange(depth, at::kLong);
  BlockCodes result(format, depth, columns);
  if (options.act_order) {
    order = std::get<1>(hessian.diagonal().sort(/*stable=*/true, /*dim=*/0,
                                                /*descending=*/true));
    const at::Tensor energy =
        hessian.diagonal() + options.damping * hessian.diagonal().mean();
    for (int64_t block = 0; block < result.blocks; ++block) {
      const int64_t top = block * format.block_size;
      choose_scales({weights.data() + top * columns, columns,
                     std::min(format.block_size, depth - top), 0, columns,
                     energy.data_ptr<float>() + top},
                    block, result);
    }
  }
  order = order.contiguous();
  const int64_t* rows = order.data_ptr<int64_t>();
  Rounder(given.index_select(0, order),
          inverse_factor(hessian, order, options.damping),
          std::vector<int64_t>(rows, rows + depth), options.act_order, result)
      .run(options.jobs);
  return result;
}

}  // namespace lathe::quantize
