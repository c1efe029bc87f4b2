// Weight-only quantization in ONNX Runtime.
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "calibration/data/data.h"
#include "passes/ir/text_format.h"
#include "passes/quantize/block_codes.h"
#include "passes/quantize/quantize.h"
#include "passes/rewrite/rewrite.h"
#include "tests/passes/quantize/noise.h"
#include "tests/passes/quantize/runtime_support.h"

namespace lathe::quantize::test {
namespace {

using Form = WeightOptions::Form;
using Method = WeightOptions::Method;

ir::Model quantized(const ir::Model& model, WeightOptions options,
                    BatchSource* data = nullptr) {
  ir::Model result = ir::clone(model);
  PassContext context;
  context.data = data;
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(make_quantize_weights(std::move(options)));
  run_passes(result, passes, context);
  return result;
}

// The same product with weights as round_to_nearest leaves them.
ir::Model with_rounded_weights(const ir::Model& model,
                               const WeightOptions& options, int64_t depth,
                               int64_t columns, bool transposed) {
  ir::Model result = ir::clone(model);
  ir::Value* weights = result.graph->find("w");
  const std::vector<float> given = weights->tensor().to_floats();
  const BlockCodes codes = round_to_nearest(
      transposed ? transposed_values(given, columns, depth) : given, depth,
      columns,
      {.bits = options.bits,
       .block_size = options.block_size,
       .symmetric = options.symmetric,
       .search_scale = options.search_scale},
      1);
  std::vector<float> values = codes.dequantized();
  if (transposed) values = transposed_values(values, depth, columns);
  weights->set_tensor(
      ir::Tensor::from<float>(weights->tensor().dims(), values));
  return result;
}

TEST_CASE("quantize_weights: the runtime multiplies by what the codes say") {
  struct Shape {
    int64_t depth, columns;
    const char* product;
    bool transposed;
  };
  const Shape shapes[] = {
      {96, 40, "MatMul(%x, %w)", false},
      {100, 33, "MatMul(%x, %w)", false},  // an incomplete block, odd columns
      {17, 1, "MatMul(%x, %w)", false},
      {130, 24, "Gemm(%x, %w, %wb) {transB = 1}", true},
      {70, 24, "Gemm(%x, %w, %wb)", false},
  };
  for (const Shape& shape : shapes) {
    const int64_t rows = shape.transposed ? shape.columns : shape.depth;
    const int64_t width = shape.transposed ? shape.depth : shape.columns;
    ir::Model model =
        ir::parse_text("opset 17 graph { input %x: float[5," +
                       std::to_string(shape.depth) + "] input %w: float[" +
                       std::to_string(rows) + "," + std::to_string(width) +
                       "] input %wb: float[" + std::to_string(shape.columns) +
                       "] %y = " + shape.product + " @product output %y }");
    draw_weights(model);
    ir::infer_shapes(model);
    const NoiseSource noise(model, 1);
    for (const Form form : {Form::kMatMulNBits, Form::kQdq})
      for (const int bits : {4, 8})
        for (const bool symmetric : {true, false})
          for (const int64_t size : {16, 64}) {
            CAPTURE(shape.product);
            CAPTURE(shape.depth);
            CAPTURE(bits);
            CAPTURE(symmetric);
            CAPTURE(size);
            CAPTURE((form == Form::kQdq));
            WeightOptions options{.bits = bits,
                                  .block_size = size,
                                  .symmetric = symmetric,
                                  .form = form,
                                  .method = Method::kRtn,
                                  .accuracy_level = 1};
            const ir::Model codes = quantized(model, options);
            const Compared exact =
                compare(with_rounded_weights(model, options, shape.depth,
                                             shape.columns, shape.transposed),
                        codes, {noise.inputs(0)});
            CHECK(exact.count("MatMulNBits") == 1);
            CHECK(exact.count("DequantizeLinear") == 0);
            // The runtime gives blocks behind DequantizeLinear accuracy level
            // 4: int8 activations.
            CHECK(exact.sqnr_db > (form == Form::kQdq ? 30 : 100));
            CHECK(compare(model, codes, {noise.inputs(0)}).sqnr_db >
                  (bits == 4 ? 14 : 30));
          }
  }
}

TEST_CASE("quantize_weights: convolutions compute with what the codes say") {
  const std::string windows[] = {
      "", "{strides = [2, 1], pads = [1, 0, 1, 2], dilations = [1, 2]}",
      "{auto_pad = \"SAME_UPPER\", strides = [2, 2]}"};
  for (const std::string& window : windows) {
    ir::Model model = ir::parse_text(
        "opset 17 graph { input %x: float[2,3,9,8] input %w: float[5,3,3,3] "
        "input %wb: float[5] %y = Conv(%x, %w, %wb) " +
        window + " @conv output %y }");
    draw_weights(model);
    ir::infer_shapes(model);
    NoiseSource noise(model, 8);
    for (const int bits : {4, 8})
      for (const bool symmetric : {true, false}) {
        CAPTURE(window);
        CAPTURE(bits);
        CAPTURE(symmetric);
        WeightOptions options{.bits = bits,
                              .symmetric = symmetric,
                              .form = Form::kQdq,
                              .method = Method::kRtn,
                              .convolutions = true};
        const ir::Model codes = quantized(model, options);
        options.block_size = 32;  // more than the 27 weights of a channel
        const ir::Model rounded =
            with_rounded_weights(model, options, 27, 5, /*transposed=*/true);
        CHECK(compare(rounded, codes, {noise.inputs(0)}).sqnr_db > 100);
        const double nearest = compare(model, codes, {noise.inputs(0)}).sqnr_db;
        CHECK(nearest > (bits == 4 ? 14 : 36));
        options.method = Method::kGptq;
        const ir::Model better = quantized(model, options, &noise);
        CHECK(compare(model, better, {noise.inputs(0)}).sqnr_db > nearest + 2);
      }
  }
}

TEST_CASE("quantize_weights: gathered tables are what the codes say") {
  ir::Model model = ir::parse_text(R"(opset 17 graph {
    input %i: int64[2,3] input %w: float[50,40]
    %y = Gather(%w, %i) @embedding output %y })");
  draw_weights(model);
  ir::infer_shapes(model);
  const NamedTensors ids = {
      {"i", ir::Tensor::from<int64_t>(
                {2, 3}, std::vector<int64_t>{0, 49, 7, 7, 1, -1})}};
  for (const bool symmetric : {true, false}) {
    const ir::Model codes = quantized(model, {.symmetric = symmetric,
                                              .form = Form::kQdq,
                                              .method = Method::kRtn,
                                              .embeddings = true});
    CHECK(codes.graph->find("w") == nullptr);
    CHECK(compare(model, codes, {ids}).sqnr_db > 40);
  }
}

// Over the tokens of samples [begin, end).
double perplexity(const ir::Model& model, BatchSource& data, int64_t begin,
                  int64_t end) {
  const auto session = latency::Session::open(model);
  ReadOptions read;
  read.first_sample = begin;
  const auto reader = data.read(read);
  double nats = 0;
  int64_t tokens = 0;
  for (int64_t sample = begin; sample < end; ++sample) {
    const std::optional<Batch> batch = reader->next();
    REQUIRE(batch);
    const auto ids = batch->inputs[0].second.data<int64_t>();
    const std::vector<ir::Tensor> outputs = session->run(batch->inputs);
    const auto logits = outputs[0].data<float>();
    const int64_t classes = outputs[0].dims().back();
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto scores = logits.subspan(i * static_cast<size_t>(classes),
                                         static_cast<size_t>(classes));
      double sum = 0;
      for (const float score : scores) sum += std::exp(double{score});
      nats += std::log(sum) - scores[static_cast<size_t>(ids[i + 1])];
      ++tokens;
    }
  }
  return std::exp(nats / static_cast<double>(tokens));
}

TEST_CASE("quantize_weights: GPTQ gives a lower perplexity than rounding") {
  const auto file =
      lathe::test::shared_file("models/lm_stories260k/model.onnx");
  const auto tokens =
      lathe::test::shared_file("data/stories260k_tokens/tokens.npy");
  if (file.empty() || tokens.empty()) return;
  ir::Model model = io::import_onnx(file);
  PassContext context;
  rewrite::make_simplify()->run(model, context);
  const auto all = data::open_data(tokens.string(), model, {});
  // The first 24 sequences calibrate, the others are held out.
  data::OpenOptions first_half;
  first_half.limit = 24;
  const auto calibration = data::open_data(tokens.string(), model, first_half);
  const auto held_out = [&](const ir::Model& tried) {
    return perplexity(tried, *all, 24, 48);
  };
  const double fp32 = held_out(model);
  CHECK(fp32 == doctest::Approx(3.664).epsilon(0.001));
  const double int8 =
      held_out(quantized(model, {.bits = 8, .method = Method::kRtn}));
  CHECK(int8 < 1.005 * fp32);
  for (const int64_t size : {32, 64, 128}) {
    CAPTURE(size);
    CAPTURE(fp32);
    const double rtn = held_out(
        quantized(model, {.block_size = size, .method = Method::kRtn}));
    const double gptq =
        held_out(quantized(model, {.block_size = size}, calibration.get()));
    // At least a quarter of what rounding loses comes back.
    CHECK(gptq - fp32 < 0.75 * (rtn - fp32));
    CHECK(int8 < gptq);
  }
  const ir::Model small = quantized(model, {}, calibration.get());
  const Compared kernels = compare(model, small, {});
  CHECK(kernels.count("MatMulNBits") == 36);
  CHECK(kernels.count("MatMul") + kernels.count("FusedMatMul") == 10);
  const double sequential =
      held_out(quantized(model, {.sequential = true}, calibration.get()));
  CHECK(sequential < 3.97);
  const double ordered =
      held_out(quantized(model, {.act_order = true}, calibration.get()));
  CHECK(ordered < 3.97);
}

}  // namespace
}  // namespace lathe::quantize::test
