// The graph as text, for golden tests, --print-after and messages.
//
//   ir_version 8
//   opset 17
//   opset com.microsoft 1
//   graph main {
//     input %x: float[N,3,32,32]
//     init %w = float[8,3,1,1] #0f3a9b1c22d4e567   // large: shape and hash
//     init %axes = int64[1] {2}
//     %h: float[N,8,32,32] = Conv(%x, %w, _) {strides = [1, 1]} @conv1
//     %y, _ = com.microsoft::Op(%h)
//     %z = If(%c) {
//       then_branch = graph then { … },
//       else_branch = graph { … }
//     }
//     output %y
//   }
//
// Layout is free (a comment runs from // to the end of the line). Names of
// other characters than letters, digits and _ . / - are quoted: %"a:0". `_` is
// an absent input or output, `()` stands for no outputs at all. Attribute
// values: 1, 1.0 (floats always show that they are), "text", [1, 2], [1.0],
// ["a"], ints[] / floats[] / strings[] / tensors[] / graphs[] when empty, a
// tensor as initializers show it, a graph, ref(name, 7) for a function's
// attribute and opaque("…") for bytes. Bytes that are no printable ASCII are
// \xNN. Not shown: doc strings, denotations, unknown fields, training info,
// quantization annotations and sparse initializers.
#pragma once

#include <string>
#include <string_view>

#include "passes/ir/graph.h"

namespace lathe::ir {

struct TextOptions {
  // Initializers of at most this many elements are written out; larger ones
  // show type, shape and a hash of their bytes.
  int64_t max_elements = 16;
  bool value_types = true;
};

std::string to_text(const Model& model, const TextOptions& options = {});
std::string to_text(const Graph& graph, const TextOptions& options = {});

// The other direction, for tests: to_text(parse_text(t)) == t for a text that
// to_text wrote without hashes. Header lines may be left out; a value may be
// used before the node that computes it. Error kInput with source:line:column.
Model parse_text(std::string_view text, const std::string& source = "text");

}  // namespace lathe::ir
