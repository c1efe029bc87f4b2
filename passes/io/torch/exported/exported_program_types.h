// Element types, sizes and symbols as torch.export's schema writes them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "passes/io/torch/exported/exported_program_json.h"
#include "passes/ir/value_type.h"

namespace lathe::io::exported {

// The schema numbers element types, layouts and memory formats in its own way;
// these are PyTorch's numbers, which emitters expect. Error kInput for numbers
// that no version of the schema has.
int64_t torch_scalar_type(const JsonField& field);
int64_t torch_layout(const JsonField& field);
int64_t torch_memory_format(const JsonField& field);

// An element type as ONNX has it. Error kUnsupported where it has none.
ir::DataType data_type(const JsonField& field);

// The only symbol of an expression that is nothing else ("s0", "Symbol('s0',
// integer=True)"); empty for any other expression.
std::string plain_symbol(std::string_view expression);

// Names and, once input shapes are bound, sizes of the program's symbols.
class Symbols {
 public:
  void rename(const std::string& symbol, const std::string& name) {
    dims_[symbol] = ir::Dim::named(name);
  }
  // Every dimension of that name has this size from now on.
  void bind_name(const std::string& name, int64_t size);
  // A SymInt: {"as_int": 3} or {"as_expr": {"expr_str": …}}. Unknown for an
  // expression of more than a symbol.
  ir::Dim dim(const JsonField& sym_int) const;
  // Element type and shape of a TensorMeta.
  ir::ValueType value_type(const JsonField& tensor_meta) const;

 private:
  std::map<std::string, ir::Dim> dims_;
};

// A list of SymInts that are all numbers.
std::vector<int64_t> known_sizes(const JsonField& sym_ints);
int64_t known_size(const JsonField& sym_int);

}  // namespace lathe::io::exported
