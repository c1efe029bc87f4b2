#include "calibration/accuracy/totals.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "passes/base/byte_stream.h"

namespace lathe::accuracy {

void Totals::add(const SampleScore& score) {
  ++samples_;
  if (score.top1) top1_.add(*score.top1 ? 1 : 0);
  if (score.top5) top5_.add(*score.top5 ? 1 : 0);
  if (score.next_token) {
    ++token_samples_;
    tokens_.add(*score.next_token);
  }
  if (score.agreement) agreement_.add(*score.agreement);
  for (size_t i = 0; i < score.outputs.size(); ++i) {
    if (!score.outputs[i]) continue;
    outputs_[i].sqnr_db.add(score.outputs[i]->sqnr_db);
    outputs_[i].cosine.add(score.outputs[i]->cosine);
    outputs_[i].max_abs_diff =
        std::max(outputs_[i].max_abs_diff, score.outputs[i]->max_abs_diff);
  }
}

template <class Self, class Use>
void Totals::for_each_sum(Self& totals, Use use) {
  const auto use_mean = [&](auto& mean) {
    use(mean.sum);
    use(mean.count);
  };
  use(totals.samples_);
  use(totals.token_samples_);
  use_mean(totals.tokens_);
  use_mean(totals.top1_);
  use_mean(totals.top5_);
  use_mean(totals.agreement_);
  for (auto& output : totals.outputs_) {
    use_mean(output.sqnr_db);
    use_mean(output.cosine);
  }
}

void Totals::gather(Ranks& ranks) {
  ByteWriter own;
  for_each_sum(*this, [&](const auto& number) { own.add(number); });
  for (const Output& output : outputs_) own.add(output.max_abs_diff);
  Totals all(names_, compared_);
  for (const std::string& bytes : ranks.gather(own.bytes())) {
    ByteReader theirs(bytes);
    for_each_sum(all, [&](auto& number) {
      number += theirs.next<std::remove_reference_t<decltype(number)>>();
    });
    for (Output& output : all.outputs_)
      output.max_abs_diff =
          std::max(output.max_abs_diff, theirs.next<double>());
  }
  *this = std::move(all);
}

Accuracy Totals::result() const {
  Accuracy result;
  result.samples = samples_;
  if (top1_.count) result.top1 = top1_.value();
  if (top5_.count) result.top5 = top5_.value();
  // One sample that holds no tokens of the vocabulary: it is none.
  if (tokens_.count > 0 && token_samples_ == samples_)
    result.perplexity =
        std::exp(tokens_.sum / static_cast<double>(tokens_.count));
  if (!compared_) return result;
  if (agreement_.count) result.agreement = agreement_.value();
  for (size_t i = 0; i < outputs_.size(); ++i)
    if (outputs_[i].sqnr_db.count)
      result.outputs.push_back({names_[i], outputs_[i].sqnr_db.value(),
                                outputs_[i].cosine.value(),
                                outputs_[i].max_abs_diff});
  return result;
}

}  // namespace lathe::accuracy
