// Shapes and element types of every value, as far as they follow from the
// inputs. Integer values that compute shapes (Shape, Gather, Concat, …) are
// followed, symbols included.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::ir {

// Input name -> dimensions; name "" is the only input that has no initializer.
using InputShapes = std::map<std::string, std::vector<int64_t>>;

// Sets the shapes of graph inputs and drops the types of computed values that
// no longer follow. Error kUsage when an input does not exist, a rank differs
// or a known dimension contradicts.
void bind_input_shapes(Model& model, const InputShapes& shapes);

// `bound`, and 1 for every other unknown dimension of an input: what a
// latency is quoted for when nothing else is said. Unknown rank: error kUsage
// with the --input-shape flag as hint. Only inputs without initializer.
InputShapes default_input_shapes(const Model& model,
                                 const InputShapes& bound = {});

// Fills in `type` of values. Never removes knowledge; where what the file says
// contradicts what follows, the inferred one wins. Unknown operators leave
// their outputs as they are. Error kInput (naming the node) where inputs
// cannot go together, e.g. a Conv whose channels disagree.
void infer_shapes(Model& model);

}  // namespace lathe::ir
