#include "calibration/accuracy/perplexity.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "passes/ir/data_type.h"

namespace lathe::accuracy {

double token_loss(const Scores& scores, int64_t token) {
  double highest = scores[0];
  for (int64_t i = 1; i < scores.count; ++i)
    highest = std::max(highest, static_cast<double>(scores[i]));
  double sum = 0;
  for (int64_t i = 0; i < scores.count; ++i)
    sum += std::exp(scores[i] - highest);
  const double loss = std::log(sum) + highest - scores[token];
  return std::isnan(loss) ? std::numeric_limits<double>::infinity()
                          : std::max(loss, 0.0);
}

std::optional<TokenLoss> sequence_loss(std::span<const int64_t> ids,
                                       std::span<const float> scores) {
  const int64_t vocabulary = static_cast<int64_t>(scores.size() / ids.size());
  for (const int64_t id : ids)
    if (id < 0 || id >= vocabulary) return std::nullopt;
  TokenLoss loss;
  for (size_t i = 0; i + 1 < ids.size(); ++i)
    loss.add({token_loss({scores.data() + i * static_cast<size_t>(vocabulary),
                          vocabulary, /*stride=*/1},
                         ids[i + 1]),
              1});
  return loss;
}

bool foretells(const ir::Tensor& ids, const ir::Tensor& scores) {
  return ir::is_integer(ids.type()) && ids.rank() == 2 && ids.size() > 0 &&
         ir::is_floating(scores.type()) && scores.rank() == 3 &&
         scores.dims()[0] == ids.dims()[0] &&
         scores.dims()[1] == ids.dims()[1] && scores.dims()[2] >= 2;
}

}  // namespace lathe::accuracy
