#include <algorithm>
#include <unordered_map>

#include "passes/io/torch/aten/aten_families.h"

namespace lathe::io::aten {
namespace {

using Rows = std::unordered_map<std::string_view, const AtenRow*>;

const Rows& table() {
  static const Rows kRows = [] {
    Rows rows;
    for (const auto family :
         {convolution_rows, pooling_rows, normalization_rows, product_rows,
          attention_rows, activation_rows, arithmetic_rows, comparison_rows,
          reduction_rows, creation_rows, shape_rows, slicing_rows,
          indexing_rows, padding_rows, resampling_rows, recurrent_rows})
      for (const AtenRow& row : family()) rows.emplace(row.name, &row);
    return rows;
  }();
  return kRows;
}

}  // namespace

const AtenRow* find_aten(std::string_view name) {
  const auto it = table().find(name);
  return it == table().end() ? nullptr : it->second;
}

std::vector<std::string> all_aten_names() {
  std::vector<std::string> names;
  for (const auto& [name, row] : table()) names.emplace_back(name);
  std::ranges::sort(names);
  return names;
}

}  // namespace lathe::io::aten
