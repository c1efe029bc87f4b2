#include "calibration/accuracy/layer_stats.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include "calibration/accuracy/metrics.h"

namespace lathe::accuracy {
namespace {

std::vector<int64_t> without_ones(const std::vector<int64_t>& dims) {
  std::vector<int64_t> result;
  std::copy_if(dims.begin(), dims.end(), std::back_inserter(result),
               [](int64_t dim) { return dim != 1; });
  return result;
}

// A tensor's real numbers, copied only where they must be.
class Reals {
 public:
  Reals(const ir::Tensor& tensor, bool codes,
        const std::optional<Quantizer>& quantizer) {
    if (codes) {
      for (int64_t code : tensor.to_int64s())
        copy_.push_back(
            quantizer->affine.scale *
            static_cast<float>(code - quantizer->affine.zero_point));
    } else if (tensor.type() == ir::DataType::kFloat) {
      data_ = tensor.data<float>();
      return;
    } else {
      copy_ = tensor.to_floats();
    }
    data_ = copy_;
  }
  Reals(const Reals&) = delete;
  Reals& operator=(const Reals&) = delete;
  std::span<const float> span() const { return data_; }

 private:
  std::vector<float> copy_;
  std::span<const float> data_;
};

template <class T>
double median(std::vector<T> values) {
  const size_t middle = (values.size() - 1) / 2;
  std::nth_element(values.begin(),
                   values.begin() + static_cast<std::ptrdiff_t>(middle),
                   values.end());
  return values[middle];
}

template <class T, class F>
void combine(std::vector<T>& into, const std::vector<T>& from, F&& f) {
  if (into.empty()) into.resize(from.size());
  for (size_t i = 0; i < from.size() && i < into.size(); ++i)
    into[i] = f(into[i], from[i]);
}

}  // namespace

void LayerStats::measure(const ir::Tensor& reference, const ir::Tensor& other,
                         bool codes, const std::optional<Quantizer>& quantizer,
                         int64_t batch_size, int64_t samples) {
  const bool readable = codes ? ir::is_integer(other.type()) && quantizer
                              : is_comparable(other.type());
  if (!is_comparable(reference.type()) || !readable ||
      reference.size() != other.size() ||
      without_ones(reference.dims()) != without_ones(other.dims())) {
    failed_ = true;
    return;
  }
  if (reference.size() == 0) return;
  Reals ours(reference, /*codes=*/false, std::nullopt);
  Reals theirs(other, codes, quantizer);
  const bool divides =
      reference.rank() > 0 && reference.dims()[0] % batch_size == 0;
  const int64_t parts = divides ? batch_size : 1;
  const int64_t counted = std::min(parts, samples);
  const size_t each = ours.span().size() / static_cast<size_t>(parts);
  for (int64_t i = 0; i < counted; ++i) {
    const size_t from = static_cast<size_t>(i) * each;
    const SampleFidelity one = fidelity(ours.span().subspan(from, each),
                                        theirs.span().subspan(from, each));
    sqnr_sum_ += one.sqnr_db;
    cosine_sum_ += one.cosine;
    max_abs_diff_ = std::max(max_abs_diff_, one.max_abs_diff);
  }
  count_ += counted;
  elements_ = counted * static_cast<int64_t>(each);
  measure_channels(reference, ours.span().data(), theirs.span().data());
  if (quantizer)
    measure_codes(*quantizer, ours.span().data(), theirs.span().data());
}

void LayerStats::measure_channels(const ir::Tensor& shape,
                                  const float* reference, const float* other) {
  const std::vector<int64_t>& dims = shape.dims();
  if (dims.size() < 2) return;
  const size_t axis = dims.size() == 3 ? 2 : 1;
  const int64_t channels = dims[axis];
  if (channels < 2 || channels > kMaxChannels) return;
  int64_t stride = 1;
  for (size_t i = axis + 1; i < dims.size(); ++i) stride *= dims[i];
  const auto size = static_cast<size_t>(channels);
  signal_.resize(size);
  noise_.resize(size);
  largest_.resize(size);
  for (int64_t at = 0, channel = 0; at < elements_;
       at += stride, channel = (channel + 1) % channels) {
    double signal = 0, noise = 0;
    float largest = 0;
    for (int64_t i = at; i < std::min(at + stride, elements_); ++i) {
      if (!std::isfinite(reference[i]) || !std::isfinite(other[i])) continue;
      const double r = reference[i], difference = r - double{other[i]};
      signal += r * r;
      noise += difference * difference;
      largest = std::max(largest, std::abs(reference[i]));
    }
    const auto c = static_cast<size_t>(channel);
    signal_[c] += signal;
    noise_[c] += noise;
    largest_[c] = std::max(largest_[c], largest);
  }
}

void LayerStats::measure_codes(const Quantizer& quantizer,
                               const float* reference, const float* other) {
  const Affine& affine = quantizer.affine;
  const CodeRange range = code_range(quantizer.type);
  used_.resize(static_cast<size_t>(range.high - range.low + 1));
  const float low = (range.low - affine.zero_point - 0.5f) * affine.scale;
  const float high = (range.high - affine.zero_point + 0.5f) * affine.scale;
  for (int64_t i = 0; i < elements_; ++i) {
    clipped_ += reference[i] < low || reference[i] > high;
    used_[static_cast<size_t>(to_code(other[i], affine, range) - range.low)] =
        true;
  }
}

void LayerStats::merge(const LayerStats& other) {
  failed_ = failed_ || other.failed_;
  count_ += other.count_;
  sqnr_sum_ += other.sqnr_sum_;
  cosine_sum_ += other.cosine_sum_;
  max_abs_diff_ = std::max(max_abs_diff_, other.max_abs_diff_);
  elements_ += other.elements_;
  clipped_ += other.clipped_;
  const auto plus = [](double a, double b) { return a + b; };
  combine(signal_, other.signal_, plus);
  combine(noise_, other.noise_, plus);
  combine(largest_, other.largest_,
          [](float a, float b) { return std::max(a, b); });
  combine(used_, other.used_, [](bool a, bool b) { return a || b; });
}

double LayerStats::sqnr_db() const {
  return sqnr_sum_ / static_cast<double>(count_);
}

double LayerStats::cosine() const {
  return cosine_sum_ / static_cast<double>(count_);
}

std::optional<double> LayerStats::channel_sqnr_db() const {
  std::vector<double> ratios;
  for (size_t i = 0; i < signal_.size(); ++i)
    if (signal_[i] > 0)
      ratios.push_back(noise_[i] > 0
                           ? std::clamp(10 * std::log10(signal_[i] / noise_[i]),
                                        -kMaxSqnrDb, kMaxSqnrDb)
                           : kMaxSqnrDb);
  if (ratios.size() < 2) return std::nullopt;
  return median(std::move(ratios));
}

std::optional<double> LayerStats::channel_spread() const {
  std::vector<float> magnitudes;
  std::copy_if(largest_.begin(), largest_.end(), std::back_inserter(magnitudes),
               [](float m) { return m > 0; });
  if (magnitudes.size() < 2) return std::nullopt;
  const float most = *std::max_element(magnitudes.begin(), magnitudes.end());
  return most / median(std::move(magnitudes));
}

std::optional<double> LayerStats::clipped_share() const {
  if (used_.empty() || elements_ == 0) return std::nullopt;
  return static_cast<double>(clipped_) / static_cast<double>(elements_);
}

std::optional<double> LayerStats::unused_codes_share() const {
  if (used_.empty()) return std::nullopt;
  const auto unused = std::count(used_.begin(), used_.end(), false);
  return static_cast<double>(unused) / static_cast<double>(used_.size());
}

}  // namespace lathe::accuracy
