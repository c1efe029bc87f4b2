#include "calibration/accuracy/sample_score.h"

#include <algorithm>
#include <cstddef>
#include <span>

#include "passes/base/error.h"
#include "passes/ir/value_type.h"

namespace lathe::accuracy {
namespace {

// A floating-point output as floats, and where its class scores stand.
class ScoreMap {
 public:
  explicit ScoreMap(const ir::Tensor& tensor) : tensor_(tensor) {
    if (tensor.type() == ir::DataType::kFloat) {
      values_ = tensor.data<float>();
    } else {
      converted_ = tensor.to_floats();
      values_ = converted_;
    }
    const std::vector<int64_t>& dims = tensor.dims();
    size_t rank = dims.size();
    if (rank >= 2) {
      size_t axis = rank == 3 ? 2 : 1;
      classes_ = dims[axis];
      for (size_t i = axis + 1; i < rank; ++i) stride_ *= dims[i];
    }
  }
  ScoreMap(const ScoreMap&) = delete;
  ScoreMap& operator=(const ScoreMap&) = delete;

  std::span<const float> values() const { return values_; }
  int64_t classes() const { return classes_; }
  int64_t positions() const {
    return classes_ > 0 ? tensor_.size() / classes_ : 0;
  }
  Scores at(int64_t position) const {
    int64_t block = position / stride_;
    return {values_.data() + block * classes_ * stride_ + position % stride_,
            classes_, stride_};
  }

 private:
  const ir::Tensor& tensor_;
  std::vector<float> converted_;
  std::span<const float> values_;
  int64_t classes_ = 1, stride_ = 1;
};

bool is_scored(const ir::Tensor& tensor) {
  return ir::is_floating(tensor.type()) && tensor.size() > 0;
}

// In how many samples the outputs can be told apart: the batch size or 1.
int64_t parts(const std::vector<ir::Tensor>& outputs, int64_t batch_size) {
  for (const ir::Tensor& output : outputs)
    if (output.rank() == 0 || output.dims()[0] % batch_size != 0) return 1;
  return batch_size;
}

void check_shapes(const ScoredBatch& batch) {
  for (size_t i = 0; i < batch.reference.size(); ++i) {
    const ir::Tensor& ours = batch.outputs[i];
    const ir::Tensor& reference = batch.reference[i];
    if (ours.dims() != reference.dims())
      throw_input("output '" + batch.names[i] + "'",
                  "its shape is " + ir::to_string(ir::to_shape(ours.dims())) +
                      ", the reference's is " +
                      ir::to_string(ir::to_shape(reference.dims())));
    if (ir::is_floating(ours.type()) != ir::is_floating(reference.type()))
      throw_input("output '" + batch.names[i] + "'",
                  std::string("its elements are ") +
                      ir::to_string(ours.type()) + ", the reference's are " +
                      ir::to_string(reference.type()));
  }
}

void score_labels(const ScoredBatch& batch, std::span<SampleScore> scores) {
  if (batch.outputs.empty() || !is_scored(batch.outputs[0])) return;
  if (static_cast<int64_t>(batch.labels.size()) < batch.samples) return;
  ScoreMap map(batch.outputs[0]);
  if (map.positions() != batch.batch_size || map.classes() < 2) return;
  for (int64_t i = 0; i < static_cast<int64_t>(scores.size()); ++i) {
    int64_t label = batch.labels[static_cast<size_t>(i)];
    if (label < 0 || label >= map.classes())
      throw_input("output '" + batch.names[0] + "'",
                  "label " + std::to_string(label) +
                      " is outside the model's classes, 0 to " +
                      std::to_string(map.classes() - 1),
                  "set labels.offset in the data's descriptor");
    SampleScore& score = scores[static_cast<size_t>(i)];
    score.top1 = arg_max(map.at(i)) == label;
    if (map.classes() > 5) score.top5 = in_top(map.at(i), label, 5);
  }
}

void score_tokens(const ScoredBatch& batch, std::span<SampleScore> scores) {
  if (!batch.token_ids || batch.outputs.empty()) return;
  const ir::Tensor& tokens = *batch.token_ids;
  if (!foretells(tokens, batch.outputs[0])) return;
  if (tokens.dims()[0] % batch.batch_size != 0) return;
  const ScoreMap map(batch.outputs[0]);
  const std::vector<int64_t> ids = tokens.to_int64s();
  const auto length = static_cast<size_t>(tokens.dims()[1]);
  const size_t each = map.values().size() / ids.size() * length;
  const auto rows = static_cast<size_t>(tokens.dims()[0] / batch.batch_size);
  for (size_t i = 0; i < scores.size(); ++i) {
    TokenLoss sum;
    bool known = true;
    for (size_t row = i * rows; known && row < (i + 1) * rows; ++row) {
      const std::optional<TokenLoss> loss =
          sequence_loss(std::span(ids).subspan(row * length, length),
                        map.values().subspan(row * each, each));
      known = loss.has_value();
      if (loss) sum.add(*loss);
    }
    if (known) scores[i].next_token = sum;
  }
}

double element_agreement(const ir::Tensor& a, const ir::Tensor& b, int64_t part,
                         int64_t of) {
  int64_t each = a.size() / of, equal = 0;
  if (a.type() == ir::DataType::kString) {
    for (int64_t i = part * each; i < (part + 1) * each; ++i)
      equal += b.type() == ir::DataType::kString &&
               a.strings()[static_cast<size_t>(i)] ==
                   b.strings()[static_cast<size_t>(i)];
  } else {
    std::vector<int64_t> ours = a.to_int64s(), theirs = b.to_int64s();
    for (int64_t i = part * each; i < (part + 1) * each; ++i)
      equal += ours[static_cast<size_t>(i)] == theirs[static_cast<size_t>(i)];
  }
  return static_cast<double>(equal) / static_cast<double>(each);
}

void score_agreement(const ScoredBatch& batch, int64_t count,
                     std::span<SampleScore> scores) {
  if (batch.outputs.empty() || batch.outputs[0].size() < count) return;
  const ir::Tensor& ours = batch.outputs[0];
  const ir::Tensor& reference = batch.reference[0];
  if (!is_scored(ours)) {
    for (size_t i = 0; i < scores.size(); ++i)
      scores[i].agreement =
          element_agreement(ours, reference, static_cast<int64_t>(i), count);
    return;
  }
  ScoreMap a(ours), b(reference);
  int64_t each = a.positions() / count;
  if (each == 0) return;
  for (size_t i = 0; i < scores.size(); ++i) {
    int64_t same = 0, first = static_cast<int64_t>(i) * each;
    for (int64_t p = first; p < first + each; ++p)
      same += same_choice(a.at(p), b.at(p));
    scores[i].agreement = static_cast<double>(same) / static_cast<double>(each);
  }
}

void score_fidelity(const ScoredBatch& batch, int64_t count,
                    std::span<SampleScore> scores) {
  for (size_t output = 0; output < batch.outputs.size(); ++output) {
    if (!is_scored(batch.outputs[output])) {
      for (SampleScore& score : scores) score.outputs.emplace_back();
      continue;
    }
    ScoreMap ours(batch.outputs[output]), reference(batch.reference[output]);
    size_t each = ours.values().size() / static_cast<size_t>(count);
    for (size_t i = 0; i < scores.size(); ++i)
      scores[i].outputs.push_back(
          fidelity(reference.values().subspan(i * each, each),
                   ours.values().subspan(i * each, each)));
  }
}

}  // namespace

std::vector<SampleScore> score_batch(const ScoredBatch& batch) {
  check_shapes(batch);
  int64_t count = parts(batch.outputs, batch.batch_size);
  std::vector<SampleScore> scores(static_cast<size_t>(batch.samples));
  score_labels(batch, scores);
  score_tokens(batch, scores);
  if (!batch.reference.empty()) {
    std::span<SampleScore> parted(
        scores.data(), static_cast<size_t>(std::min(count, batch.samples)));
    score_agreement(batch, count, parted);
    score_fidelity(batch, count, parted);
  }
  return scores;
}

}  // namespace lathe::accuracy
