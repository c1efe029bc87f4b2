#include "tools/conversion_check.h"

#include <algorithm>
#include <cmath>

#include "calibration/latency/session.h"
#include "passes/base/error.h"

namespace lathe::cli {
namespace {

// NaN where both have one is no difference.
double relative_difference(const ir::Tensor& mine, const ir::Tensor& theirs) {
  const std::vector<double> a = mine.to_doubles(), b = theirs.to_doubles();
  double largest = 0, difference = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (a[i] == b[i]) continue;  // infinities too
    if (std::isfinite(b[i])) largest = std::max(largest, std::abs(b[i]));
    const double off = std::abs(a[i] - b[i]);
    difference = std::isnan(off) ? INFINITY : std::max(difference, off);
  }
  for (double value : b)
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  if (difference == 0) return 0;
  return largest > 0 ? difference / largest : difference;
}

}  // namespace

double allowed_difference(const io::Imported& imported) {
  for (const ir::Value* output : imported.model.graph->outputs())
    if (output->type.elem == ir::DataType::kFloat16 ||
        output->type.elem == ir::DataType::kBfloat16)
      return 1e-2;
  return 1e-4;
}

ConversionCheck check_conversion(const io::Imported& imported,
                                 const std::string& where) {
  ConversionCheck check;
  if (imported.references.empty()) return check;
  const auto session = latency::Session::open(imported.model, {}, where);
  for (const io::Reference& reference : imported.references) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : reference.outputs) names.push_back(name);
    const std::vector<ir::Tensor> outputs =
        session->run(reference.inputs, names);
    for (size_t i = 0; i < outputs.size(); ++i) {
      const ir::Tensor& expected = reference.outputs[i].second;
      if (outputs[i].type() != expected.type() ||
          outputs[i].dims() != expected.dims())
        throw_internal(
            where, "output '" + names[i] + "' of the converted model is " +
                       ir::to_string(outputs[i].type()) + " " +
                       ir::to_string(ir::to_shape(outputs[i].dims())) +
                       ", the source gives " + ir::to_string(expected.type()) +
                       " " + ir::to_string(ir::to_shape(expected.dims())));
      const double difference = relative_difference(outputs[i], expected);
      if (difference > check.max_relative_difference || check.output.empty()) {
        check.max_relative_difference = difference;
        check.output = names[i];
      }
    }
    ++check.calls;
  }
  return check;
}

}  // namespace lathe::cli
