// remove_initializers_from_inputs: weights that no caller can replace.
//
//   before: inputs (x, w), initializer w     after: inputs (x), initializer w
//
// An input with an initializer is one with a default: the runtime must not
// treat it as constant, so nothing that uses it folds or quantizes. IR 4 and
// newer allow initializers off the input list; an older model becomes IR 4.
// Inputs of subgraphs are positional and stay.
// Source: ONNX IR specification, "Initializers".
#include <algorithm>

#include "passes/rewrite/rewrite.h"

namespace lathe::rewrite {
namespace {

class RemoveInitializersFromInputs final : public Pass {
 public:
  std::string name() const override {
    return "remove_initializers_from_inputs";
  }

  PassResult run(ir::Model& model, PassContext&) override {
    PassResult result;
    std::vector<ir::Value*> inputs = model.graph->inputs();
    for (ir::Value* input : inputs) {
      if (!input->has_initializer()) continue;
      model.graph->remove_input(input);
      // What was declared may have been looser than the tensor.
      input->type.elem = input->tensor().type();
      input->type.shape = ir::to_shape(input->tensor().dims());
      ++result.changes;
    }
    if (result.changes > 0)
      model.ir_version = std::max<int64_t>(model.ir_version, 4);
    return result;
  }
};

}  // namespace

std::unique_ptr<Pass> make_remove_initializers_from_inputs() {
  return std::make_unique<RemoveInitializersFromInputs>();
}

}  // namespace lathe::rewrite
