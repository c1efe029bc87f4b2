// Window functions, as constants.
#include <cmath>
#include <numbers>

#include "passes/io/torch/aten/aten_creation.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;

// `value` of the place, counted from 0 to 1 over the window.
template <class F>
Arguments window(const AtenCall& call, F value) {
  const int64_t length = call.integer("window_length");
  if (length < 0 || length > kMaxTableElements)
    call.unsupported("argument 'window_length' is " + std::to_string(length) +
                     ", expected 0 to " + std::to_string(kMaxTableElements));
  const double period =
      static_cast<double>(call.flag("periodic", true) ? length : length - 1);
  std::vector<double> elements(static_cast<size_t>(length), 1.0);
  if (length > 1)
    for (size_t i = 0; i < elements.size(); ++i)
      elements[i] = value(static_cast<double>(i) / period);
  return one(call.builder().constant(
      vector_of(elements, call.dtype("dtype").value_or(DataType::kFloat))));
}

double cosine(double turns) { return std::cos(2 * std::numbers::pi * turns); }

Arguments emit_hann_window(const AtenCall& call) {
  return window(call, [](double x) { return 0.5 - 0.5 * cosine(x); });
}

Arguments emit_hamming_window(const AtenCall& call) {
  const double alpha = call.real("alpha", 0.54), beta = call.real("beta", 0.46);
  return window(call, [&](double x) { return alpha - beta * cosine(x); });
}

Arguments emit_blackman_window(const AtenCall& call) {
  return window(call, [](double x) {
    return 0.42 - 0.5 * cosine(x) + 0.08 * cosine(2 * x);
  });
}

Arguments emit_bartlett_window(const AtenCall& call) {
  return window(call, [](double x) { return 1 - std::abs(2 * x - 1); });
}

constexpr AtenRow kRows[] = {
    {"hann_window", emit_hann_window},
    {"hamming_window", emit_hamming_window},
    {"blackman_window", emit_blackman_window},
    {"bartlett_window", emit_bartlett_window},
};

}  // namespace

std::span<const AtenRow> window_rows() { return kRows; }

}  // namespace lathe::io::aten
