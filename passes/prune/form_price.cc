#include "passes/prune/form_price.h"

#include <fmt/format.h>

#include <cmath>

namespace lathe::prune {

ir::Model with_static_shapes(const ir::Model& model,
                             const ir::InputShapes& shapes) {
  ir::Model bound = ir::clone(model);
  ir::bind_input_shapes(bound, ir::default_input_shapes(bound, shapes));
  ir::infer_shapes(bound);
  return bound;
}

double latency_at(double confidence, const LatencyEstimate& latency) {
  const double p50 = latency.p50_us, p95 = latency.p95_us;
  if (confidence == 0.5 || p50 <= 0 || p95 <= p50) return p50;
  // Quantiles of the standard normal distribution, by bisection.
  double low = -6, high = 6;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(-middle / std::sqrt(2.0)) / 2 < confidence ? low : high) =
        middle;
  }
  constexpr double kZ95 = 1.6448536269514722;
  return p50 * std::pow(p95 / p50, low / kZ95);
}

LatencyEstimate FormPrice::plain(const ir::Model& model) const {
  return context_.latency
      ->estimate(with_static_shapes(model, context_.input_shapes))
      .latency;
}

LatencyEstimate FormPrice::formed(const ir::Model& model) const {
  return plain(options_.form.make ? options_.form.make(model, context_)
                                  : ir::clone(model));
}

std::string FormPrice::what() const {
  std::string text;
  if (options_.form.make) text += " as " + options_.form.name;
  if (options_.confidence != 0.5)
    text += fmt::format(" with a probability of {:g}", options_.confidence);
  return text;
}

}  // namespace lathe::prune
