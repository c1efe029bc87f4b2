// Two forms of weights in blocks.
//
// com.microsoft MatMulNBits (source: its operator schema):
//
//   MatMul(x, w)        ->  MatMulNBits(x, codes, scales[, zero points])
//   Gemm(x, w, b)       ->  MatMulNBits -> Add(b)
//
//   codes        uint8 [N, blocks, block_size * bits / 8], for each column its
//                rows in order, two 4-bit codes a byte, the first in the low
//                bits; rows after K hold the zero point
//   scales       float [N, blocks]
//   zero points  uint8 [N, ceil(blocks * bits / 8)], packed in the same way;
//                absent where all are the middle code
//
// Blocked DequantizeLinear (ai.onnx 21), which ONNX Runtime merges with the
// MatMul into the same kernel:
//
//   MatMul(x, w)        ->  MatMul(x, DequantizeLinear(codes, scales[, zero
//                           points]) {axis = 0, block_size})
//   Gather(w, i)        ->  DequantizeLinear(Gather(codes, i),
//                           Gather(scales, i)[, …]) {axis = -1, block_size}
//
//   codes        [K, N]; int4 or int8 where symmetric, else uint4 or uint8
//   scales       [blocks, N]; zero points like the codes, likewise
//
// DequantizeLinear along an axis, as blocks of a kernel's four dimensions are
// no blocks of its weights:
//
//   Conv(x, w)          ->  Conv(x, DequantizeLinear(codes, scales[, zero
//                           points]) {axis = 0})
//
//   codes        as w; scales, zero points [output channels]
#include "passes/quantize/block_form.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <tuple>
#include <vector>

namespace lathe::quantize {
namespace {

constexpr char kMicrosoft[] = "com.microsoft";

using Codes = std::vector<std::byte>;

// Codes one after the other, as many bits each.
class Packer {
 public:
  Packer(int bits, size_t count)
      : bits_(bits), bytes_((count * static_cast<size_t>(bits) + 7) / 8) {}

  void put(size_t index, uint8_t code) {
    if (bits_ == 8)
      bytes_[index] = std::byte{code};
    else
      bytes_[index / 2] |= std::byte(code << (index % 2 * 4) & 0xFF);
  }
  ir::Tensor tensor(ir::DataType type, std::vector<int64_t> dims) {
    return ir::Tensor(type, std::move(dims), ir::Bytes::own(std::move(bytes_)));
  }

 private:
  int bits_;
  Codes bytes_;
};

ir::DataType code_type(const BlockFormat& format) {
  if (format.bits == 4)
    return format.symmetric ? ir::DataType::kInt4 : ir::DataType::kUint4;
  return format.symmetric ? ir::DataType::kInt8 : ir::DataType::kUint8;
}

// [rows, columns] as a tensor of code_type(), or its transpose.
ir::Tensor plain_codes(const std::vector<uint8_t>& codes, int64_t rows,
                       int64_t columns, const BlockFormat& format,
                       bool transposed) {
  Packer packer(format.bits, codes.size());
  // Two's complement of a signed code.
  const int shift = format.symmetric ? format.middle() : 0;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column) {
      const int code = codes[row * columns + column] - shift;
      packer.put(transposed ? column * rows + row : row * columns + column,
                 static_cast<uint8_t>(code & format.high()));
    }
  return packer.tensor(code_type(format),
                       transposed ? std::vector<int64_t>{columns, rows}
                                  : std::vector<int64_t>{rows, columns});
}

void drop_attributes(ir::Node& node) {
  while (!node.attributes().empty())
    node.remove_attribute(std::string(node.attributes().front().first));
}

// Turns a Gemm with a bias into an Add behind a MatMul, which is returned; one
// without a bias into a MatMul.
ir::Node& as_matmul(ir::Node& node) {
  if (!node.is("Gemm")) return node;
  drop_attributes(node);
  ir::Value* bias = node.input(2);
  node.op_type = bias ? "Add" : "MatMul";
  if (!bias) {
    node.resize_inputs(2);
    return node;
  }
  ir::Value* result = node.output();
  ir::Node* product =
      node.graph().add_node("MatMul", {node.input(0), node.input(1)},
                            {result->name() + "_product"}, &node);
  product->output()->type = result->type;
  product->name = node.name.empty() ? product->output()->name() : node.name;
  node.name = product->name + "_bias";
  node.set_input(0, product->output());
  node.set_input(1, bias);
  node.resize_inputs(2);
  return *product;
}

}  // namespace

BlockWriter::BlockWriter(ir::Model& model, const WeightOptions& options)
    : model_(model), graph_(*model.graph), options_(options) {}

BlockWriter::Constants BlockWriter::packed(const ir::Value& weights,
                                           const BlockCodes& codes) {
  const auto& [format, depth, columns, blocks] =
      std::tie(codes.format, codes.depth, codes.columns, codes.blocks);
  const int64_t size = format.block_size;
  Packer packer(format.bits, static_cast<size_t>(columns * blocks * size));
  for (int64_t column = 0; column < columns; ++column)
    for (int64_t row = 0; row < blocks * size; ++row)
      packer.put(static_cast<size_t>(column * blocks * size + row),
                 row < depth
                     ? codes.codes[row * columns + column]
                     : codes.zero_points[row / size * columns + column]);
  const std::string& name = weights.name();
  Constants made;
  made.codes = graph_.add_constant(
      name + "_quantized",
      packer.tensor(ir::DataType::kUint8,
                    {columns, blocks, size * format.bits / 8}));
  made.scales = graph_.add_constant(
      name + "_scale",
      ir::Tensor::from<float>(
          {columns, blocks}, transposed_values(codes.scales, blocks, columns)));
  if (format.symmetric) return made;
  const int64_t row_codes = format.bits == 8 ? blocks : (blocks + 1) / 2 * 2;
  Packer zeros(format.bits, static_cast<size_t>(columns * row_codes));
  for (int64_t column = 0; column < columns; ++column)
    for (int64_t block = 0; block < blocks; ++block)
      zeros.put(static_cast<size_t>(column * row_codes + block),
                codes.zero_points[block * columns + column]);
  made.zero_points =
      graph_.add_constant(name + "_zero_point",
                          zeros.tensor(ir::DataType::kUint8,
                                       {columns, row_codes * format.bits / 8}));
  return made;
}

BlockWriter::Constants BlockWriter::blocked(const ir::Value& weights,
                                            const BlockCodes& codes,
                                            bool transposed) {
  const std::string& name = weights.name();
  const int64_t blocks = codes.blocks, columns = codes.columns;
  Constants made;
  made.codes = graph_.add_constant(
      name + "_quantized",
      plain_codes(codes.codes, codes.depth, columns, codes.format, transposed));
  made.scales = graph_.add_constant(
      name + "_scale",
      transposed ? ir::Tensor::from<float>(
                       {columns, blocks},
                       transposed_values(codes.scales, blocks, columns))
                 : ir::Tensor::from<float>({blocks, columns}, codes.scales));
  if (!codes.format.symmetric)
    made.zero_points = graph_.add_constant(
        name + "_zero_point", plain_codes(codes.zero_points, blocks, columns,
                                          codes.format, transposed));
  return made;
}

BlockWriter::Constants BlockWriter::channels(const ir::Value& weights,
                                             const BlockCodes& codes) {
  Constants made = blocked(weights, codes, /*transposed=*/true);
  made.codes->set_tensor(
      made.codes->tensor().reshaped(weights.tensor().dims()));
  for (ir::Value* one_each : {made.scales, made.zero_points})
    if (one_each)
      one_each->set_tensor(one_each->tensor().reshaped({codes.columns}));
  return made;
}

void BlockWriter::write_nbits(ir::Node& node, const BlockCodes& codes,
                              const Constants& constants) {
  model_.opset_imports.emplace(kMicrosoft, 1);
  node.op_type = "MatMulNBits";
  node.domain = kMicrosoft;
  node.set_input(1, constants.codes);
  node.set_input(2, constants.scales);
  if (constants.zero_points) node.set_input(3, constants.zero_points);
  node.set_attr("K", codes.depth);
  node.set_attr("N", codes.columns);
  node.set_attr("bits", static_cast<int64_t>(codes.format.bits));
  node.set_attr("block_size", codes.format.block_size);
  if (options_.accuracy_level > 0)
    node.set_attr("accuracy_level",
                  static_cast<int64_t>(options_.accuracy_level));
}

void BlockWriter::write_dequantize(ir::Node& node, const WeightSite& site,
                                   const BlockCodes& codes,
                                   const Constants& constants) {
  const ir::Value& weights = *site.weights;
  std::vector<ir::Value*> inputs = {constants.codes, constants.scales};
  if (constants.zero_points) inputs.push_back(constants.zero_points);
  const std::string& name = weights.name();
  ir::Node* dequantize = graph_.add_node("DequantizeLinear", inputs,
                                         {name + "_DequantizeLinear"}, &node);
  dequantize->name = dequantize->output()->name();
  dequantize->set_attr("axis", int64_t{0});
  if (!site.filter) dequantize->set_attr("block_size", codes.format.block_size);
  dequantize->output()->type = constants.codes->type;
  dequantize->output()->type.elem = ir::DataType::kFloat;
  node.set_input(1, dequantize->output());
}

void BlockWriter::write_gather(ir::Node& node, const BlockCodes& codes,
                               const Constants& constants) {
  std::vector<ir::Value*> gathered;
  for (ir::Value* table :
       {constants.codes, constants.scales, constants.zero_points}) {
    if (!table) continue;
    ir::Node* gather = graph_.add_node("Gather", {table, node.input(1)},
                                       {table->name() + "_gathered"}, &node);
    gather->name = gather->output()->name();
    gather->output()->type.elem = table->type.elem;
    gathered.push_back(gather->output());
  }
  drop_attributes(node);
  node.op_type = "DequantizeLinear";
  node.set_attr("axis", int64_t{-1});
  node.set_attr("block_size", codes.format.block_size);
  for (size_t i = 0; i < gathered.size(); ++i) node.set_input(i, gathered[i]);
}

void BlockWriter::write(const WeightSite& site, const BlockCodes& codes) {
  const bool nbits = options_.form == WeightOptions::Form::kMatMulNBits;
  Constants& constants = written_[&codes];
  if (!constants.codes)
    constants = nbits         ? packed(*site.weights, codes)
                : site.filter ? channels(*site.weights, codes)
                              : blocked(*site.weights, codes, site.table);
  if (site.table) return write_gather(*site.node, codes, constants);
  ir::Node& node = as_matmul(*site.node);
  if (nbits)
    write_nbits(node, codes, constants);
  else
    write_dequantize(node, site, codes, constants);
}

}  // namespace lathe::quantize
