#include "tests/passes/io/torch/aten/aten_expected.h"

namespace lathe::test {
namespace {

TEST_CASE("aten: max_pool") {
  same_as_torch("aten::max_pool1d", {random({2, 3, 9}), Ints{3}});
  same_as_torch("aten::max_pool1d",
                {random({2, 3, 9}), Ints{3}, Ints{2}, Ints{1}, Ints{2}});
  same_as_torch("aten::max_pool2d", {random({2, 3, 9, 8}), Ints{3}, Ints{}});
  same_as_torch("aten::max_pool2d", {random({2, 3, 9, 8}), Ints{3, 2},
                                     Ints{1, 2}, Ints{1, 0}, Ints{2, 1}});
  same_as_torch("aten::max_pool3d",
                {random({1, 2, 5, 6, 7}), Ints{2, 3, 2}, Ints{2}, Ints{1}});
  CHECK(emitted_nodes("aten::max_pool2d", {random({2, 3, 9, 8}), Ints{3},
                                           Ints{2}}) == Names{"MaxPool"});
}

TEST_CASE("aten: max_pool without a batch and in other types") {
  same_as_torch("aten::max_pool1d", {random({3, 9}), Ints{3}});
  same_as_torch("aten::max_pool2d", {random({3, 9, 8}), Ints{3}});
  same_as_torch("aten::max_pool3d", {random({2, 5, 6, 7}), Ints{2}});
  same_as_torch("aten::max_pool2d",
                {random({1, 3, 9, 8}).to(at::kDouble), Ints{3}});
  CHECK(emitted_nodes("aten::max_pool2d",
                      {at::zeros({1, 1, 4, 4}, at::kLong), Ints{2}}) ==
        Names{"Cast", "MaxPool", "Cast"});
  CHECK(emitted_nodes("aten::max_pool2d", {at::zeros({1, 1, 4, 4}, at::kByte),
                                           Ints{2}}) == Names{"MaxPool"});
}

// Window, stride, padding and dilation, against inputs of every remainder:
// among them windows that would start behind the input.
TEST_CASE("aten: pooling with sizes rounded up") {
  struct Case {
    int64_t kernel, stride, padding, dilation;
  };
  for (const Case& c : {Case{3, 2, 0, 1}, Case{3, 2, 1, 1}, Case{2, 2, 1, 1},
                        Case{2, 3, 0, 1}, Case{2, 3, 1, 1}, Case{1, 2, 0, 1},
                        Case{3, 4, 1, 2}, Case{2, 4, 0, 3}, Case{3, 1, 1, 1}}) {
    for (int64_t size = 7; size < 11; ++size) {
      CAPTURE(c.kernel);
      CAPTURE(c.stride);
      CAPTURE(c.padding);
      CAPTURE(c.dilation);
      CAPTURE(size);
      const at::Tensor x = random({2, 2, size});
      same_as_torch("aten::max_pool1d",
                    {x, Ints{c.kernel}, Ints{c.stride}, Ints{c.padding},
                     Ints{c.dilation}, true});
      if (c.dilation != 1) continue;
      for (const bool count_padding : {true, false})
        same_as_torch("aten::avg_pool1d",
                      {x, Ints{c.kernel}, Ints{c.stride}, Ints{c.padding}, true,
                       count_padding});
      same_as_torch("aten::avg_pool2d",
                    {x, Ints{1, c.kernel}, Ints{1, c.stride},
                     Ints{0, c.padding}, true, true, 5});
    }
  }
}

TEST_CASE("aten: how sizes are rounded up") {
  const at::Tensor x = random({1, 1, 8, 9});
  CHECK(emitted_nodes("aten::max_pool2d", {x, Ints{3}, Ints{2}, Ints{0},
                                           Ints{1}, true}) == Names{"MaxPool"});
  CHECK(
      emitted_nodes("aten::avg_pool2d", {x, Ints{3}, Ints{2}, Ints{1}, true}) ==
      Names{"Pad", "AveragePool"});
  CHECK(emitted_nodes("aten::avg_pool2d", {x, Ints{3}, Ints{2}, Ints{1}, true,
                                           false}) == Names{"AveragePool"});
  // Rounding up one axis only, of the other's window nothing is left.
  same_as_torch("aten::max_pool2d",
                {x, Ints{3, 2}, Ints{2, 3}, Ints{0, 1}, Ints{1}, true});
}

TEST_CASE("aten: max_pool_with_indices") {
  same_as_torch("aten::max_pool1d_with_indices",
                {random({2, 3, 9}), Ints{3}, Ints{2}, Ints{1}});
  same_as_torch(
      "aten::max_pool2d_with_indices",
      {random({2, 3, 9, 8}), Ints{3, 2}, Ints{2}, Ints{1}, Ints{1}, true});
  same_as_torch("aten::max_pool2d_with_indices",
                {random({2, 3, 7, 1}), Ints{2, 1}, Ints{3, 1}, Ints{1, 0},
                 Ints{1}, true});
  same_as_torch("aten::max_pool2d_with_indices",
                {random({3, 9, 8}), Ints{3}, Ints{2}});
  same_as_torch("aten::max_pool3d_with_indices",
                {random({2, 2, 5, 6, 7}), Ints{2}, Ints{}, Ints{1}});
}

TEST_CASE("aten: avg_pool") {
  same_as_torch("aten::avg_pool1d", {random({2, 3, 9}), Ints{3}});
  same_as_torch("aten::avg_pool1d", {random({3, 9}), Ints{3}, Ints{2}});
  for (const bool count_padding : {true, false})
    same_as_torch("aten::avg_pool2d", {random({2, 3, 9, 8}), Ints{3, 2},
                                       Ints{2}, Ints{1}, false, count_padding});
  same_as_torch("aten::avg_pool2d", {random({2, 3, 9, 8}), Ints{3, 2}, Ints{2},
                                     Ints{1, 0}, false, true, 4});
  same_as_torch("aten::avg_pool2d", {random({2, 3, 9, 8}), Ints{3, 2}, Ints{},
                                     Ints{0}, false, false, -7});
  same_as_torch("aten::avg_pool3d", {random({1, 2, 5, 6, 7}), Ints{2, 3, 2},
                                     Ints{2}, Ints{1}, true, true});
  same_as_torch("aten::avg_pool2d",
                {random({1, 2, 5, 6}).to(at::kDouble), Ints{2}});
  CHECK(emitted_nodes("aten::avg_pool2d",
                      {random({2, 3, 9, 8}), Ints{3}, Ints{2}, Ints{1}}) ==
        Names{"AveragePool"});
  CHECK(emitted_nodes("aten::avg_pool2d", {random({2, 3, 9, 8}), Ints{3},
                                           Ints{2}, Ints{1}, false, true, 2}) ==
        Names{"AveragePool", "Mul"});
}

TEST_CASE("aten: adaptive_avg_pool") {
  const at::Tensor x = random({2, 3, 12, 9});
  for (const Ints& out :
       {Ints{1, 1}, Ints{1, 3}, Ints{4, 3}, Ints{12, 9}, Ints{12, 1},
        Ints{5, 4}, Ints{3, 10}, Ints{7, 3}, Ints{13, 1}}) {
    CAPTURE(out);
    same_as_torch("aten::adaptive_avg_pool2d", {x, out},
                  /*symbolic=*/out == Ints{1, 1});
    same_as_torch("aten::_adaptive_avg_pool2d", {x, out},
                  /*symbolic=*/out == Ints{1, 1});
  }
  same_as_torch("aten::adaptive_avg_pool1d", {random({2, 3, 7}), Ints{1}});
  same_as_torch("aten::adaptive_avg_pool1d", {random({3, 7}), Ints{3}},
                /*symbolic=*/false);
  const at::Tensor volume = random({2, 2, 5, 6, 7});
  for (const Ints& out : {Ints{1, 1, 1}, Ints{3, 2, 4}, Ints{5, 3, 1}}) {
    same_as_torch("aten::adaptive_avg_pool3d", {volume, out},
                  /*symbolic=*/out == Ints{1, 1, 1});
    same_as_torch("aten::_adaptive_avg_pool3d", {volume, out},
                  /*symbolic=*/out == Ints{1, 1, 1});
  }
  same_as_torch("aten::adaptive_avg_pool2d",
                {random({3, 8, 6}).to(at::kDouble), Ints{3, 2}},
                /*symbolic=*/false);
  CHECK(emitted_nodes("aten::adaptive_avg_pool2d", {x, Ints{1, 1}}) ==
        Names{"GlobalAveragePool"});
  CHECK(emitted_nodes("aten::adaptive_avg_pool2d", {x, Ints{4, 1}}) ==
        Names{"AveragePool"});
  CHECK(emitted_nodes("aten::adaptive_avg_pool2d", {x, Ints{12, 9}}).empty());
  CHECK(emitted_nodes("aten::adaptive_avg_pool2d", {x, Ints{5, 4}}) ==
        Names{"MatMul", "MatMul"});
}

TEST_CASE("aten: adaptive_max_pool") {
  const at::Tensor x = random({2, 3, 12, 9});
  for (const Ints& out : {Ints{1, 1}, Ints{4, 3}, Ints{12, 1}, Ints{12, 9},
                          Ints{5, 4}, Ints{3, 10}}) {
    CAPTURE(out);
    same_as_torch("aten::adaptive_max_pool2d", {x, out},
                  /*symbolic=*/out == Ints{1, 1});
  }
  same_as_torch("aten::adaptive_max_pool1d", {random({2, 3, 7}), Ints{1}});
  same_as_torch("aten::adaptive_max_pool1d", {random({3, 8}), Ints{4}},
                /*symbolic=*/false);
  same_as_torch("aten::adaptive_max_pool2d",
                {random({3, 8, 6}).to(at::kDouble), Ints{1, 1}});
  same_as_torch("aten::adaptive_max_pool3d",
                {random({2, 2, 4, 6, 5}), Ints{2, 3, 5}}, /*symbolic=*/false);
  same_as_torch("aten::adaptive_max_pool3d",
                {random({2, 2, 4, 6, 5}), Ints{1, 1, 1}});
}

// Emits operators for an input of shape [batch, 3, rows, 8].
struct Adaptive {
  ir::Model model;
  io::aten::OnnxBuilder builder{model};
  ir::Value* x = nullptr;

  Adaptive() {
    x = model.graph->add_input(
        "x", tensor_type(ir::DataType::kFloat,
                         {ir::Dim::named("batch"), ir::Dim(3),
                          ir::Dim::named("rows"), ir::Dim(8)}));
    builder.where = "test";
  }

  ir::Value* emit(const std::string& name, io::aten::Arguments output_size) {
    using io::aten::Argument;
    const io::aten::AtenCall call(
        name, "",
        {{"self", Argument::tensor(x)},
         {"output_size", Argument::list(std::move(output_size))}},
        builder);
    return io::aten::find_aten(name)->emit(call)[0].value;
  }
};

TEST_CASE("aten: adaptive pooling keeps a size that stands as None") {
  using io::aten::Argument;
  for (const char* name : {"adaptive_avg_pool2d", "adaptive_max_pool2d"}) {
    CAPTURE(name);
    Adaptive none;
    const ir::Value* y =
        none.emit(name, {Argument::none(), Argument::of_int(2)});
    CHECK(ir::to_string(y->type) == "float[batch,3,rows,2]");
    Adaptive computed;
    const Argument rows = computed.builder.size(computed.x, 2);
    y = computed.emit(name, {rows, Argument::of_int(1)});
    CHECK(ir::to_string(y->type) == "float[batch,3,rows,1]");
    Adaptive whole;
    y = whole.emit(name, {Argument::of_int(1), Argument::of_int(3)});
    CHECK(ir::to_string(y->type) == "float[batch,3,1,3]");
    Adaptive unknown;
    CHECK_THROWS_WITH_AS(
        unknown.emit(name, {Argument::of_int(2), Argument::of_int(2)}),
        "test: the size of an adaptively pooled dimension must be known and "
        "is not (dimension 2 of 'x') (give the inputs' shapes with "
        "--input-shape)",
        Error);
    Adaptive other;
    const Argument batch = other.builder.size(other.x, 0);
    CHECK_THROWS_WITH_AS(
        other.emit(name, {batch, Argument::of_int(2)}),
        ("test: aten::" + std::string(name) +
         ": argument 'output_size' holds computed int, expected constant "
         "ints (it is computed from input sizes; give them with "
         "--input-shape)")
            .c_str(),
        Error);
  }
}

TEST_CASE("aten: pooling that cannot be") {
  const at::Tensor x = random({1, 1, 8, 8});
  CHECK(emit_error("aten::max_pool2d", {x, Ints{}}) ==
        "test: aten::max_pool2d: argument 'kernel_size' is empty");
  CHECK(emit_error("aten::max_pool2d", {x, Ints{0, 2}}) ==
        "test: aten::max_pool2d: the window's kernel size, stride or dilation "
        "is 0, expected at least 1");
  CHECK(emit_error("aten::max_pool2d", {x, Ints{3}, Ints{1}, Ints{2}}) ==
        "test: aten::max_pool2d: the padding is 2, expected 0 to 1 for the "
        "kernel size 3");
  CHECK(emit_error("aten::avg_pool2d",
                   {x, Ints{3}, Ints{1}, Ints{0}, false, true, 0}) ==
        "test: aten::avg_pool2d: argument 'divisor_override' is 0");
  CHECK(emit_error("aten::avg_pool2d",
                   {at::zeros({1, 1, 4, 4}, at::kLong), Ints{2}}) ==
        "test: aten::avg_pool2d: the input's elements are int64, expected "
        "floating point (convert the input with .float() first)");
  CHECK(emit_error("aten::adaptive_avg_pool2d", {x, Ints{0, 1}}) ==
        "test: aten::adaptive_avg_pool2d: argument 'output_size' holds 0, "
        "expected at least 1");
  CHECK(emit_error("aten::adaptive_avg_pool2d", {x, Ints{1 << 30, 1}}) ==
        "test: aten::adaptive_avg_pool2d: means of 8 elements to 1073741824 "
        "are too many");
  CHECK(emit_error("aten::adaptive_max_pool2d", {x, Ints{5000, 1}}) ==
        "test: aten::adaptive_max_pool2d: maxima of 8 elements to 5000 are "
        "too many");
  CHECK(emit_error("aten::max_pool2d", {x, Ints{9}}) ==
        "test: MaxPool 'MaxPool': the window covers 9 elements, but the padded "
        "input has only 8");
}

}  // namespace
}  // namespace lathe::test
