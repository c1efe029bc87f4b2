// Static int8 quantization in QDQ form.
//
//   x -> Conv -> Relu -> y   becomes   x -> Q -> DQ -> Conv -> Relu -> Q -> DQ
//
// with int8 weights per channel and int32 biases behind DQs of their own. The
// steps, one file each: select_nodes (what becomes an integer kernel),
// parameters (scale and zero point of each value), weights and insert_qdq,
// keep_matmul_bias, and pad_channels. Formulas: passes/affine.h and ONNX's
// QuantizeLinear. Why Q/DQ stand where they do: docs/quantize.md.
#include "passes/base/error.h"
#include "passes/ir/shape_inference.h"
#include "passes/quantize/insert_qdq.h"
#include "passes/quantize/keep_matmul_bias.h"
#include "passes/quantize/pad_channels.h"
#include "passes/quantize/parameters.h"
#include "passes/quantize/quantize.h"
#include "passes/quantize/select_nodes.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::quantize {
namespace {

// Per-channel DequantizeLinear exists from here on.
constexpr int64_t kLowestOpset = 13;
constexpr int64_t kRaisedOpset = 17;

class QuantizeStatic final : public Pass {
 public:
  explicit QuantizeStatic(QuantizeOptions options)
      : options_(std::move(options)) {}

  std::string name() const override { return "quantize_static"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    if (options_.activation_type != ir::DataType::kUint8 &&
        options_.activation_type != ir::DataType::kInt8)
      throw Error(ErrorKind::kUsage, "quantize_static",
                  std::string("activation type is ") +
                      ir::to_string(options_.activation_type) +
                      ", expected uint8 or int8");
    PassResult result;
    if (model.opset() < kLowestOpset)
      result.add(rewrite::make_raise_opset(kRaisedOpset)->run(model, context));
    ir::infer_shapes(model);
    Selection selection = select_nodes(model, options_);
    Parameters parameters =
        choose_parameters(model, selection, options_, context);
    insert_qdq(model, selection, parameters, options_);
    keep_matmul_bias(model, selection);
    pad_channels(model, selection);
    result.changes += static_cast<int64_t>(selection.roles.size());
    for (Remark& remark : selection.remarks)
      result.remarks.push_back(std::move(remark));
    return result;
  }

 private:
  QuantizeOptions options_;
};

}  // namespace

std::unique_ptr<Pass> make_quantize_static(QuantizeOptions options) {
  return std::make_unique<QuantizeStatic>(std::move(options));
}

}  // namespace lathe::quantize
