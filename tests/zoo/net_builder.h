// Writes networks node by node: the layers that the zoo's architectures are
// made of, with seeded random weights. Every value's shape is known as soon as
// its node stands.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "passes/base/random.h"
#include "passes/ir/graph.h"
#include "passes/ir/infer_context.h"

namespace lathe::zoo {

enum class Act { kNone, kRelu, kRelu6, kHardSwish, kSwish };

// Of a convolution or pooling: kernel and stride have one entry a spatial axis,
// pads all begins and then all ends.
struct Window {
  std::vector<int64_t> kernel, stride, pads;
};
// Square, padded by kernel / 2: keeps the size at stride 1.
Window square(int64_t kernel, int64_t stride = 1);
Window unpadded(int64_t kernel, int64_t stride = 1);

struct Attr {
  std::string name;
  std::variant<int64_t, float, std::string, std::vector<int64_t>> value;
};

class NetBuilder {
 public:
  using Value = ir::Value;
  using Dims = std::vector<int64_t>;

  NetBuilder(const std::string& name, uint64_t seed);
  NetBuilder(const NetBuilder&) = delete;
  NetBuilder& operator=(const NetBuilder&) = delete;

  // From here on conv() writes a BatchNormalization where it would else write
  // a bias.
  void keep_batch_norm() { keep_batch_norm_ = true; }
  // Prefix of the names that follow: "layer1.0" gives "layer1.0.conv".
  void scope(const std::string& name) { scope_ = name + "."; }

  Value* input(const std::string& name, Dims dims,
               ir::DataType type = ir::DataType::kFloat);
  // "input", [1, 3, size, size].
  Value* image(int64_t size);
  // Makes `output` the model's output "output" and hands the model over; the
  // builder is used up.
  ir::Model finish(Value* output);

  // Any operator whose shapes follow; returns its first output.
  Value* add_node(const std::string& op, std::vector<Value*> inputs,
                  const std::vector<Attr>& attributes = {}, size_t outputs = 1);

  // Constants. Uniform in [-limit, limit], or between two bounds.
  Value* uniform(const std::string& role, Dims dims, float limit);
  Value* uniform(const std::string& role, Dims dims, float low, float high);
  Value* scalar(const std::string& role, float value);
  Value* integers(const std::string& role, const Dims& values);  // rank 1
  Value* integer(const std::string& role, int64_t value);        // rank 0

  // Layers. Activations are [N, C, spatial…] for these.
  Value* conv(Value* x, int64_t out, const Window& window, Act act = Act::kNone,
              int64_t group = 1);
  Value* conv(Value* x, int64_t out, int64_t kernel, int64_t stride = 1,
              Act act = Act::kNone);
  Value* depthwise(Value* x, int64_t kernel, int64_t stride = 1,
                   Act act = Act::kNone);
  // Doubles height and width.
  Value* up_conv(Value* x, int64_t out, Act act = Act::kNone);
  Value* resize2(Value* x, const std::string& mode);
  Value* batch_norm(Value* x);
  Value* max_pool(Value* x, const Window& window, bool ceil = false);
  Value* average_pool(Value* x, const Window& window);
  Value* global_pool(Value* x);
  // Global average, flatten, linear.
  Value* classifier(Value* x, int64_t classes);

  // Of the last axis: Gemm for rank 2, else MatMul and Add.
  Value* linear(Value* x, int64_t out, Act act = Act::kNone);
  Value* layer_norm(Value* x, float epsilon = 1e-6f);  // of the last axis
  Value* softmax(Value* x);                            // of the last axis

  Value* activate(Value* x, Act act);
  Value* relu(Value* x) { return activate(x, Act::kRelu); }
  Value* gelu(Value* x);  // exact, through Erf
  Value* add(Value* a, Value* b) { return add_node("Add", {a, b}); }
  Value* mul(Value* a, Value* b) { return add_node("Mul", {a, b}); }
  Value* matmul(Value* a, Value* b) { return add_node("MatMul", {a, b}); }

  Value* concat(std::vector<Value*> parts, int64_t axis = 1);
  std::vector<Value*> split(Value* x, const Dims& sizes, int64_t axis = 1);
  Value* flatten(Value* x) { return add_node("Flatten", {x}); }
  Value* reshape(Value* x, const Dims& dims);
  Value* transpose(Value* x, const Dims& order);

  static int64_t dim(const Value* x, int64_t axis);  // -1: the last
  static int64_t channels(const Value* x) { return dim(x, 1); }

 private:
  ir::Graph& graph() { return *model_.graph; }
  Value* add_tensor(const std::string& role, ir::Tensor tensor);

  ir::Model model_;
  ir::InferSession inference_;
  Random random_;
  std::string scope_;
  bool keep_batch_norm_ = false;
};

}  // namespace lathe::zoo
