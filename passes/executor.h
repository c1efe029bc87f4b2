// Running a model on tensors.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe {

using NamedTensors = std::vector<std::pair<std::string, ir::Tensor>>;

// A prepared model. run() is thread-safe.
class Executable {
 public:
  virtual ~Executable() = default;
  // Inputs by name; returns the graph outputs in order. Errors: kInput when an
  // input is missing or has the wrong type or shape.
  virtual std::vector<ir::Tensor> run(const NamedTensors& inputs) const = 0;
};

class Executor {
 public:
  virtual ~Executor() = default;
  // Error kUnsupported naming the node when an operator is not known.
  virtual std::unique_ptr<Executable> prepare(const ir::Model& model) const = 0;
};

}  // namespace lathe
