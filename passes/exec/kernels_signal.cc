// Fourier transforms, windows, and the weights of mel bands.
#include <ATen/WrapDimUtils.h>

#include <cmath>
#include <optional>

#include "passes/exec/operator_kernel.h"

namespace lathe::exec {
namespace {

constexpr double kPi = 3.14159265358979323846;

// A last axis of 1 is real, of 2 complex. In double: what cancels out comes
// close to 0.
at::Tensor as_complex(const at::Tensor& given) {
  const at::Tensor x = given.to(at::kDouble);
  TORCH_CHECK(x.dim() >= 2 && (x.size(-1) == 1 || x.size(-1) == 2),
              "its signal has no last axis of 1 or 2");
  if (x.size(-1) == 2) return at::view_as_complex(x.contiguous());
  return at::complex(x.select(-1, 0), at::zeros_like(x.select(-1, 0)));
}

std::optional<int64_t> number(Inputs in, size_t index) {
  const at::Tensor given = input(in, index);
  if (!given.defined()) return std::nullopt;
  TORCH_CHECK(given.numel() == 1, "input ", index, " is not one number");
  return int64s(given).front();
}

c10::optional<int64_t> length_of(const std::optional<int64_t>& given) {
  TORCH_CHECK(!given || *given > 0, "a length is ", given.value_or(0));
  return given ? c10::optional<int64_t>(*given) : c10::nullopt;
}

// The axis: an attribute (1) before opset 20, input 2 (-2) since.
Kernel make_dft(const NodeInfo& info) {
  const bool old_form = info.opset > 0 && info.opset < 20;
  const int64_t fixed = info.node.attr_int("axis", old_form ? 1 : -2);
  const bool inverse = info.node.attr_int("inverse", 0) != 0;
  const bool one_sided = info.node.attr_int("onesided", 0) != 0;
  return [=](Inputs in, const RunState&) -> Tensors {
    const int64_t given = number(in, 2).value_or(fixed);
    const int64_t axis = at::maybe_wrap_dim(given, in[0].dim());
    TORCH_CHECK(axis + 1 < in[0].dim(), "axis ", given,
                " is the one of real and imaginary parts");
    const at::Tensor x = as_complex(in[0]);
    const auto length = length_of(number(in, 1));
    if (inverse && one_sided)
      return {
          at::fft_irfft(x, length, axis).unsqueeze(-1).to(in[0].scalar_type())};
    at::Tensor y =
        inverse ? at::fft_ifft(x, length, axis) : at::fft_fft(x, length, axis);
    if (one_sided) y = y.narrow(axis, 0, y.size(axis) / 2 + 1);
    return {at::view_as_real(y.contiguous()).to(in[0].scalar_type())};
  };
}

// signal [batch, length, 1 or 2], step, window, frame length
// -> [batch, frames, bins, 2].
Kernel make_stft(const NodeInfo& info) {
  const bool one_sided = info.node.attr_int("onesided", 1) != 0;
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor window = input(in, 2);
    const int64_t step = number(in, 1).value_or(0);
    const auto given = number(in, 3);
    TORCH_CHECK(window.defined() || given,
                "it has neither a window nor a frame length");
    const int64_t length = given ? *given : window.size(0);
    TORCH_CHECK(step > 0 && length > 0, "its frames have a step of ", step,
                " and a length of ", length);
    at::Tensor frames = as_complex(in[0]).unfold(1, length, step);
    if (window.defined()) frames = frames * window;
    at::Tensor y = at::fft_fft(frames, c10::nullopt, -1);
    if (one_sided) y = y.narrow(-1, 0, length / 2 + 1);
    return {at::view_as_real(y.contiguous()).to(in[0].scalar_type())};
  };
}

at::ScalarType output_type(const NodeInfo& info) {
  const int64_t type = info.node.attr_int("output_datatype", 1);
  const auto known = ir::data_type_from_number(type);
  if (!known || *known == ir::DataType::kUndefined)
    info.invalid("attribute 'output_datatype' is " + std::to_string(type) +
                 ", which is no element type");
  return scalar_type(*known);
}

// a0 - a1 cos(t) + a2 cos(2 t).
struct Cosines {
  double a0, a1, a2;
};
constexpr Cosines kHann{0.5, 0.5, 0};
constexpr Cosines kHamming{25.0 / 46, 21.0 / 46, 0};
constexpr Cosines kBlackman{0.42, 0.5, 0.08};

template <const Cosines& form>
Kernel make_window(const NodeInfo& info) {
  const bool periodic = info.node.attr_int("periodic", 1) != 0;
  return [=, type = output_type(info), device = info.device](
             Inputs in, const RunState&) -> Tensors {
    const int64_t size = number(in, 0).value();
    TORCH_CHECK(size >= 0, "its size is ", size);
    const int64_t period = std::max<int64_t>(periodic ? size : size - 1, 1);
    const at::Tensor t =
        at::arange(size, at::TensorOptions(at::kDouble).device(device)) *
        (2 * kPi / static_cast<double>(period));
    const at::Tensor y =
        at::cos(t) * -form.a1 + at::cos(t * 2) * form.a2 + form.a0;
    return {y.to(type)};
  };
}

double mel_of(double hertz) { return 2595 * std::log10(1 + hertz / 700); }
double hertz_of(double mel) { return 700 * (std::pow(10, mel / 2595) - 1); }

// Bands, DFT length, sample rate, lowest and highest frequency
// -> [DFT length / 2 + 1, bands]: triangles over the bins of a DFT.
Kernel make_mel_weight_matrix(const NodeInfo& info) {
  return [type = output_type(info), device = info.device](
             Inputs in, const RunState&) -> Tensors {
    const int64_t bands = number(in, 0).value(), length = number(in, 1).value(),
                  rate = number(in, 2).value();
    TORCH_CHECK(bands >= 0 && length >= 0 && rate > 0, "it has ", bands,
                " bands of a DFT of ", length, " at a rate of ", rate);
    const double low = mel_of(doubles(in[3]).at(0)),
                 high = mel_of(doubles(in[4]).at(0));
    const int64_t bins = length / 2 + 1;
    const double step = (high - low) / static_cast<double>(bands + 2);
    std::vector<int64_t> corners;
    for (int64_t i = 0; i < bands + 2; ++i) {
      const double at = hertz_of(static_cast<double>(i) * step + low);
      corners.push_back(static_cast<int64_t>(std::floor(
          static_cast<double>(length + 1) * at / static_cast<double>(rate))));
    }
    TORCH_CHECK(corners.front() >= 0 && corners.back() <= bins,
                "its frequencies lie outside of the DFT");
    at::Tensor weights = at::zeros({bins, bands}, at::kDouble);
    auto cell = weights.accessor<double, 2>();
    for (int64_t band = 0; band < bands; ++band) {
      const int64_t left = corners[static_cast<size_t>(band)],
                    top = corners[static_cast<size_t>(band) + 1],
                    right = corners[static_cast<size_t>(band) + 2];
      TORCH_CHECK(top < bins, "its frequencies lie outside of the DFT");
      for (int64_t bin = left; bin < top; ++bin)
        cell[bin][band] =
            static_cast<double>(bin - left) / static_cast<double>(top - left);
      cell[top][band] = 1;
      for (int64_t bin = top + 1; bin < right; ++bin)
        cell[bin][band] =
            static_cast<double>(right - bin) / static_cast<double>(right - top);
    }
    return {weights.to(device, type)};
  };
}

constexpr Takes kNumbers{.host = 0b11111};

constexpr OperatorRow kRows[] = {
    {"BlackmanWindow", make_window<kBlackman>, "", kNumbers},
    {"DFT", make_dft, "", {.host = 0b110}},
    {"HammingWindow", make_window<kHamming>, "", kNumbers},
    {"HannWindow", make_window<kHann>, "", kNumbers},
    {"MelWeightMatrix", make_mel_weight_matrix, "", kNumbers},
    {"STFT", make_stft, "", {.host = 0b1010}},
};

}  // namespace

std::span<const OperatorRow> signal_rows() { return kRows; }

}  // namespace lathe::exec
