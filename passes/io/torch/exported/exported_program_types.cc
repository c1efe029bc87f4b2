#include "passes/io/torch/exported/exported_program_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "passes/base/error.h"
#include "passes/io/torch/aten/argument.h"

namespace lathe::io::exported {
namespace {

struct Row {
  int64_t serialized, torch;
};

// torch/_export/serde/schema.py, ScalarType, up to schema version 8.17.
constexpr std::array<Row, 18> kScalarTypes = {{{1, 0},    // uint8
                                               {2, 1},    // int8
                                               {3, 2},    // int16
                                               {4, 3},    // int32
                                               {5, 4},    // int64
                                               {6, 5},    // float16
                                               {7, 6},    // float32
                                               {8, 7},    // float64
                                               {9, 8},    // complex32
                                               {10, 9},   // complex64
                                               {11, 10},  // complex128
                                               {12, 11},  // bool
                                               {13, 15},  // bfloat16
                                               {28, 27},  // uint16
                                               {29, 24},  // float8_e4m3fn
                                               {30, 23},  // float8_e5m2
                                               {31, 26},  // float8_e4m3fnuz
                                               {32, 25}}};

// Layout: 0 is unknown and stands for the usual one.
constexpr std::array<Row, 8> kLayouts = {{{0, 0},    // unknown
                                          {1, 1},    // sparse COO
                                          {2, 2},    // sparse CSR
                                          {3, 4},    // sparse CSC
                                          {4, 5},    // sparse BSR
                                          {5, 6},    // sparse BSC
                                          {6, 3},    // mkldnn
                                          {7, 0}}};  // strided

constexpr std::array<Row, 5> kMemoryFormats = {{{0, 1},    // unknown
                                                {1, 0},    // contiguous
                                                {2, 2},    // channels last
                                                {3, 3},    // channels last 3d
                                                {4, 1}}};  // preserve

template <size_t N>
int64_t look_up(const std::array<Row, N>& rows, const JsonField& field,
                const char* what) {
  const int64_t number = field.integer();
  for (const Row& row : rows)
    if (row.serialized == number) return row.torch;
  field.fail(fmt::format("{} is not a number of {}", number, what));
}

bool is_name(std::string_view text) {
  return !text.empty() && !std::isdigit(static_cast<unsigned char>(text[0])) &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) || c == '_';
         });
}

}  // namespace

int64_t torch_scalar_type(const JsonField& field) {
  return look_up(kScalarTypes, field, "an element type");
}

int64_t torch_layout(const JsonField& field) {
  return look_up(kLayouts, field, "a layout");
}

int64_t torch_memory_format(const JsonField& field) {
  return look_up(kMemoryFormats, field, "a memory format");
}

ir::DataType data_type(const JsonField& field) {
  const int64_t number = torch_scalar_type(field);
  if (const auto type = aten::data_type_from_torch(number)) return *type;
  throw_unsupported(
      field.where(),
      number >= 8 && number <= 10
          ? std::string("complex tensors have no ONNX translation")
          : fmt::format("tensors of PyTorch's element type {} have no ONNX "
                        "translation",
                        number));
}

std::string plain_symbol(std::string_view expression) {
  if (is_name(expression)) return std::string(expression);
  constexpr std::string_view kHead = "Symbol('";
  if (!expression.starts_with(kHead) || !expression.ends_with(')')) return "";
  expression.remove_prefix(kHead.size());
  const std::string_view name = expression.substr(0, expression.find('\''));
  const size_t end = expression.find(')');
  if (!is_name(name) || end != expression.size() - 1) return "";
  return std::string(name);
}

void Symbols::bind_name(const std::string& name, int64_t size) {
  bool renamed = false;
  for (auto& [symbol, dim] : dims_) {
    if (dim.known() || dim.symbol != name) continue;
    dim = size;
    renamed = true;
  }
  if (!renamed) dims_[name] = size;
}

ir::Dim Symbols::dim(const JsonField& sym_int) const {
  const auto [kind, field] = sym_int.variant();
  if (kind == "as_int") {
    const int64_t size = field.integer();
    if (size < 0) field.fail(fmt::format("{} is no size", size));
    return size;
  }
  if (kind != "as_expr") sym_int.fail_expected("as_int or as_expr");
  const std::string symbol = plain_symbol(field.at("expr_str").text());
  const auto found = dims_.find(symbol);
  if (found != dims_.end()) return found->second;
  return symbol.empty() ? ir::Dim() : ir::Dim::named(symbol);
}

ir::ValueType Symbols::value_type(const JsonField& tensor_meta) const {
  ir::ValueType type;
  type.elem = data_type(tensor_meta.at("dtype"));
  type.shape.emplace();
  for (const JsonField& size : tensor_meta.at("sizes").items())
    type.shape->push_back(dim(size));
  return type;
}

int64_t known_size(const JsonField& sym_int) {
  return sym_int.at("as_int").integer();
}

std::vector<int64_t> known_sizes(const JsonField& sym_ints) {
  std::vector<int64_t> sizes;
  for (const JsonField& size : sym_ints.items())
    sizes.push_back(known_size(size));
  return sizes;
}

}  // namespace lathe::io::exported
