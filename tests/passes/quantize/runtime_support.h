// Models before and after a pass in ONNX Runtime.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "calibration/latency/bench.h"
#include "calibration/latency/session.h"
#include "passes/base/random.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/shape_inference.h"
#include "passes/pass.h"
#include "tests/support/shared.h"

namespace lathe::quantize::test {

inline double sqnr_db(const ir::Tensor& expected, const ir::Tensor& found) {
  auto e = expected.to_doubles(), f = found.to_doubles();
  REQUIRE(e.size() == f.size());
  double signal = 0, noise = 1e-30;
  for (size_t i = 0; i < e.size(); ++i) {
    signal += e[i] * e[i];
    noise += (e[i] - f[i]) * (e[i] - f[i]);
  }
  return 10 * std::log10(signal / noise);
}

// Of the two as vectors; 1 where both are zero.
inline double cosine(const ir::Tensor& expected, const ir::Tensor& found) {
  auto e = expected.to_doubles(), f = found.to_doubles();
  REQUIRE(e.size() == f.size());
  double ee = 0, ff = 0, ef = 0;
  for (size_t i = 0; i < e.size(); ++i) {
    ee += e[i] * e[i];
    ff += f[i] * f[i];
    ef += e[i] * f[i];
  }
  return ee == ff && ee == 0 ? 1 : ef / std::sqrt(ee * ff);
}

// Inputs named w… become seeded random constants.
inline void draw_weights(ir::Model& model) {
  for (ir::Value* value : model.graph->values()) {
    if (!value->is_graph_input() || value->name()[0] != 'w') continue;
    Random random(derive_seed(5, value->name()));
    std::vector<double> values(*value->type.element_count());
    for (double& v : values) v = random.normal() * 0.3;
    value->set_tensor(ir::Tensor::from_doubles(
        ir::DataType::kFloat, ir::to_dims(*value->type.shape), values));
    model.graph->remove_input(value);
  }
}

struct Compared {
  double cosine = 1, sqnr_db = INFINITY;  // the worst output
  std::map<std::string, int> kernels;     // of the optimized graph, all levels

  int count(const std::string& op) const {
    auto it = kernels.find(op);
    return it == kernels.end() ? 0 : it->second;
  }
};

// `after` beside `before` on the same inputs; half inputs get the same values.
inline Compared compare(const ir::Model& before, const ir::Model& after,
                        const std::vector<NamedTensors>& inputs) {
  lathe::test::TempDir folder;
  latency::SessionOptions options;
  options.optimized_model = folder.path() / "optimized.onnx";
  auto changed = latency::Session::open(after, options);
  auto reference = latency::Session::open(before);
  Compared compared;
  for (const NamedTensors& given : inputs) {
    NamedTensors converted = given;
    for (auto& [name, tensor] : converted)
      for (const latency::TensorInfo& info : changed->inputs())
        if (info.name == name && info.type.elem != tensor.type())
          tensor = ir::Tensor::from_doubles(info.type.elem, tensor.dims(),
                                            tensor.to_doubles());
    auto expected = reference->run(given), found = changed->run(converted);
    for (size_t i = 0; i < expected.size(); ++i) {
      if (!ir::is_floating(expected[i].type())) continue;
      compared.cosine =
          std::min(compared.cosine, cosine(expected[i], found[i]));
      compared.sqnr_db =
          std::min(compared.sqnr_db, sqnr_db(expected[i], found[i]));
    }
  }
  ir::Model optimized = io::import_onnx(options.optimized_model);
  ir::for_each_graph(*optimized.graph, [&](ir::Graph& graph) {
    for (const auto& node : graph.nodes()) ++compared.kernels[node->op_type];
  });
  return compared;
}

}  // namespace lathe::quantize::test
