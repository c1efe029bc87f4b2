// Weight-only quantization: weights of MatMul, Gemm and Conv as 4- or 8-bit
// codes, activations in float.
//
//   MatMul(x, w)  becomes  MatMulNBits(x, codes, scales)           matmul_nbits
//                          MatMul(x, DequantizeLinear(codes, …))   qdq
//   Conv(x, w)             Conv(x, DequantizeLinear(codes, …))     qdq
//
// The steps, one file each: weight_sites (which nodes), block_codes (scales and
// rounding to nearest), gptq and weight_rounding (rounding that looks at
// calibration data), block_form (what is written).
#include <algorithm>
#include <bit>
#include <string>

#include "passes/base/error.h"
#include "passes/batch_source.h"
#include "passes/ir/shape_inference.h"
#include "passes/quantize/block_form.h"
#include "passes/quantize/quantize.h"
#include "passes/quantize/weight_rounding.h"
#include "passes/quantize/weight_sites.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::quantize {
namespace {

// DequantizeLinear of blocks and of 4 bits exists from here on.
constexpr int64_t kBlockedOpset = 21;
// Below this many weights MatMulNBits was slower than MatMul: docs/quantize.md.
constexpr int64_t kSlowBelow = 256 * 256;

[[noreturn]] void throw_option(const std::string& what) {
  throw Error(ErrorKind::kUsage, "quantize_weights", what);
}

class QuantizeWeights final : public Pass {
 public:
  explicit QuantizeWeights(WeightOptions options)
      : options_(std::move(options)) {}

  std::string name() const override { return "quantize_weights"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    check_options();
    PassResult result;
    WeightSites found = find_weight_sites(model, options_);
    if (qdq() && !found.sites.empty() && model.opset() < kBlockedOpset) {
      result.add(rewrite::make_raise_opset(kBlockedOpset)->run(model, context));
      found = find_weight_sites(model, options_);
    }
    result.remarks.insert(result.remarks.end(), found.remarks.begin(),
                          found.remarks.end());
    std::vector<WeightMatrix> matrices = matrices_of(found.sites, options_);
    if (matrices.empty()) return result;
    remark_small(found.sites, result);
    round(model, matrices, result, context);
    write(model, matrices, result);
    ir::infer_shapes(model);
    result.changes += static_cast<int64_t>(found.sites.size());
    return result;
  }

 private:
  using Form = WeightOptions::Form;
  using Method = WeightOptions::Method;

  bool qdq() const { return options_.form == Form::kQdq; }

  void check_options() const {
    if (options_.bits != 4 && options_.bits != 8)
      throw_option("bits is " + std::to_string(options_.bits) +
                   ", expected 4 or 8");
    if (options_.block_size < 16 ||
        !std::has_single_bit(static_cast<uint64_t>(options_.block_size)))
      throw_option("block_size is " + std::to_string(options_.block_size) +
                   ", expected a power of two from 16");
    if (options_.accuracy_level < 0 || options_.accuracy_level > 4)
      throw_option("accuracy_level is " +
                   std::to_string(options_.accuracy_level) +
                   ", expected 0 to 4");
    if (options_.embeddings && !qdq())
      throw_option("embeddings are quantized in the form qdq only");
    if (options_.convolutions && !qdq())
      throw_option("convolutions are quantized in the form qdq only");
  }

  void round(const ir::Model& model, std::vector<WeightMatrix>& matrices,
             PassResult& result, PassContext& context) const {
    const bool real = context.data && !context.data->is_synthetic();
    if (options_.method == Method::kGptq && !context.data)
      throw Error(ErrorKind::kUsage, "quantize_weights",
                  "GPTQ needs samples, but none are given",
                  "give data, or the method rtn");
    if (options_.method == Method::kGptq ||
        (options_.method == Method::kAuto && real)) {
      for (Remark& remark : round_by_gptq(model, matrices, options_, context))
        result.remarks.push_back(std::move(remark));
      return;
    }
    if (options_.method == Method::kAuto)
      result.remarks.push_back(
          {"", std::string("weights are rounded to nearest: GPTQ would need ") +
                   (context.data ? "real samples, and these are synthetic"
                                 : "samples, and none are given")});
    round_to_nearest(matrices, context);
  }

  void write(ir::Model& model, const std::vector<WeightMatrix>& matrices,
             PassResult& result) const {
    BlockWriter writer(model, options_);
    std::vector<ir::Value*> weights_of;
    std::vector<std::string> readers;
    for (const WeightMatrix& matrix : matrices) {
      ir::Value* weights = matrix.sites[0].weights;
      if (std::ranges::count(weights_of, weights) == 0) {
        weights_of.push_back(weights);
        readers.push_back(matrix.sites[0].node->id());
      }
      for (const WeightSite& site : matrix.sites)
        writer.write(site, matrix.codes);
    }
    for (size_t i = 0; i < weights_of.size(); ++i) {
      if (weights_of[i]->unused())
        model.graph->remove_value(weights_of[i]);
      else
        result.remarks.push_back({readers[i], kept_in_float(*weights_of[i])});
    }
  }

  static void remark_small(const std::vector<WeightSite>& sites,
                           PassResult& result) {
    const auto small = std::ranges::count_if(sites, [](const WeightSite& site) {
      return !site.table && !site.filter &&
             site.depth() * site.columns() < kSlowBelow;
    });
    if (small == 0) return;
    result.remarks.push_back(
        {"", std::to_string(small) + " of " + std::to_string(sites.size()) +
                 " layers have fewer than " + std::to_string(kSlowBelow) +
                 " weights: they become smaller but slower than in float (the "
                 "option 'min_elements' leaves such layers alone)"});
  }

  static std::string kept_in_float(const ir::Value& weights) {
    return "its weights '" + weights.name() + "' stay in float as well: " +
           (weights.uses().empty()
                ? "they are an output of the model"
                : weights.uses()[0].node->label() + " reads them");
  }

  WeightOptions options_;
};

}  // namespace

std::unique_ptr<Pass> make_quantize_weights(WeightOptions options) {
  return std::make_unique<QuantizeWeights>(std::move(options));
}

}  // namespace lathe::quantize
