// Writes weights in blocks into the graph.
#pragma once

#include <map>

#include "passes/ir/graph.h"
#include "passes/quantize/block_codes.h"
#include "passes/quantize/weight_sites.h"

namespace lathe::quantize {

// The same codes become one set of constants, whatever number of nodes share
// them.
class BlockWriter {
 public:
  BlockWriter(ir::Model& model, const WeightOptions& options);

  // The site's node becomes a MatMulNBits, or reads a DequantizeLinear; see the
  // top of block_form.cc. Its float weights stay. `codes` must outlive the
  // writer.
  void write(const WeightSite& site, const BlockCodes& codes);

 private:
  struct Constants {
    ir::Value* codes = nullptr;
    ir::Value* scales = nullptr;
    ir::Value* zero_points = nullptr;  // null: the middle code
  };

  void write_nbits(ir::Node& node, const BlockCodes& codes,
                   const Constants& constants);
  void write_dequantize(ir::Node& node, const WeightSite& site,
                        const BlockCodes& codes, const Constants& constants);
  void write_gather(ir::Node& node, const BlockCodes& codes,
                    const Constants& constants);
  Constants packed(const ir::Value& weights, const BlockCodes& codes);
  Constants blocked(const ir::Value& weights, const BlockCodes& codes,
                    bool transposed);
  Constants channels(const ir::Value& weights, const BlockCodes& codes);

  ir::Model& model_;
  ir::Graph& graph_;
  const WeightOptions& options_;
  std::map<const BlockCodes*, Constants> written_;
};

}  // namespace lathe::quantize
