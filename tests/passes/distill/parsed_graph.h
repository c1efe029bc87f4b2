// Small models from their text form.
#pragma once

#include <string>

#include "passes/ir/shape_inference.h"
#include "passes/ir/text_format.h"

namespace lathe::test {

// Of opset 17, with the shapes of all values.
inline ir::Model parsed_graph(const std::string& body) {
  ir::Model model =
      ir::parse_text("ir_version 8 opset 17 graph g {\n" + body + " }");
  ir::infer_shapes(model);
  return model;
}

}  // namespace lathe::test
