#include "passes/distill/model_shapes.h"

#include "passes/ir/shape_inference.h"
#include "passes/pass.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::distill {

ir::Model with_shapes(const ir::Model& model, const PassContext& context) {
  ir::Model bound = ir::clone(model);
  ir::InputShapes given;
  for (const ir::Value* input : bound.graph->inputs())
    if (const auto found = context.input_shapes.find(input->name());
        found != context.input_shapes.end())
      given.insert(*found);
  ir::bind_input_shapes(bound, ir::default_input_shapes(bound, given));
  ir::infer_shapes(bound);
  return bound;
}

ir::Model simplified_teacher(const PassContext& context) {
  ir::Model made = ir::clone(*context.input);
  PassContext own;
  own.cancel = context.cancel;
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(rewrite::make_simplify());
  run_passes(made, passes, own);
  return made;
}

const ir::Model* float_reference(const PassContext& context,
                                 const ir::Model& teacher) {
  return context.reference == context.input ? &teacher : context.reference;
}

}  // namespace lathe::distill
