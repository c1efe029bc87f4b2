// Puts a random network together, value by value. Internal.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "passes/base/random.h"
#include "passes/ir/graph.h"

namespace lathe::latency {

using Dims = std::vector<int64_t>;

struct Window {
  int64_t height = 3, width = 3;
  int64_t stride_height = 1, stride_width = 1;
  int64_t dilation = 1;
  int64_t group = 1;

  static Window square(int64_t size, int64_t stride = 1, int64_t group = 1) {
    return {size, size, stride, stride, 1, group};
  }
};

// Every value carries its type and shape. Weights are drawn from one table of
// normal numbers, scaled so that activations stay near 1.
class NetworkBuilder {
 public:
  // `work`: how many times the usual multiply-accumulates the network gets, for
  // a precision that does more of them in the same time.
  explicit NetworkBuilder(uint64_t seed, double work = 1);

  Random& random() { return random_; }
  bool chance(double probability) { return random_.uniform() < probability; }
  int64_t between(int64_t low, int64_t high);  // both included
  template <class T>
  T pick(std::initializer_list<T> items) {
    return items.begin()[random_.below(items.size())];
  }
  double log_uniform(double low, double high);
  // As log_uniform, times `work`.
  double draw_macs(double low, double high) {
    return log_uniform(low, high) * work_;
  }
  // A width in about [low, high]: 45% multiples of 16, 25% of 8, 15% of 4, 15%
  // any number.
  int64_t width(double low, double high);
  // Results of a classifier: those of ImageNet (40%), or any number.
  int64_t classes();

  static const Dims dims_of(const ir::Value* value);
  int64_t dim(const ir::Value* value, size_t axis) const;
  // Multiply-accumulates and bytes of weights so far.
  double macs() const { return macs_; }
  double weight_bytes() const { return weight_bytes_; }

  ir::Value* input(const Dims& dims, ir::DataType type = ir::DataType::kFloat);
  void output(ir::Value* value);
  ir::Value* weight(const Dims& dims, double fan_in);
  ir::Value* constant(float value);
  ir::Value* filled(const Dims& dims, float low, float high);
  ir::Value* integers(const std::vector<int64_t>& values);

  // A node with one float output of these dims.
  ir::Value* op(std::string_view type, std::vector<ir::Value*> inputs,
                const Dims& dims);
  // Of the last node added.
  template <class T>
  void attr(std::string_view name, T value) {
    last_->set_attr(name, std::move(value));
  }
  std::vector<ir::Value*> op_list(std::string_view type,
                                  std::vector<ir::Value*> inputs,
                                  const std::vector<Dims>& dims);

  // Images [N, C, H, W]. Padding keeps the size for odd kernels of stride 1.
  ir::Value* conv(ir::Value* x, int64_t channels, const Window& window);
  ir::Value* conv(ir::Value* x, int64_t channels, int64_t size,
                  int64_t stride = 1) {
    return conv(x, channels, Window::square(size, stride));
  }
  ir::Value* depthwise(ir::Value* x, int64_t size, int64_t stride = 1) {
    return conv(x, dim(x, 1), Window::square(size, stride, dim(x, 1)));
  }
  ir::Value* conv_1d(ir::Value* x, int64_t channels, int64_t size,
                     int64_t stride, int64_t dilation, int64_t group);
  ir::Value* conv_transpose(ir::Value* x, int64_t channels, int64_t size);
  ir::Value* pool(ir::Value* x, std::string_view type, int64_t size,
                  int64_t stride);
  ir::Value* global_pool(ir::Value* x);
  ir::Value* batch_norm(ir::Value* x);
  // "nearest" or "linear": by a whole factor; to any size.
  ir::Value* resize(ir::Value* x, int64_t scale, std::string_view mode);
  ir::Value* resize_to(ir::Value* x, int64_t height, int64_t width,
                       std::string_view mode);

  // "relu", "clip", "hard_swish", "swish", "leaky_relu", "sigmoid", "tanh",
  // "gelu_erf", "gelu_tanh", "hard_sigmoid", "" (none).
  ir::Value* activate(ir::Value* x, std::string_view kind);
  ir::Value* add(ir::Value* a, ir::Value* b) { return binary("Add", a, b); }
  ir::Value* mul(ir::Value* a, ir::Value* b) { return binary("Mul", a, b); }
  // With broadcasting.
  ir::Value* binary(std::string_view type, ir::Value* a, ir::Value* b);
  ir::Value* unary(std::string_view type, ir::Value* x) {
    return op(type, {x}, dims_of(x));
  }
  ir::Value* concat(const std::vector<ir::Value*>& values, int64_t axis);
  std::vector<ir::Value*> split(ir::Value* x, int64_t axis,
                                const std::vector<int64_t>& sizes);
  ir::Value* slice(ir::Value* x, int64_t axis, int64_t start, int64_t end);
  ir::Value* reshape(ir::Value* x, const Dims& dims);
  ir::Value* transpose(ir::Value* x, const std::vector<int64_t>& order);
  ir::Value* reduce_mean(ir::Value* x, const std::vector<int64_t>& axes,
                         bool keep);
  ir::Value* softmax(ir::Value* x, int64_t axis = -1);
  // Over the last axis.
  ir::Value* layer_norm(ir::Value* x);

  ir::Value* matmul(ir::Value* a, ir::Value* b);
  // [rows, depth] -> [rows, columns], a Gemm with bias.
  ir::Value* gemm(ir::Value* x, int64_t columns);
  // Any rank: MatMul and, mostly, an Add.
  ir::Value* dense(ir::Value* x, int64_t columns, bool bias = true);
  // Global pooling, Flatten and a Gemm, or a convolution of the one pixel.
  ir::Value* classifier(ir::Value* x, int64_t classes);

  ir::Model finish();

 private:
  std::string next_name(std::string_view type);
  // Of the last node.
  void set_resize_mode(std::string_view mode);
  ir::Model model_;
  Random random_;
  double work_ = 1;
  ir::Node* last_ = nullptr;
  int64_t count_ = 0;
  double macs_ = 0, weight_bytes_ = 0;
};

}  // namespace lathe::latency
