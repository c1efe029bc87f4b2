// One small model an operator: the runtime's outputs have the shapes and types
// that the table tells.
#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "calibration/latency/bench.h"
#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/ir/shape_inference.h"

namespace lathe::test {
namespace {

using ir::DataType;
using ir::Graph;
using ir::Node;
using ir::Tensor;
using ir::Value;
using Ints = std::vector<int64_t>;

class Case {
 public:
  explicit Case(int64_t opset) {
    model.opset_imports[""] = opset;
    model.opset_imports["com.microsoft"] = 1;
    model.ir_version = 8;
  }
  Value* input(Ints dims, DataType elem = DataType::kFloat) {
    ir::ValueType type;
    type.elem = elem;
    type.shape = ir::to_shape(dims);
    return model.graph->add_input(model.graph->unique_name("x"), type);
  }
  Value* ints(const Ints& values) {
    return model.graph->add_constant("c", Tensor::vector_i64(values));
  }
  Value* floats(const std::vector<float>& values) {
    return model.graph->add_constant(
        "c",
        Tensor::from<float>({static_cast<int64_t>(values.size())}, values));
  }
  Value* constant(Tensor tensor) {
    return model.graph->add_constant("c", std::move(tensor));
  }
  Node* node(const std::string& op, std::vector<Value*> inputs,
             size_t outputs = 1, const std::string& domain = "") {
    Node* added = model.graph->add_node(op, std::move(inputs),
                                        std::vector<std::string>(outputs, "y"));
    added->domain = domain;
    for (Value* value : added->outputs()) model.graph->add_output(value);
    return added;
  }
  // "" when inference and runtime agree, or both refuse.
  std::string disagreement() {
    std::string refused;
    try {
      ir::infer_shapes(model);
    } catch (const Error& error) {
      refused = error.what();
    }
    std::vector<Tensor> outputs;
    try {
      // The runtime infers from the nodes, not from what we found.
      ir::Model plain = ir::clone(model);
      for (Value* value : plain.graph->values())
        if (value->producer()) value->type = {};
      latency::SessionOptions options;
      options.level = latency::OptimizationLevel::kNone;
      auto session = latency::Session::open(plain, options);
      outputs = session->run(
          latency::random_inputs(model, ir::default_input_shapes(model), 5));
    } catch (const Error& error) {
      return refused.empty()
                 ? std::string("only the runtime refuses: ") + error.what()
                 : "";
    }
    if (!refused.empty()) return "only inference refuses: " + refused;
    for (size_t i = 0; i < outputs.size(); ++i) {
      const ir::ValueType& type = model.graph->outputs()[i]->type;
      std::string ran = ir::to_string(ir::ValueType{
          outputs[i].type(), ir::to_shape(outputs[i].dims()), "", ""});
      if (ir::to_string(type) != ran)
        return "output " + std::to_string(i) + " is told as " +
               ir::to_string(type) + ", but runs as " + ran;
    }
    return "";
  }

  ir::Model model;
};

void check(int64_t opset, const std::string& what,
           const std::function<void(Case&)>& build) {
  Case c(opset);
  build(c);
  INFO(what << " at opset " << opset);
  CHECK(c.disagreement() == "");
}

TEST_CASE("shapes of operators: unary") {
  for (const char* op : {"Abs",
                         "Acos",
                         "Asinh",
                         "Ceil",
                         "Celu",
                         "Cos",
                         "Elu",
                         "Erf",
                         "Exp",
                         "Floor",
                         "HardSigmoid",
                         "HardSwish",
                         "IsNaN",
                         "LeakyRelu",
                         "Log",
                         "LogSoftmax",
                         "Neg",
                         "Reciprocal",
                         "Relu",
                         "Round",
                         "Selu",
                         "Sigmoid",
                         "Sign",
                         "Softmax",
                         "Softplus",
                         "Softsign",
                         "Sqrt",
                         "Tanh",
                         "Hardmax",
                         "Clip",
                         "ThresholdedRelu",
                         "Identity",
                         "Shape",
                         "Size",
                         "NonZero"})
    check(17, op, [&](Case& c) {
      // How many elements are not zero is data.
      if (std::string(op) == "NonZero")
        c.node(op, {c.ints({0, 3, 0, 5})});
      else
        c.node(op, {c.input({2, 3, 4})});
    });
}

TEST_CASE("shapes of operators: windows of random form") {
  Random random(7);
  auto some = [&](uint64_t low, uint64_t high) {
    return static_cast<int64_t>(low + random.below(high - low + 1));
  };
  for (int round = 0; round < 120; ++round) {
    const char* auto_pads[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    std::string auto_pad = auto_pads[random.below(6) < 3 ? 0 : random.below(4)];
    Ints kernel, strides, dilations, pads;
    for (int i = 0; i < 2; ++i) {
      kernel.push_back(some(1, 4));
      strides.push_back(some(1, 3));
      dilations.push_back(some(1, 2));
    }
    // The runtime wants pads smaller than the kernel.
    for (int i = 0; i < 4; ++i) pads.push_back(some(0, kernel[i % 2] - 1));
    auto set_window = [&](Node* node, bool dilate) {
      node->set_attr("kernel_shape", kernel);
      node->set_attr("strides", strides);
      if (dilate) node->set_attr("dilations", dilations);
      if (auto_pad == "NOTSET")
        node->set_attr("pads", pads);
      else
        node->set_attr("auto_pad", auto_pad);
    };
    Ints in{1, 4, some(8, 13), some(8, 13)};
    // The runtime's AveragePool refuses the negative pads that SAME would take.
    bool skips = kernel[0] < strides[0] || kernel[1] < strides[1];
    INFO("round " << round);
    check(17, "Conv", [&](Case& c) {
      Node* node =
          c.node("Conv", {c.input(in), c.input({6, 2, kernel[0], kernel[1]})});
      node->set_attr("group", int64_t{2});
      set_window(node, auto_pad == "NOTSET" || auto_pad == "VALID");
    });
    check(17, "MaxPool", [&](Case& c) {
      Node* node = c.node("MaxPool", {c.input(in)}, 2);
      set_window(node, false);
      if (auto_pad == "NOTSET")
        node->set_attr("ceil_mode", static_cast<int64_t>(round % 2));
    });
    if (!skips || !auto_pad.starts_with("SAME"))
      check(17, "AveragePool", [&](Case& c) {
        Node* node = c.node("AveragePool", {c.input(in)});
        set_window(node, false);
        if (auto_pad == "NOTSET")
          node->set_attr("ceil_mode", static_cast<int64_t>(round % 2));
      });
    check(17, "ConvTranspose", [&](Case& c) {
      Node* node = c.node("ConvTranspose",
                          {c.input(in), c.input({4, 3, kernel[0], kernel[1]})});
      set_window(node, false);
      if (auto_pad == "NOTSET")
        node->set_attr("output_padding",
                       Ints{some(0, strides[0] - 1), some(0, strides[1] - 1)});
    });
  }
}

TEST_CASE("shapes of operators: random slices") {
  Random random(9);
  auto position = [&]() -> int64_t {
    if (random.below(5) == 0) return random.below(2) ? INT64_MAX : INT64_MIN;
    return static_cast<int64_t>(random.below(21)) - 10;
  };
  for (int round = 0; round < 150; ++round) {
    int64_t step = static_cast<int64_t>(random.below(4)) + 1;
    if (random.below(2)) step = -step;
    Ints starts{position(), position()}, ends{position(), position()};
    INFO("axis 2 from " << starts[0] << " to " << ends[0] << " by " << step);
    check(13, "Slice", [&](Case& c) {
      c.node("Slice", {c.input({7, 5, 9}), c.ints(starts), c.ints(ends),
                       c.ints({2, -3}), c.ints({step, 1})});
    });
  }
}

TEST_CASE("shapes of operators: random reshapes, some impossible") {
  Random random(13);
  for (int round = 0; round < 150; ++round) {
    constexpr int64_t kTargets[] = {-1, 0, 1, 2, 3, 4, 6, 12};
    Ints target(1 + random.below(4));
    for (int64_t& dim : target) dim = kTargets[random.below(8)];
    INFO("round " << round);
    check(13, "Reshape", [&](Case& c) {
      c.node("Reshape", {c.input({2, 3, 4}), c.ints(target)});
    });
  }
}

TEST_CASE("shapes of operators: movement") {
  check(18, "Split", [](Case& c) {
    c.node("Split", {c.input({7, 2})}, 3)->set_attr("num_outputs", int64_t{3});
  });
  check(13, "Split uneven", [](Case& c) {
    c.node("Split", {c.input({4, 6}), c.ints({1, 5})}, 2)
        ->set_attr("axis", int64_t{1});
  });
  check(11, "Split attribute", [](Case& c) {
    Node* node = c.node("Split", {c.input({6})}, 2);
    node->set_attr("split", Ints{2, 4});
  });
  check(13, "Concat", [](Case& c) {
    c.node("Concat", {c.input({2, 3}), c.input({2, 1})})
        ->set_attr("axis", int64_t{-1});
  });
  check(13, "Pad", [](Case& c) {
    c.node("Pad", {c.input({3, 4}), c.ints({1, -1, 0, 2})});
  });
  check(18, "Pad axes", [](Case& c) {
    c.node("Pad", {c.input({3, 4, 5}), c.ints({1, 2}), nullptr, c.ints({-2})});
  });
  check(10, "Pad attribute", [](Case& c) {
    c.node("Pad", {c.input({3, 4})})->set_attr("pads", Ints{0, 1, 2, 0});
  });
  check(13, "Transpose", [](Case& c) {
    c.node("Transpose", {c.input({2, 3, 4})});
  });
  check(13, "Transpose perm", [](Case& c) {
    c.node("Transpose", {c.input({2, 3, 4})})->set_attr("perm", Ints{1, 2, 0});
  });
  check(13, "Flatten", [](Case& c) {
    c.node("Flatten", {c.input({2, 3, 4})})->set_attr("axis", int64_t{-1});
  });
  check(13, "Expand", [](Case& c) {
    c.node("Expand", {c.input({3, 1}), c.ints({2, 1, 5})});
  });
  check(13, "Tile", [](Case& c) {
    c.node("Tile", {c.input({3, 2}), c.ints({2, 3})});
  });
  check(13, "Unsqueeze", [](Case& c) {
    c.node("Unsqueeze", {c.input({3, 2}), c.ints({-1, 1})});
  });
  check(13, "Squeeze", [](Case& c) {
    c.node("Squeeze", {c.input({1, 3, 1}), c.ints({-1})});
  });
  check(13, "Gather", [](Case& c) {
    c.node("Gather", {c.input({3, 4, 5}), c.constant(Tensor::from<int64_t>(
                                              {2, 2}, Ints{0, 1, -1, 2}))})
        ->set_attr("axis", int64_t{1});
  });
  check(13, "GatherElements", [](Case& c) {
    c.node("GatherElements", {c.input({2, 2}), c.constant(Tensor::from<int64_t>(
                                                   {1, 2}, Ints{0, 1}))});
  });
  check(13, "GatherND", [](Case& c) {
    c.node("GatherND", {c.input({2, 3, 4}), c.constant(Tensor::from<int64_t>(
                                                {2, 1, 1}, Ints{0, 2}))})
        ->set_attr("batch_dims", int64_t{1});
  });
  check(13, "ScatterND", [](Case& c) {
    c.node("ScatterND",
           {c.input({4, 2}), c.constant(Tensor::from<int64_t>({1, 1}, Ints{3})),
            c.input({1, 2})});
  });
  check(13, "DepthToSpace", [](Case& c) {
    c.node("DepthToSpace", {c.input({1, 8, 2, 3})})
        ->set_attr("blocksize", int64_t{2});
  });
  check(13, "SpaceToDepth", [](Case& c) {
    c.node("SpaceToDepth", {c.input({1, 2, 4, 6})})
        ->set_attr("blocksize", int64_t{2});
  });
  check(14, "Trilu", [](Case& c) { c.node("Trilu", {c.input({3, 4})}); });
  check(13, "Compress", [](Case& c) {
    c.node("Compress",
           {c.input({3, 2}),
            c.constant(Tensor(DataType::kBool, {3},
                              ir::Bytes::own(std::string("\1\0\1", 3))))})
        ->set_attr("axis", int64_t{0});
  });
  check(13, "Where", [](Case& c) {
    c.node("Where",
           {c.input({2, 1}, DataType::kBool), c.input({3}), c.input({1})});
  });
  check(13, "OneHot", [](Case& c) {
    c.node("OneHot",
           {c.input({2, 3}, DataType::kInt64), c.ints({4}), c.floats({0, 1})})
        ->set_attr("axis", int64_t{0});
  });
  check(13, "Range", [](Case& c) {
    c.node("Range", {c.constant(Tensor::scalar<int64_t>(10)),
                     c.constant(Tensor::scalar<int64_t>(-1)),
                     c.constant(Tensor::scalar<int64_t>(-3))});
  });
  check(13, "EyeLike", [](Case& c) {
    c.node("EyeLike", {c.input({3, 4})})->set_attr("dtype", int64_t{7});
  });
  check(13, "ConstantOfShape", [](Case& c) {
    c.node("ConstantOfShape", {c.ints({2, 0, 3})});
  });
  check(13, "TopK", [](Case& c) {
    c.node("TopK", {c.input({3, 7}), c.ints({4})}, 2);
  });
}

TEST_CASE("shapes of operators: resampling") {
  for (float scale : {0.3f, 0.5f, 0.6f, 1.3f, 1.7f, 2.0f, 3.1f}) {
    for (int64_t size : {5, 7, 10}) {
      check(13, "Resize", [&](Case& c) {
        c.node("Resize", {c.input({1, 1, size, size + 3}), c.floats({}),
                          c.floats({1, 1, scale, 1.5f})});
      });
      check(10, "Resize-10", [&](Case& c) {
        c.node("Resize", {c.input({1, 1, size, size + 3}),
                          c.floats({1, 1, scale, 1.5f})});
      });
    }
  }
  check(13, "Resize sizes", [](Case& c) {
    c.node("Resize",
           {c.input({1, 2, 5, 6}), nullptr, nullptr, c.ints({1, 2, 9, 4})});
  });
  for (const char* policy : {"stretch", "not_larger", "not_smaller"})
    check(18, policy, [&](Case& c) {
      Node* node = c.node(
          "Resize", {c.input({1, 2, 5, 7}), nullptr, nullptr, c.ints({9, 8})});
      node->set_attr("axes", Ints{2, 3});
      node->set_attr("keep_aspect_ratio_policy", std::string(policy));
    });
  check(9, "Upsample", [](Case& c) {
    c.node("Upsample", {c.input({1, 2, 5, 6}), c.floats({1, 1, 2, 1.5f})});
  });
  check(16, "GridSample", [](Case& c) {
    c.node("GridSample", {c.input({1, 2, 5, 6}), c.input({1, 3, 4, 2})});
  });
  check(16, "RoiAlign", [](Case& c) {
    Node* node = c.node("RoiAlign", {c.input({1, 2, 8, 8}), c.input({3, 4}),
                                     c.ints({0, 0, 0})});
    node->set_attr("output_height", int64_t{3});
    node->set_attr("output_width", int64_t{2});
  });
}

TEST_CASE("shapes of operators: products and normalizations") {
  check(13, "MatMul", [](Case& c) {
    c.node("MatMul", {c.input({5, 1, 2, 3}), c.input({4, 3, 6})});
  });
  check(13, "MatMul vector", [](Case& c) {
    c.node("MatMul", {c.input({3}), c.input({4, 3, 6})});
  });
  check(13, "Einsum", [](Case& c) {
    c.node("Einsum", {c.input({2, 3, 4}), c.input({4, 5})})
        ->set_attr("equation", std::string("...ij,jk->...ik"));
  });
  check(13, "Einsum implicit", [](Case& c) {
    c.node("Einsum", {c.input({2, 3}), c.input({3, 4})})
        ->set_attr("equation", std::string("ij,jk"));
  });
  check(13, "MatMulInteger", [](Case& c) {
    c.node("MatMulInteger", {c.input({2, 3}, DataType::kUint8),
                             c.input({3, 4}, DataType::kUint8)});
  });
  check(17, "LayerNormalization", [](Case& c) {
    c.node("LayerNormalization", {c.input({2, 3, 4}), c.input({3, 4})}, 3)
        ->set_attr("axis", int64_t{1});
  });
  check(17, "BatchNormalization", [](Case& c) {
    c.node("BatchNormalization", {c.input({2, 3, 4}), c.input({3}),
                                  c.input({3}), c.input({3}), c.input({3})});
  });
  check(17, "InstanceNormalization", [](Case& c) {
    c.node("InstanceNormalization",
           {c.input({2, 3, 4}), c.input({3}), c.input({3})});
  });
  check(17, "LRN", [](Case& c) {
    c.node("LRN", {c.input({1, 3, 4, 4})})->set_attr("size", int64_t{3});
  });
  check(17, "LpPool", [](Case& c) {
    c.node("LpPool", {c.input({1, 3, 6, 7})})
        ->set_attr("kernel_shape", Ints{2, 3});
  });
  check(17, "GlobalMaxPool", [](Case& c) {
    c.node("GlobalMaxPool", {c.input({1, 3, 6, 7})});
  });
  check(14, "LSTM", [](Case& c) {
    Node* node = c.node(
        "LSTM", {c.input({3, 2, 5}), c.input({1, 16, 5}), c.input({1, 16, 4})},
        3);
    node->set_attr("hidden_size", int64_t{4});
  });
  check(14, "GRU", [](Case& c) {
    Node* node = c.node(
        "GRU", {c.input({3, 2, 5}), c.input({2, 12, 5}), c.input({2, 12, 4})},
        2);
    node->set_attr("hidden_size", int64_t{4});
    node->set_attr("direction", std::string("bidirectional"));
  });
}

TEST_CASE("shapes of operators: reductions") {
  for (const char* op :
       {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceMax", "ReduceMean",
        "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceLogSumExp"})
    for (int64_t keep : {0, 1}) {
      check(13, op, [&](Case& c) {
        Node* node = c.node(op, {c.input({2, 3, 4})});
        node->set_attr("axes", Ints{-1, 0});
        node->set_attr("keepdims", keep);
      });
      check(18, op, [&](Case& c) {
        c.node(op, {c.input({2, 3, 4}), c.ints({1})})
            ->set_attr("keepdims", keep);
      });
      check(18, op, [&](Case& c) {
        c.node(op, {c.input({2, 3, 4})})->set_attr("keepdims", keep);
      });
    }
  check(13, "ArgMin", [](Case& c) {
    Node* node = c.node("ArgMin", {c.input({2, 3, 4})});
    node->set_attr("axis", int64_t{-2});
    node->set_attr("keepdims", int64_t{0});
  });
  check(13, "CumSum", [](Case& c) {
    c.node("CumSum", {c.input({2, 3}), c.constant(Tensor::scalar<int64_t>(1))});
  });
}

TEST_CASE("shapes of operators: quantization") {
  auto scale = [](Case& c) { return c.constant(Tensor::scalar<float>(0.5f)); };
  auto zero = [](Case& c, bool is_signed) {
    return c.constant(is_signed ? Tensor::scalar<int8_t>(0)
                                : Tensor::scalar<uint8_t>(0));
  };
  check(13, "QuantizeLinear", [&](Case& c) {
    c.node("QuantizeLinear", {c.input({2, 3}), scale(c)});
    c.node("QuantizeLinear", {c.input({2, 3}), scale(c), zero(c, true)});
  });
  check(13, "DynamicQuantizeLinear", [&](Case& c) {
    c.node("DynamicQuantizeLinear", {c.input({2, 3})}, 3);
  });
  check(13, "QLinearConv", [&](Case& c) {
    c.node("QLinearConv",
           {c.input({1, 3, 8, 8}, DataType::kUint8), scale(c), zero(c, false),
            c.constant(Tensor::zeros(DataType::kInt8, {4, 3, 3, 3})), scale(c),
            zero(c, true), scale(c), zero(c, false)});
  });
  check(13, "QLinearMatMul", [&](Case& c) {
    c.node("QLinearMatMul",
           {c.input({2, 3}, DataType::kUint8), scale(c), zero(c, false),
            c.input({3, 4}, DataType::kInt8), scale(c), zero(c, true), scale(c),
            zero(c, false)});
  });
  check(13, "QLinearAdd", [&](Case& c) {
    c.node("QLinearAdd",
           {c.input({2, 3}, DataType::kUint8), scale(c), zero(c, false),
            c.input({3}, DataType::kUint8), scale(c), zero(c, false), scale(c),
            zero(c, false)},
           1, "com.microsoft");
  });
  check(13, "QLinearConcat", [&](Case& c) {
    Node* node =
        c.node("QLinearConcat",
               {scale(c), zero(c, false), c.input({2, 3}, DataType::kUint8),
                scale(c), zero(c, false), c.input({2, 4}, DataType::kUint8),
                scale(c), zero(c, false)},
               1, "com.microsoft");
    node->set_attr("axis", int64_t{1});
  });
  check(13, "QLinearGlobalAveragePool", [&](Case& c) {
    c.node("QLinearGlobalAveragePool",
           {c.input({1, 3, 4, 5}, DataType::kUint8), scale(c), zero(c, false),
            scale(c), zero(c, false)},
           1, "com.microsoft");
  });
  check(13, "QGemm", [&](Case& c) {
    c.node("QGemm",
           {c.input({2, 3}, DataType::kUint8), scale(c), zero(c, false),
            c.input({3, 4}, DataType::kInt8), scale(c), zero(c, true)},
           1, "com.microsoft");
  });
  check(13, "DynamicQuantizeMatMul", [&](Case& c) {
    c.node("DynamicQuantizeMatMul",
           {c.input({2, 3}), c.input({3, 4}, DataType::kInt8), scale(c)}, 1,
           "com.microsoft");
  });
  check(13, "MatMulNBits", [&](Case& c) {
    Node* node =
        c.node("MatMulNBits",
               {c.input({2, 3, 32}),
                c.constant(Tensor::zeros(DataType::kUint8, {8, 1, 16})),
                c.constant(Tensor::zeros(DataType::kFloat, {8}))},
               1, "com.microsoft");
    node->set_attr("K", int64_t{32});
    node->set_attr("N", int64_t{8});
    node->set_attr("bits", int64_t{4});
    node->set_attr("block_size", int64_t{32});
  });
}

TEST_CASE("shapes of operators: signal") {
  for (int64_t one_sided : {0, 1})
    check(17, "DFT", [&](Case& c) {
      c.node("DFT", {c.input({2, 10, 1})})->set_attr("onesided", one_sided);
    });
  check(17, "STFT", [](Case& c) {
    c.node("STFT",
           {c.input({1, 128, 1}), c.constant(Tensor::scalar<int64_t>(8)),
            c.constant(Tensor::zeros(DataType::kFloat, {16}))});
  });
  check(17, "HannWindow", [](Case& c) {
    c.node("HannWindow", {c.constant(Tensor::scalar<int64_t>(12))});
  });
  check(17, "MelWeightMatrix", [](Case& c) {
    c.node("MelWeightMatrix", {c.constant(Tensor::scalar<int64_t>(8)),
                               c.constant(Tensor::scalar<int64_t>(16)),
                               c.constant(Tensor::scalar<int64_t>(8192)),
                               c.constant(Tensor::scalar<float>(0)),
                               c.constant(Tensor::scalar<float>(4096))});
  });
}

}  // namespace
}  // namespace lathe::test
