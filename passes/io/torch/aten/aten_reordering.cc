// transpose, permute, movedim: axes in another order.
#include <algorithm>
#include <string>

#include "passes/io/torch/aten/aten_sizes.h"
#include "passes/io/torch/aten/aten_tensor_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::Value;

std::vector<int64_t> all_axes(int64_t rank) {
  return order_with_first({}, rank);
}

void check_permutation(const AtenCall& call, std::vector<int64_t> axes,
                       int64_t rank, const char* argument) {
  std::ranges::sort(axes);
  if (axes != all_axes(rank))
    call.unsupported("argument '" + std::string(argument) +
                     "' does not name each of the " + std::to_string(rank) +
                     " axes once");
}

}  // namespace

Arguments emit_transpose(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  if (rank == 0) return one(self);
  const char *first = "dim0", *second = "dim1";
  if (call.given("axis0")) first = "axis0", second = "axis1";
  std::vector<int64_t> order = all_axes(rank);
  std::swap(order[static_cast<size_t>(call.axis(first, rank))],
            order[static_cast<size_t>(call.axis(second, rank))]);
  return one(builder.transpose(self, order));
}

Arguments emit_transpose_2d(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  if (rank > 2)
    call.unsupported("found a tensor of rank " + std::to_string(rank) +
                     ", expected at most 2");
  return one(rank == 2 ? builder.transpose(self, {1, 0}) : self);
}

Arguments emit_transpose_last(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  if (rank == 0) return one(self);
  if (rank == 1)
    call.unsupported("found a tensor of rank 1, expected a matrix");
  std::vector<int64_t> order = all_axes(rank);
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return one(builder.transpose(self, order));
}

Arguments emit_reverse_axes(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  std::vector<int64_t> order = all_axes(builder.rank(self));
  std::ranges::reverse(order);
  return one(builder.transpose(self, order));
}

Arguments emit_permute(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  const auto order = ordered_axes(call, "dims", rank);
  check_permutation(call, order, rank, "dims");
  return one(builder.transpose(self, order));
}

Arguments emit_movedim(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  if (rank == 0) return one(self);
  const auto source = ordered_axes(call, "source", rank);
  const auto destination = ordered_axes(call, "destination", rank);
  check_permutation(call, order_with_first(source, rank), rank, "source");
  check_permutation(call, order_with_first(destination, rank), rank,
                    "destination");
  if (source.size() != destination.size())
    call.unsupported("moves " + std::to_string(source.size()) + " axes to " +
                     std::to_string(destination.size()) + " places");
  // What follows the moved axes keeps its order in the places left.
  const auto from = order_with_first(source, rank);
  const auto to = order_with_first(destination, rank);
  std::vector<int64_t> order(static_cast<size_t>(rank));
  for (size_t i = 0; i < from.size(); ++i)
    order[static_cast<size_t>(to[i])] = from[i];
  return one(builder.transpose(self, order));
}

}  // namespace lathe::io::aten
