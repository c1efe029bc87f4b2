// What a product reads and gives at some positions of a batch, as matrices.
#pragma once

#include <cstdint>
#include <vector>

#include "passes/base/random.h"
#include "passes/prune/repair_product.h"

namespace lathe::prune {

// Positions of a convolution are places of its output, the same ones in every
// sample of the batch; positions of a matrix product are its rows.
class ProductRows {
 public:
  // `x`: what the product reads.
  ProductRows(const Product& product, const at::Tensor& x);

  // Rows that one position stands for: a batch's samples, or 1.
  int64_t rows_each() const { return rows_each_; }
  int64_t positions() const { return positions_; }
  // Whether another product has the same positions.
  bool same_places(const ProductRows& other) const {
    return places_ == other.places_;
  }
  // Different ones in ascending order, at most `count`.
  std::vector<int64_t> draw(int64_t count, Random& random) const;

  // float [groups, rows, features]
  at::Tensor read(const std::vector<int64_t>& positions) const;
  // Of a value that is shaped like the product's result: float [rows,
  // channels]; undefined where it has other places.
  at::Tensor given(const at::Tensor& value,
                   const std::vector<int64_t>& positions) const;

 private:
  at::Tensor windows(const std::vector<int64_t>& positions) const;

  const Product& product_;
  at::Tensor x_;
  std::vector<int64_t> places_;  // batch and spatial sizes of the result
  std::vector<int64_t> kernel_, strides_, dilations_, begins_, ends_;
  int64_t rows_each_ = 1, positions_ = 0;
};

}  // namespace lathe::prune
