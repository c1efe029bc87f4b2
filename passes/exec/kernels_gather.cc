// Operators that look elements up by index, or write them there.
#include <algorithm>
#include <numeric>

#include "passes/exec/operator_kernel.h"

namespace lathe::exec {
namespace {

using Ints = std::vector<int64_t>;

// Indices from the end become indices from the start.
at::Tensor wrapped(const at::Tensor& index, int64_t extent,
                   const at::Tensor& x) {
  const at::Tensor longs = index.to(x.device(), at::kLong);
  return at::where(longs < 0, longs + extent, longs);
}

int64_t product(at::IntArrayRef sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1},
                         std::multiplies<>());
}

Kernel make_gather(const NodeInfo& info) {
  const int64_t axis = info.node.attr_int("axis", 0);
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor &x = in[0], &index = in[1];
    const int64_t dim = c10::maybe_wrap_dim(axis, x.dim());
    if (index.dim() == 0 && index.is_cpu())
      return {x.select(dim, int64s(index).at(0))};
    const at::Tensor taken =
        x.index_select(dim, wrapped(index, x.size(dim), x).reshape({-1}));
    if (index.dim() == 1) return {taken};
    Ints sizes = x.sizes().slice(0, static_cast<size_t>(dim)).vec();
    sizes.insert(sizes.end(), index.sizes().begin(), index.sizes().end());
    sizes.insert(sizes.end(), x.sizes().begin() + dim + 1, x.sizes().end());
    return {taken.reshape(sizes)};
  };
}

Kernel make_gather_elements(const NodeInfo& info) {
  const int64_t axis = info.node.attr_int("axis", 0);
  return [=](Inputs in, const RunState&) -> Tensors {
    return {in[0].gather(axis, wrapped(in[1], in[0].size(axis), in[0]))};
  };
}

// index [..., k] addresses the first k of `sizes`: the position of each in them
// when flattened, [...].
at::Tensor flat_index(const at::Tensor& index, at::IntArrayRef sizes,
                      const at::Tensor& x) {
  const int64_t depth = index.size(-1);
  TORCH_CHECK(depth <= static_cast<int64_t>(sizes.size()),
              "its indices address more dimensions than there are");
  Ints shape = index.sizes().vec();
  shape.pop_back();
  at::Tensor flat =
      at::zeros(shape, at::TensorOptions(at::kLong).device(x.device()));
  for (int64_t k = 0; k < depth; ++k) {
    const int64_t extent = sizes[static_cast<size_t>(k)];
    const at::Tensor part = wrapped(index.select(-1, k), extent, x);
    TORCH_CHECK(part.numel() == 0 || (part.min().item<int64_t>() >= 0 &&
                                      part.max().item<int64_t>() < extent),
                "an index lies outside of its dimension of ", extent);
    flat = flat * extent + part;
  }
  return flat;
}

Kernel make_gather_nd(const NodeInfo& info) {
  const int64_t batch_dims = info.node.attr_int("batch_dims", 0);
  if (batch_dims < 0) info.invalid("attribute 'batch_dims' is negative");
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor &x = in[0], &index = in[1];
    TORCH_CHECK(index.dim() > batch_dims && x.dim() > batch_dims,
                "its inputs have no dimensions behind the batch");
    const auto batch = static_cast<size_t>(batch_dims);
    const auto depth = static_cast<size_t>(index.size(-1));
    at::Tensor flat = flat_index(index, x.sizes().slice(batch), x);
    const int64_t batches = product(x.sizes().slice(0, batch));
    const int64_t block = product(x.sizes().slice(batch, depth));
    if (batch > 0) {
      Ints sizes(static_cast<size_t>(flat.dim()), 1);
      for (size_t d = 0; d < batch; ++d) sizes[d] = x.sizes()[d];
      flat =
          flat + (at::arange(batches, flat.options()) * block).reshape(sizes);
    }
    const at::IntArrayRef rest = x.sizes().slice(batch + depth);
    Ints from{batches * block}, to = flat.sizes().vec();
    from.insert(from.end(), rest.begin(), rest.end());
    to.insert(to.end(), rest.begin(), rest.end());
    return {x.reshape(from).index_select(0, flat.reshape({-1})).reshape(to)};
  };
}

// Keeps LibTorch from saying on stderr that scatter_reduce is in beta.
class Quiet : public c10::WarningHandler {
 public:
  void process(const c10::SourceLocation&, const std::string&, bool) override {}
};

enum class Reduction { kNone, kAdd, kMul, kMax, kMin };

Reduction reduction_of(const NodeInfo& info) {
  const std::string name = info.node.attr_string("reduction", "none");
  if (name == "none") return Reduction::kNone;
  if (name == "add") return Reduction::kAdd;
  if (name == "mul") return Reduction::kMul;
  if (name == "max") return Reduction::kMax;
  if (name == "min") return Reduction::kMin;
  info.invalid("attribute 'reduction' is '" + name + "'");
}

at::Tensor scattered(const at::Tensor& x, int64_t dim, const at::Tensor& index,
                     const at::Tensor& updates, Reduction reduction) {
  if (reduction == Reduction::kNone) return x.scatter(dim, index, updates);
  if (reduction == Reduction::kAdd) return x.scatter_add(dim, index, updates);
  const char* name = reduction == Reduction::kMul   ? "prod"
                     : reduction == Reduction::kMax ? "amax"
                                                    : "amin";
  Quiet quiet;
  c10::Warning::WarningHandlerGuard guard(&quiet);
  return x.scatter_reduce(dim, index, updates, name);
}

Kernel make_scatter_elements(const NodeInfo& info) {
  const int64_t axis = info.node.attr_int("axis", 0);
  const Reduction reduction = reduction_of(info);
  return [=](Inputs in, const RunState&) -> Tensors {
    TORCH_CHECK(in[1].sizes() == in[2].sizes(),
                "its indices and updates have different shapes");
    return {scattered(in[0], axis, wrapped(in[1], in[0].size(axis), in[0]),
                      in[2], reduction)};
  };
}

Kernel make_scatter_nd(const NodeInfo& info) {
  const Reduction reduction = reduction_of(info);
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor &x = in[0], &index = in[1], &updates = in[2];
    const auto depth = static_cast<size_t>(index.size(-1));
    const at::Tensor flat = flat_index(index, x.sizes(), x).reshape({-1});
    const at::IntArrayRef rest = x.sizes().slice(depth);
    const int64_t row = product(rest);
    const at::Tensor rows =
        x.reshape({product(x.sizes().slice(0, depth)), row});
    Ints shape = index.sizes().vec();
    shape.pop_back();
    shape.insert(shape.end(), rest.begin(), rest.end());
    TORCH_CHECK(updates.sizes() == at::IntArrayRef(shape),
                "its updates do not go with its indices");
    const at::Tensor written =
        scattered(rows, 0, flat.unsqueeze(1).expand({flat.size(0), row}),
                  updates.reshape({flat.size(0), row}), reduction);
    return {written.reshape(x.sizes())};
  };
}

Kernel make_top_k(const NodeInfo& info) {
  const bool has_k = info.node.has_attribute("k");
  const int64_t fixed = info.node.attr_int("k", 0);
  if (!has_k && info.inputs() < 2) info.invalid("it has no k");
  const int64_t axis = info.node.attr_int("axis", -1);
  const bool largest = info.node.attr_int("largest", 1) != 0;
  return [=](Inputs in, const RunState&) -> Tensors {
    const int64_t k = has_k ? fixed : int64s(in[1]).at(0);
    // Of equal elements the first ones come first: what at::topk does not say.
    const auto [values, index] =
        at::sort(in[0], /*stable=*/true, axis, largest);
    return {values.narrow(axis, 0, k), index.narrow(axis, 0, k)};
  };
}

struct Box {
  float y1, x1, y2, x2;
  float area() const { return (y2 - y1) * (x2 - x1); }
};

Box box_of(const float* at, bool center_point) {
  if (center_point)
    return {at[1] - at[3] / 2, at[0] - at[2] / 2, at[1] + at[3] / 2,
            at[0] + at[2] / 2};
  return {std::min(at[0], at[2]), std::min(at[1], at[3]),
          std::max(at[0], at[2]), std::max(at[1], at[3])};
}

bool suppresses(const Box& a, const Box& b, float threshold) {
  const float height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  const float width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  if (height <= 0 || width <= 0) return false;
  const float common = height * width;
  const float all = a.area() + b.area() - common;
  if (a.area() <= 0 || b.area() <= 0 || all <= 0) return false;
  return common / all > threshold;
}

// The kept ones of a class's boxes, best first.
Ints kept_boxes(const std::vector<Box>& boxes, const float* scores,
                const float* at_least, int64_t most, float threshold) {
  Ints order;
  for (size_t i = 0; i < boxes.size(); ++i)
    if (!at_least || scores[i] > *at_least)
      order.push_back(static_cast<int64_t>(i));
  std::ranges::stable_sort(
      order, [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
  Ints kept;
  for (int64_t candidate : order) {
    if (static_cast<int64_t>(kept.size()) >= most) break;
    const Box& box = boxes[static_cast<size_t>(candidate)];
    if (std::ranges::none_of(kept, [&](int64_t other) {
          return suppresses(box, boxes[static_cast<size_t>(other)], threshold);
        }))
      kept.push_back(candidate);
  }
  return kept;
}

Kernel make_non_max_suppression(const NodeInfo& info) {
  const bool center_point = info.node.attr_int("center_point_box", 0) != 0;
  if (info.inputs() < 2) info.invalid("it has no scores");
  return [=](Inputs in, const RunState&) -> Tensors {
    at::NoGradGuard no_grad;
    auto floats = [](const at::Tensor& tensor) {
      return tensor.to(at::kCPU, at::kFloat).contiguous();
    };
    const at::Tensor boxes = floats(in[0]), scores = floats(in[1]);
    TORCH_CHECK(boxes.dim() == 3 && scores.dim() == 3 && boxes.size(2) == 4 &&
                    boxes.size(0) == scores.size(0) &&
                    boxes.size(1) == scores.size(2),
                "its boxes and scores do not go together");
    auto number = [&](size_t i, float fallback) {
      const at::Tensor given = input(in, i);
      return given.defined() && given.numel() > 0
                 ? static_cast<float>(doubles(given).at(0))
                 : fallback;
    };
    const at::Tensor limit = input(in, 2);
    const int64_t most =
        limit.defined() && limit.numel() > 0 ? int64s(limit).at(0) : 0;
    const float threshold = number(3, 0), score_threshold = number(4, 0);
    const bool has_score_threshold = input(in, 4).defined();
    const int64_t count = boxes.size(1), classes = scores.size(1);
    Ints selected;
    for (int64_t b = 0; b < boxes.size(0); ++b) {
      std::vector<Box> own;
      for (int64_t i = 0; i < count; ++i)
        own.push_back(box_of(boxes.data_ptr<float>() + (b * count + i) * 4,
                             center_point));
      for (int64_t c = 0; c < classes; ++c)
        for (int64_t i : kept_boxes(
                 own, scores.data_ptr<float>() + (b * classes + c) * count,
                 has_score_threshold ? &score_threshold : nullptr, most,
                 threshold))
          selected.insert(selected.end(), {b, c, i});
    }
    return {at::tensor(at::IntArrayRef(selected), at::kLong)
                .reshape({static_cast<int64_t>(selected.size() / 3), 3})
                .to(in[0].device())};
  };
}

constexpr OperatorRow kRows[] = {
    {"Gather", make_gather, "", {.host = 0b10, .half = true}},
    {"GatherElements", make_gather_elements, "", {.host = 0b10}},
    {"GatherND", make_gather_nd, "", {.host = 0b10, .half = true}},
    {"Scatter", make_scatter_elements, "", {.host = 0b10}},
    {"ScatterElements", make_scatter_elements, "", {.host = 0b10}},
    {"ScatterND", make_scatter_nd, "", {.host = 0b10}},
    {"TopK", make_top_k, "", {.host = 0b10}},
    {"NonMaxSuppression", make_non_max_suppression, "", {.host = 0b11111}},
};

}  // namespace

std::span<const OperatorRow> gather_rows() { return kRows; }

}  // namespace lathe::exec
