// A model of the zoo in the runtime.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "calibration/latency/bench.h"
#include "calibration/latency/session.h"
#include "passes/ir/shape_inference.h"

namespace lathe::zoo::test {

// Runs on random input: every output has the shape that was inferred, and is
// finite and not constant.
inline void check_runs(const ir::Model& model,
                       const latency::SessionOptions& options = {}) {
  auto session = latency::Session::open(model, options);
  auto outputs = session->run(latency::random_inputs(model, {}, 1));
  REQUIRE(outputs.size() == model.graph->outputs().size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    const ir::ValueType& type = model.graph->outputs()[i]->type;
    REQUIRE(type.has_static_shape());
    CHECK(outputs[i].dims() == ir::to_dims(*type.shape));
    auto values = outputs[i].data<float>();
    float least = values[0], most = values[0];
    bool finite = true;
    for (float value : values) {
      finite &= std::isfinite(value);
      least = std::min(least, value);
      most = std::max(most, value);
    }
    CHECK(finite);
    CHECK(most > least);
  }
}

}  // namespace lathe::zoo::test
